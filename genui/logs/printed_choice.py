"""The user's choices about printed lines, remembered by project, by name or by file."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from genui.base import files
from genui.base.files import atomic_write, stamp_of, writing
from genui.base.paths import state_dir

_MOST = 1000


COUNT = "count"
"""The step that numbers the records."""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user's choices about a log; the empty choice leaves it to the reader."""

    step: str = ""  # the name of the step; COUNT numbers the records
    metrics: tuple[str, ...] = ()  # names with * and ?; empty is all

    def keep(self, metrics: dict[str, float]) -> dict[str, float]:
        if not self.metrics:
            return metrics
        return {
            name: value
            for name, value in metrics.items()
            if any(fnmatchcase(name, pattern) for pattern in self.metrics)
        }


def key_of_file(path: Path) -> str:
    """The key of a log: its folder and name, with * for digits, so that slurm-12.out and
    slurm-13.out share it."""
    return str(path.absolute().parent / re.sub(r"[0-9]+", "*", path.name))


def key_of_run(project: str, name: str) -> str:
    """The key of a command whose output is recorded as a run."""
    return f"- {project or name or 'piped'}"


def stamp() -> tuple[int, int, int] | None:
    """Changes whenever a choice is saved."""
    return stamp_of(_path())


def recall(key: str) -> Choice:
    """The remembered choice; the empty one if there is none. Never raises."""
    return _read().get(key, Choice())


def remember(key: str, choice: Choice) -> None:
    """Saves a choice; the empty one is forgotten. Raises GenuiError if it cannot be written."""
    choices = _read()
    choices.pop(key, None)
    if choice != Choice():
        choices[key] = choice
    while len(choices) > _MOST:
        choices.pop(next(iter(choices)))
    path = _path()
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, msgspec.json.encode(choices))


def _path() -> Path:
    return state_dir() / "printed.json"


def _read() -> dict[str, Choice]:
    return files.recall(_path(), dict[str, Choice]) or {}
