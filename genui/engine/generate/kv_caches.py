"""Reading a text with a Transformer: what it has read is kept, for several branches at once."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from genui.engine.device import Machine, autocast
from genui.engine.models.transformer import KVCache, Transformer

WINDOWS = 8
"""How many windows stay read."""


@dataclass(frozen=True)
class Span:
    """What the network sees of a text: tokens `first` and after, the first `at_once` in one go.

    The same bits need the same computations: what was read at once, then a token at a time.
    """

    first: int
    at_once: int


def span(length: int, prompt: int, context: int) -> Span:
    """The span of `length` tokens, the first `prompt` of which were given.

    The network sees at most its context; past that it goes on from the newest half, so the
    first token it sees moves by half a context at a time.
    """
    half = context // 2

    def first(length: int) -> int:
        return max(0, -(-(length - context) // half) * half)

    if first(length) == first(prompt):
        return Span(first(prompt), prompt - first(prompt))
    return Span(first(length), half + 1)


@dataclass(eq=False)
class Window:
    """Tokens that were read, and their keys and values."""

    at_once: int
    cache: KVCache
    tokens: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    def shared(self, tokens: np.ndarray, at_once: int) -> int:
        """How many of `tokens`, read in that way, were read here."""
        if at_once != self.at_once:
            return 0
        length = min(len(self.tokens), len(tokens))
        differ = np.flatnonzero(self.tokens[:length] != tokens[:length])
        same = int(differ[0]) if len(differ) else length
        return same if same >= at_once else 0


class KVCaches:
    """The windows read last, of any number of texts: at most `WINDOWS`.

    They are told apart by how they were computed, so a text gone on with from one has the
    bits that it would have alone. A window that another branch went on from is copied, not
    overwritten: branches take turns, and going back costs nothing. A text of 1,000 tokens
    has 7 windows of 256; one that is no longer kept is read again when it is needed.

    Memory is at most 8 windows × layers × 2 × width × context × 4 bytes: 25 MB for the
    shipped models.
    """

    def __init__(self, model: Transformer, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self._device = next(model.parameters()).device
        self._windows: list[Window] = []  # the one used last at the end

    def read(self, tokens: np.ndarray, at_once: int) -> np.ndarray:
        """Logits float32 [V] after tokens int32 [T], T at most the context.

        The first `at_once` are read in one go, the rest one at a time.
        """
        window, known = self._going_on(tokens, at_once)
        end = known + 1 if known else at_once
        logits = self._run(window, tokens[:end], known)
        for known in range(end, len(tokens)):
            logits = self._run(window, tokens[: known + 1], known)
        return logits

    def _going_on(self, tokens: np.ndarray, at_once: int) -> tuple[Window, int]:
        """A window to read `tokens` in, and how many of them need not be read again.

        The last of them always is, for its logits. Of windows that hold equally many the
        shortest is best: the text may go on where it ends.
        """
        ranked = [
            (w.shared(tokens, at_once), -len(w.tokens), at) for at, w in enumerate(self._windows)
        ]
        shared, _, at = max(ranked, default=(0, 0, 0))
        if shared == 0:
            return self._add(Window(at_once, self._empty())), 0
        window = self._windows.pop(at)
        self._windows.append(window)
        if shared < min(len(tokens), len(window.tokens)):
            window = self._add(self._copy(window, shared))
        known = min(shared, len(tokens) - 1)
        return window, known if known >= at_once else 0

    def _add(self, window: Window) -> Window:
        self._windows = [*self._windows[-(WINDOWS - 1) :], window]
        return window

    def _empty(self) -> KVCache:
        return KVCache(self._model.config, 1, self._device)

    def _copy(self, window: Window, length: int) -> Window:
        cache = self._empty()
        cache.keys[..., :length, :] = window.cache.keys[..., :length, :]
        cache.values[..., :length, :] = window.cache.values[..., :length, :]
        return Window(window.at_once, cache, window.tokens[:length])

    @torch.inference_mode()
    def _run(self, window: Window, tokens: np.ndarray, known: int) -> np.ndarray:
        """Read the tokens after the `known`; those that were read before get the same values."""
        row = torch.from_numpy(tokens[known:].astype(np.int64))[None].to(self._device)
        window.cache.length = known
        with autocast(self._machine):
            logits: Tensor = self._model(row, window.cache)
        if len(tokens) > len(window.tokens):
            window.tokens = tokens
        return logits[0, -1].float().cpu().numpy()
