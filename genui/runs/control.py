"""Commands to a trainer: one small file each, renamed into control/, removed when obeyed.

A file in a folder needs no port and no signal, works from any host that sees the file
system, and waits for a trainer that is still importing torch.
"""

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from genui.errors import GenuiError
from genui.runs.disk import atomic_write, cannot_read, cannot_write, plain
from genui.runs.layout import RunDir
from genui.runs.listing import summarise

Command = Literal["pause", "resume", "stop", "checkpoint"]

_COMMANDS: dict[str, Command] = {command: command for command in get_args(Command)}
_LONGEST = 64  # bytes


def send(run: RunDir, command: Command) -> None:
    """Leaves the command for the run's trainer, now or when it comes. Raises GenuiError."""
    try:
        run.control.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(run.control, error) from None
    # Names sort by time, so commands are obeyed in the order they were given.
    name = f"{time.time_ns():020d}-{os.urandom(3).hex()}"
    atomic_write(run.control / name, command.encode())


def steer(run: RunDir, command: Command) -> None:
    """`send`, where a trainer is there to obey. Raises GenuiError saying why none is."""
    summary = summarise(run)
    if summary.fault:
        raise GenuiError(summary.fault)
    if not summary.alive:
        remedy = "" if summary.state == "finished" else f" (genui resume {run.id} goes on with it)"
        raise GenuiError(f"run {run.id} is {summary.state}: nothing to {command}{remedy}")
    send(run, command)


def poll(run: RunDir, note: Callable[[str], None] | None = None) -> list[Command]:
    """The commands that arrived since the last poll, oldest first; each is removed.

    Anything else in the folder is removed too and ignored; `note` is told of it in one line.
    Raises GenuiError where the folder cannot be read, or a command cannot be removed: it
    would be obeyed again and again.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(run.control))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(run.control, error) from None
    commands: list[Command] = []
    for name in names:
        if name.startswith("."):  # being written
            continue
        path = run.control / name
        word = _take(path)
        if word is None:
            continue
        if word in _COMMANDS:
            commands.append(_COMMANDS[word])
        elif note is not None:
            note(f"ignored an unknown command {plain(word, 20)!r} (known: {', '.join(_COMMANDS)})")
    return commands


def clear(run: RunDir) -> None:
    """Forgets commands meant for a trainer that is gone. Raises GenuiError."""
    poll(run)


def _take(path: Path) -> str | None:
    """The word in the file, which is removed; None where there is nothing to take."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            return None
        word = ""
        if stat.S_ISREG(mode):  # a pipe would block, a link could lead anywhere
            with path.open("rb") as file, suppress(UnicodeDecodeError):
                word = file.read(_LONGEST).decode().strip()
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_write(path, error) from None
    return word
