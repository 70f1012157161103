"""The name, tags and note that a user gives to an existing run, and removing runs.

They are kept in labels.json; run.json is not rewritten. A removed run is first moved to a hidden
folder, from which it can be restored until that folder is emptied.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import atomic_write, read_json, sanitize, writing
from genui.base.text import clean_line
from genui.runs.layout import LONGEST_NAME, RunDir, check_name

LONGEST_TAG = 32
LONGEST_NOTE = 2000
MAX_TAGS = 16

_REMOVED = ".removed"
_FORGOTTEN = 24 * 3600.0  # seconds after which runs that another process removed are deleted


class Labels(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Empty fields were not given."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def read_labels(run: RunDir) -> Labels:
    """The labels of a run, empty by default. Raises GenuiError if labels.json is damaged."""
    if not run.labels.exists():
        return Labels()
    labels = read_json(run.labels, Labels, "remove it")
    return Labels(
        name=clean_line(labels.name, LONGEST_NAME),
        tags=tuple(clean_line(tag, LONGEST_TAG) for tag in labels.tags[:MAX_TAGS]),
        note=clean_line(labels.note, LONGEST_NOTE),
    )


def write_labels(run: RunDir, labels: Labels) -> None:
    """Replaces labels.json. Raises GenuiError naming it."""
    atomic_write(run.labels, msgspec.json.encode(labels) + b"\n")


def check_labels(labels: Labels) -> None:
    """Raises MisuseError for an invalid name (it may be empty), tag or note, or too many tags."""
    if labels.name:
        check_name(labels.name)
    for word in labels.tags:
        if not word or len(word) > LONGEST_TAG or word != clean_line(word) or set(word) & set(", "):
            raise MisuseError(
                f"tag {sanitize(word, 60)!r}: use up to {LONGEST_TAG} characters without spaces "
                "or commas"
            )
    if len(labels.tags) > MAX_TAGS:
        raise MisuseError(f"at most {MAX_TAGS} tags; remove one first")
    if len(labels.note) > LONGEST_NOTE:
        raise MisuseError(f"a note has at most {LONGEST_NOTE:,} characters")


def rename(run: RunDir, name: str) -> None:
    """Gives the run another name; its id stays. Raises MisuseError for an invalid name."""
    check_name(name)
    write_labels(run, msgspec.structs.replace(read_labels(run), name=name))


def tag(run: RunDir, add: Sequence[str], remove: Sequence[str] = ()) -> tuple[str, ...]:
    """The run's tags after some were added and some removed.

    Raises MisuseError for a tag that is empty, too long or contains a space or comma, for one to
    remove that the run does not have, and for more than MAX_TAGS.
    """
    labels = read_labels(run)
    for word in remove:
        if word not in labels.tags:
            some = ", ".join(labels.tags) or "none"
            raise MisuseError(f"{run.id} has no tag {sanitize(word, 60)!r}; it has {some}")
    tags = tuple(dict.fromkeys([*(t for t in labels.tags if t not in remove), *add]))
    check_labels(Labels(tags=tags))
    write_labels(run, msgspec.structs.replace(labels, tags=tags))
    return tags


def annotate(run: RunDir, note: str) -> None:
    """Sets the run's note; an empty one removes it. Raises MisuseError if it is too long."""
    line = clean_line(note)
    check_labels(Labels(note=line))
    write_labels(run, msgspec.structs.replace(read_labels(run), note=line))


# --- Removing runs ------------------------------------------------------------------------------


def bytes_of(run: RunDir) -> int:
    """The bytes on the disk that removing the run frees."""
    total = 0
    for folder, _, names in os.walk(run.path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def remove(run: RunDir) -> RunDir:
    """Moves the run out of the list and returns its new place, for `restore`.

    The caller makes sure that it is not training. Raises GenuiError if it cannot be moved.
    """
    return _move(run, _place())


def restore(removed: RunDir) -> RunDir:
    """Moves a removed run back. Raises GenuiError if it cannot be moved."""
    return _move(removed, paths.runs_dir())


def _move(run: RunDir, folder: Path) -> RunDir:
    target = RunDir(folder / run.id)
    with writing(run.path):
        folder.mkdir(parents=True, exist_ok=True)
        os.rename(run.path, target.path)
    return target


def empty() -> None:
    """Deletes the runs that this process removed, and after a day those that others removed."""
    shutil.rmtree(_place(), ignore_errors=True)
    now = time.time()
    for place in paths.runs_dir().glob(f"{_REMOVED}-*"):
        with suppress(OSError):
            if now - place.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(place, ignore_errors=True)


def _place() -> Path:
    return paths.runs_dir() / f"{_REMOVED}-{os.getpid()}"
