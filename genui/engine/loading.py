"""The progress of loading a large model and of reading a long prompt."""

from collections.abc import Callable

Report = Callable[[float, int], None]
"""Takes the share of the weights that is read, 0 to 1, and the bytes that they take in memory. It
may raise `LoadingStoppedError`."""


PromptReport = Callable[[float, int], None]
"""Takes the share of a long prompt that is read, 0 to 1, and its tokens. It may raise
`LoadingStoppedError`."""


class LoadingStoppedError(Exception):
    """The user does not wait for the model any longer."""


class LoadProgress:
    """Calls `weights` as a model is loaded and `prompt`, if it is given, as its long prompt is
    read."""

    def __init__(
        self, weights: Report = lambda share, size: None, prompt: PromptReport | None = None
    ) -> None:
        self._weights, self.prompt = weights, prompt
        self._size = 0

    def announce(self, size: int) -> None:
        """Say how many bytes the weights are about to take."""
        self._size = size
        self._weights(0.0, size)

    def advance(self, done: int, total: int) -> None:
        """Say that `done` parts of `total` are read."""
        self._weights(done / max(1, total), self._size)


SILENT = LoadProgress()
"""Reports nothing."""
