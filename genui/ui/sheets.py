"""Contact sheets of what a window shows. Runs on a thread; no screen here."""

import os
from collections.abc import Sequence
from pathlib import Path

from genui.errors import MisuseError
from genui.render.sanitise import clean_line
from genui.runs.disk import atomic_write, shown
from genui.saved import Machine
from genui.saved.sheet import sheet
from genui.ui import keeping
from genui.ui.in_step import Column


def free_file(stem: str) -> Path:
    """`stem.png`, or the first of `stem-2.png`, … that is not there."""
    path, number = Path(f"{stem}.png"), 2
    while os.path.lexists(path):
        path, number = Path(f"{stem}-{number}.png"), number + 1
    return path


def sheet_target(text: str) -> Path:
    """The path that was typed.

    Raises MisuseError where it does not end in .png, is there already, or its folder is not.
    """
    path = Path(os.path.expanduser(text.strip()))
    if path.suffix.lower() != ".png":
        raise MisuseError(f"'{clean_line(text, 60)}': a contact sheet is a picture; end it in .png")
    if os.path.lexists(path):
        raise MisuseError(f"{shown(path)}: is there already; name another file")
    if not os.path.isdir(path.parent):
        raise MisuseError(f"{shown(path)}: there is no such folder; make it first")
    return path


def write(columns: Sequence[Column], machine: Machine, path: Path) -> None:
    """All columns on one sheet. Raises GenuiError where the disk refuses."""
    samples = [
        (keeping.sample_of(column.trace), keeping.recipe_for(column.trace, machine))
        for column in columns
    ]
    captions = [clean_line(column.label) for column in columns]
    atomic_write(path, sheet(samples, captions, columns=min(3, len(columns))))
