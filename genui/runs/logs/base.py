"""What every reader of a training's log offers, ours and other tools'."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from genui.errors import GenuiError
from genui.runs.disk import defect
from genui.runs.logs.collect import Collected
from genui.runs.series import Series

CHUNK = 4 * 1024 * 1024
"""Bytes a reader takes in at once, about: a fraction of a second's work."""

PIECE = 256 * 1024
"""Bytes decoded in one call, which nothing can interrupt: a few milliseconds."""


class Tail(Protocol):
    """A log that is brought up to date by `read`, from one thread.

    The mappings and sequences are replaced, never changed, so another thread may keep one.
    """

    @property
    def series(self) -> Mapping[str, Series]:
        """Metric name to its points, one a step."""
        ...

    @property
    def bad_lines(self) -> int:
        """Records that were no records."""
        ...

    @property
    def dropped(self) -> int:
        """Values left out because there were more than MOST_SERIES metrics."""
        ...

    @property
    def overlaps(self) -> Sequence[tuple[int, int]]:
        """First and last of the steps that were written again, after a resume: the last counts."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The hyperparameters as the log has them; empty where it has none."""
        ...

    @property
    def ended(self) -> str:
        """What the log itself says: "finished", "failed" or "stopped"; empty if nothing."""
        ...

    @property
    def progress(self) -> float:
        """Share of what was there that has been read: 1.0 is caught up."""
        ...

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """Takes in what was appended, about `limit_bytes` at most; True if anything changed.

        A log that is not there, yet or any more, changes nothing. Raises GenuiError, one line,
        where it may not be read or is none.
        """
        ...


class Reader:
    """What the readers of other tools' logs have in common: where their points go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = 0.0
        self._forget()

    def _forget(self) -> None:
        """Back to the beginning: it is another log now."""
        self.config: Mapping[str, Any] = {}
        self.ended = ""
        self._found = Collected()
        self._damaged = 0

    @property
    def series(self) -> Mapping[str, Series]:
        return self._found.series

    @property
    def bad_lines(self) -> int:
        return self._damaged

    @property
    def dropped(self) -> int:
        return self._found.dropped

    @property
    def overlaps(self) -> tuple[tuple[int, int], ...]:
        return self._found.overlaps


class Guarded:
    """A Tail of which nothing but GenuiError comes: a defect in a reader, or a log that no test
    thought of, is one line about one log. It is read no further then."""

    def __init__(self, tail: Tail, path: Path) -> None:
        self._tail = tail
        self._path = path
        self._defect: GenuiError | None = None

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As the reader's own; raises the same line again once it has failed."""
        if self._defect is not None:
            raise self._defect
        try:
            return self._tail.read(limit_bytes)
        except GenuiError:
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            self._defect = defect(self._path, error)
            raise self._defect from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tail, name)
