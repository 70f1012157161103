"""Logs of trainings, ours and other tools': what is there, and a reader for each format."""

from pathlib import Path
from typing import TYPE_CHECKING

from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary, summarise

if TYPE_CHECKING:
    from genui.runs.logs.base import Tail


def open_tail(summary: RunSummary) -> "Tail":
    """The reader of that log, at its beginning. Reads nothing yet."""
    from genui.runs.tail import MetricsTail  # brings numpy, which no first frame waits for

    return MetricsTail(summary.run.metrics)


def summarise_log(path: Path, format: str) -> RunSummary:
    """How the log of that format is now. Never raises: what is wrong with it is in `fault`."""
    return summarise(RunDir(path))
