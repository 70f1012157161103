"""Adds the model at an address, for `genui models add`."""

import os
import re
from collections.abc import Mapping
from typing import Any

from genui.base.calls import Call
from genui.base.errors import MisuseError
from genui.base.files import sanitize
from genui.cli import output
from genui.kinds.servers.dialects import add_address
from genui.kinds.servers.model import ServerRecord

PATIENCE = 3.0
"""Seconds until a wait for a server is reported."""


def find_server(what: str, options: Mapping[str, Any]) -> tuple[ServerRecord, str] | None:
    """The record of the model at an address, which is asked for a token; None for a file.

    Raises MisuseError or GenuiError as `add_address` does, and for options of a file.
    """
    exists = os.path.exists(what)
    if re.fullmatch(r"[A-Za-z0-9.-]+:\d+(/\S*)?", what) and not exists:
        what = f"http://{what}"  # HOST:PORT
    if "://" not in what and (exists or "@" not in what):
        for option in ("model", "key_env"):
            if options[option]:
                name = option.replace("_", "-")
                raise MisuseError(f"--{name}: is for a server, and {sanitize(what)} is none")
        return None
    call = Call(lambda: add_address(what, options["model"], options["key_env"]))
    if not call.wait(PATIENCE):
        output.note(f"{sanitize(what, 80)}: waiting for a token; it may be loading its model")
    record = call.result()
    return record, record.model.removesuffix(":latest").removesuffix(".gguf")
