"""A model's chat template (Jinja), filled with marks in a process with limits."""

import itertools
import json
import re
import subprocess
import sys
from functools import lru_cache

from genui.base.calls import run_program
from genui.engine.data import fill_template

_MARK = "\tGENUIMESSAGE{}END\t"
MARK = re.compile(r"(\t?)GENUIMESSAGE(\d{1,9})END(\t?)")
"""Where a message stands; the tabs are missing if the template strips messages."""


@lru_cache(maxsize=256)
def fill_with_marks(template: str, roles: tuple[str, ...], begin: str, end: str) -> tuple[str, str]:
    """The template filled with marks for messages of these roles, or "" and the fault."""
    messages = [
        {"role": role, "content": _MARK.format(number)}
        for role, number in zip(roles, itertools.count(), strict=False)
    ]
    values = {
        "messages": messages,
        "add_generation_prompt": True,
        "bos_token": begin,
        "eos_token": end,
    }
    seconds = fill_template.SECONDS
    command = [sys.executable, "-P", fill_template.__file__]
    job = json.dumps({"template": template, "values": values, "seconds": seconds})
    try:
        child = run_program(command, 4 * seconds, stdin=job)  # of a busy machine
        reply = json.loads(child.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return "", f"it did not end within {seconds} s"
    return reply.get("text", ""), reply.get("fault", "")
