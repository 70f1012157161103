"""Traces whose frames are read from a file: the records of the package, and what each pane showed
last. Nothing here imports numpy, so that the app shows them soon."""

from pathlib import Path
from typing import Any

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import show
from genui.formats.frames import unpack_frames
from genui.formats.trees import branch_start, load_tree
from genui.protocol import kinds
from genui.protocol.kinds import kind_of_trace
from genui.runs.models import ModelInfo, find_model
from genui.ui.traces.trees import ShownTrace, Source


def record_path(pane: str) -> Path:
    """The record of the package that a pane plays while it has nothing else."""
    return kinds.find_weights(f"records/{pane}.trace")


def last_path(pane: str) -> Path:
    """The file with the user's last generation in a pane."""
    return paths.data_dir() / "last" / f"{pane}.trace"


def read_trace(path: Path, source: Source) -> tuple[ShownTrace[Any], ModelInfo]:
    """The current branch of a saved tree, with the frames that it keeps, and its model. Nothing is
    computed.

    Raises GenuiError, one line, if the file is damaged or its model is missing.
    """
    saved = load_tree(path)
    first = kind_of_trace(saved.recipe.kind, saved.recipe.settings).first_step
    trace: ShownTrace[Any] = ShownTrace(request=branch_start(saved), first=first)
    if saved.frames:
        started, frames = unpack_frames(saved.frames, saved.result, show(path))
        if [frame.step for frame in frames] != list(range(first, first + len(frames))):
            raise GenuiError(f"{show(path)}: lacks a step; play it again")
        trace.frames = list(frames)
        trace.begin(started)
        trace.total = saved.total
        trace.lose()  # no worker has it
        trace.seek(trace.computed)
    trace.source = source
    return trace, find_model(saved.recipe.model)
