"""The progress of loading a large model and of reading a long prompt, for who waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[float, int], None]
"""Takes the share of the weights that is read, 0 to 1, and the bytes that they take in memory. It
may raise `LoadingStoppedError`."""


PromptReport = Callable[[float, int], None]
"""Takes the share of a long prompt that is read, 0 to 1, and its tokens. It may raise
`LoadingStoppedError`."""


class LoadingStoppedError(Exception):
    """The user does not wait for the model any longer."""


def _ignore(share: float, size: int) -> None:
    pass


_report: Report = _ignore
_prompt_report: PromptReport = _ignore
_size = 0


@contextmanager
def reported(report: Report, prompt: PromptReport = _ignore) -> Iterator[None]:
    """Models that are loaded in the block tell `report` how far they are, and tell `prompt` how far
    they have read a long prompt."""
    global _report, _prompt_report, _size
    before = _report, _prompt_report
    _report, _prompt_report, _size = report, prompt, 0
    try:
        yield
    finally:
        _report, _prompt_report = before


def announce(size: int) -> None:
    """Say how many bytes the weights are about to take."""
    global _size
    _size = size
    _report(0.0, size)


def advance(done: int, total: int) -> None:
    """Say that `done` parts of `total` are read."""
    _report(done / max(1, total), _size)


def is_prompt_reported() -> bool:
    return _prompt_report is not _ignore


def read_prompt(done: int, total: int, tokens: int) -> None:
    """Say that `done` parts of `total` of a prompt of so many tokens are read."""
    _prompt_report(done / max(1, total), tokens)
