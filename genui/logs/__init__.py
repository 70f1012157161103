"""Logs of trainings, genui's and other tools': which there are, and a reader for each format.

Finding logs needs no numpy, which no first frame waits for; reading one does.
"""

from typing import TYPE_CHECKING, cast

from genui.logs.base import Guarded
from genui.logs.find import FoundLogs, find_logs, summarise_log
from genui.logs.formats import FORMATS

if TYPE_CHECKING:
    from genui.logs.base import Tail
    from genui.runs.listing import RunSummary

__all__ = ["FORMATS", "FoundLogs", "find_logs", "open_tail", "summarise_log"]


def open_tail(summary: "RunSummary") -> "Tail":
    """The reader of that log, at its beginning. Reads nothing yet.

    Its `read` raises GenuiError whatever goes wrong in it, so that one log costs no other.
    """
    path = summary.run.path
    return cast("Tail", Guarded(FORMATS[summary.format].open(path), path))
