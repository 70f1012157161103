"""The small things the app remembers between starts: the theme, the bell, the hint seen."""

from contextlib import suppress
from pathlib import Path

import msgspec

from genui import paths

FILE = "app.json"


class Memory(msgspec.Struct, frozen=True):
    """What is remembered; an absent or damaged file is a first start."""

    theme: str = ""
    hint_seen: bool = False
    quiet: bool = False  # alerts are shown, and neither ring nor notify


def _path() -> Path:
    return paths.state_dir() / FILE


def recall() -> Memory:
    """What was remembered last time."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_path().read_bytes(), type=Memory)
    return Memory()


def remember(memory: Memory) -> None:
    """Keep it. Raises nothing: where the folder cannot be written, only a theme is lost."""
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_bytes(msgspec.json.encode(memory))
        aside.replace(path)
