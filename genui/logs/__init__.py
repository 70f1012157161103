"""Training logs of genui and other tools: the search for them, and a reader for each format.

The search needs no numpy, so the first frame does not wait for it; the readers do.
"""

from typing import TYPE_CHECKING, cast

from genui.logs.base import SafeTail
from genui.logs.find import LogList, find_logs, summarise_log
from genui.logs.formats import FORMATS

if TYPE_CHECKING:
    from genui.logs.base import Tail
    from genui.runs.listing import RunSummary

__all__ = ["FORMATS", "LogList", "find_logs", "open_tail", "summarise_log"]


def open_tail(summary: "RunSummary") -> "Tail":
    """The reader of that log, at its beginning. Reads nothing yet.

    Its `read` raises only GenuiError, so an error in one log does not affect the others.
    """
    path = summary.run.path
    return cast("Tail", SafeTail(FORMATS[summary.format].open(path), path))
