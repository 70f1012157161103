"""What the user chose about printed lines, remembered by project, by name or by file."""

import re
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.paths import state_dir
from genui.logs.printed_log import Choice

_MOST = 1000


class _Saved(msgspec.Struct):
    step: str = ""
    metrics: list[str] = []


def key_of_file(path: Path) -> str:
    """The key of a log: its folder and name, with * for digits, so that slurm-12.out and
    slurm-13.out share it."""
    return str(path.absolute().parent / re.sub(r"[0-9]+", "*", path.name))


def recall(key: str) -> Choice:
    """The remembered choice; the empty one if there is none. Never raises."""
    saved = _read().get(key)
    return Choice() if saved is None else Choice(saved.step, tuple(saved.metrics))


def remember(key: str, choice: Choice) -> None:
    """Saves a choice; the empty one is forgotten. Raises GenuiError if it cannot be written."""
    choices = _read()
    choices.pop(key, None)
    if choice != Choice():
        choices[key] = _Saved(choice.step, list(choice.metrics))
    while len(choices) > _MOST:
        choices.pop(next(iter(choices)))
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenuiError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    atomic_write(path, msgspec.json.encode(choices))


def _path() -> Path:
    return state_dir() / "printed.json"


def _read() -> dict[str, _Saved]:
    try:
        return msgspec.json.decode(_path().read_bytes(), type=dict[str, _Saved])
    except (OSError, msgspec.DecodeError):
        return {}
