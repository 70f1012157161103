"""The progress of loading a large model, for the process that waits for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[float, int], None]
"""Takes the share of the weights that is read, 0 to 1, and the bytes that they take in memory. It
may raise `LoadingStoppedError`."""


class LoadingStoppedError(Exception):
    """The user does not wait for the model any longer."""


def _ignore(share: float, size: int) -> None:
    pass


_report: Report = _ignore
_size = 0


@contextmanager
def reported(report: Report) -> Iterator[None]:
    """Models that are loaded in the block tell `report` how far they are."""
    global _report, _size
    before, _report, _size = _report, report, 0
    try:
        yield
    finally:
        _report = before


def announce(size: int) -> None:
    """Say how many bytes the weights are about to take."""
    global _size
    _size = size
    _report(0.0, size)


def advance(done: int, total: int) -> None:
    """Say that `done` parts of `total` are read."""
    _report(done / max(1, total), _size)
