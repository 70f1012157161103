"""The logs that a word on the command line means: a run of ours, or a path to any log."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from genui.commands import output
from genui.errors import MisuseError

if TYPE_CHECKING:
    from genui.runs.listing import RunSummary
    from genui.runs.logs.base import Tail


def find_path(word: str) -> Path | None:
    """The path that `word` means; None where it names a run.

    A run's id or name goes before a file of the same name; `./NAME` is the file. Raises
    MisuseError where it is neither.
    """
    from genui.runs.listing import find_run, list_runs, matching

    path = Path(word).expanduser()
    looks_like_path = os.sep in word or word in (".", "..", "~")
    if not looks_like_path and matching(word, list_runs()):
        return None
    if _exists(path) or _is_file(path.parent):  # a run inside trackio's file
        return path
    if looks_like_path:
        raise MisuseError(f"{word}: there is no such file or folder; check the path")
    try:
        find_run(word)
    except MisuseError as error:
        raise MisuseError(f"{error}; and no file or folder is called so") from None
    return None  # started this very moment


def find_one(word: str) -> "RunSummary":
    """The one log that `word` means. Raises MisuseError where there is none or more than one."""
    from genui.runs.listing import find_run, summarise

    path = find_path(word)
    if path is None:
        return summarise(find_run(word))
    if _exists(path):
        found = find_all(path)
    else:
        found = [one for one in find_all(path.parent) if one.run.path == path]
        if not found:
            raise MisuseError(f"{word}: {path.parent} holds no such run; name another")
    if len(found) > 1:
        some = ", ".join(str(s.run.path) for s in found[:3]) + (", …" if len(found) > 3 else "")
        raise MisuseError(f"{word}: holds {len(found)} logs ({some}); name one of them")
    return found[0]


def find_all(path: Path) -> "list[RunSummary]":
    """The logs at or below the path; what of it may not be read is remarked on. Raises as
    `find_logs`."""
    from genui.runs.logs import find_logs

    found = find_logs(path)
    if found.note:
        output.note(f"{path}: {found.note}")
    return found


def look_again(summary: "RunSummary", ended: str = "") -> "RunSummary":
    """How that log is now; `ended` is what the reader of another tool's found in it."""
    from genui.runs.listing import summarise

    if summary.format == "genui":
        return summarise(summary.run)
    from genui.runs.logs import summarise_log

    return summarise_log(summary.run.path, summary.format, ended)


def read_whole(summary: "RunSummary") -> "Tail":
    """The log, read to its end as it is now. Raises GenuiError."""
    from genui.runs.logs import open_tail

    tail = open_tail(summary)
    while tail.read():
        pass
    return tail


def title(summary: "RunSummary") -> str:
    """What to call the log in a line."""
    return summary.run.id if summary.format == "genui" else str(summary.run.path)


def _exists(path: Path) -> bool:
    """Whether there is, or may be, something at the path: what reads it says why it may not."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # a name too long, a null byte
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
