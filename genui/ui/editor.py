"""A text in the user's own editor, which has the terminal meanwhile."""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textual.app import App, SuspendNotSupported

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import cannot_read
from genui.base.text import clean, clean_line

MAX_BYTES = 1_000_000  # of a text from the editor


def edit_text(app: App[Any], text: str) -> str:
    """Return `text` as it was saved in the editor that VISUAL or EDITOR names.

    Raises MisuseError or GenuiError, one line, without an editor or if it fails; the text is then
    as before.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise MisuseError(f"EDITOR is {clean_line(command, 60)!r}: {error}") from None
    if not argv:
        raise MisuseError("no editor is set: export EDITOR=nano, or another, before genui starts")
    name = clean_line(argv[0], 60)
    with TemporaryDirectory(prefix="genui-") as folder:
        path = Path(folder) / "text.txt"
        # Editors end a text with a new line, which is removed again.
        path.write_text(f"{text}\n", "utf-8")
        try:
            with app.suspend():
                fault = _run([*argv, str(path)])
            if fault:
                raise GenuiError(f"{name} {fault}: the text is unchanged")
            if path.stat().st_size > MAX_BYTES:
                raise GenuiError(f"{name} saved over 1 MB: the text is unchanged")
            return clean(path.read_text("utf-8")).removesuffix("\n")
        except SuspendNotSupported:
            raise GenuiError("this terminal cannot run an editor") from None
        except OSError as error:
            raise cannot_read(path, error) from None
        except UnicodeDecodeError:
            raise GenuiError(f"{name} saved no UTF-8: the text is unchanged") from None


def _run(argv: list[str]) -> str:
    """Run the editor until it ends; return how it failed, "" if it did not. Raises nothing, since
    the terminal would not be given back."""
    try:
        code = subprocess.run(argv, check=False).returncode
    except OSError as error:
        return f"cannot be started ({error.strerror})"
    return f"ended with exit code {code}" if code else ""
