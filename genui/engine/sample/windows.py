"""Texts that a language model has read: passages, and its states after them; other texts with the
same beginning continue from them.

The same bits need the same portions: the prompt and each message of a chat in one pass, the rest a
token at a time. A text has the bits that it would have alone, whatever was read before.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from genui.engine.models.language_model import LanguageModel, ReadingState
from genui.engine.sample.inside import Interventions, first_difference, relative_to
from genui.engine.sample.token_list import TokenList

Chunks = tuple[tuple[int, int], ...]
"""Tokens after the prompt that are read in one pass, each from its first to one past its last: the
messages of a chat. They are in order."""


class Reading(NamedTuple):
    """A text to read."""

    token_ids: TokenList
    prompt: int  # how many of the tokens are the prompt
    interventions: Interventions = ()
    chunks: Chunks = ()


# --- The part of a text that is in the context ------------------------------------------------


@dataclass(frozen=True)
class Span:
    """The tokens in the context: from `first` on, `prefill` of them read in one pass.

    The rest is read one token at a time. The same bits need the same split.
    """

    first: int
    prefill: int


def span(length: int, prompt: int, model: LanguageModel) -> Span:
    """The span of `length` tokens, the first `prompt` of which are the prompt.

    When a model that is not `unlimited` reaches its context length, it continues with the newest
    half: `first` moves by half a context at a time.
    """
    if model.unlimited:
        return Span(0, prompt)
    half = model.context // 2

    def first(length: int) -> int:
        return max(0, -(-(length - model.context) // half) * half)

    if first(length) == first(prompt):
        return Span(first(prompt), prompt - first(prompt))
    return Span(first(length), half + 1)


@dataclass(frozen=True, eq=False)
class Passage:
    """The tokens int32 [T] of a text that are in the context, and the portions they are read in.

    Positions of chunks and interventions count from the start of the context.
    """

    token_ids: np.ndarray
    prefill: int  # tokens that are read in one pass
    interventions: Interventions = ()
    chunks: Chunks = ()

    def __len__(self) -> int:
        return len(self.token_ids)

    def whole(self, length: int) -> int:
        """As many tokens as whole portions have, of the first `length`."""
        inside = (start for start, end in self.chunks if start < length < end)
        length = next(inside, length)
        return length if length >= self.prefill else 0

    def end_of_portion(self, start: int) -> int:
        """Where the portion that begins at `start` ends."""
        return {0: self.prefill, **dict(self.chunks)}.get(start, start + 1)

    def until(self, length: int) -> "Passage":
        """The first tokens, in the same portions."""
        chunks = tuple(chunk for chunk in self.chunks if chunk[1] <= length)
        return replace(self, token_ids=self.token_ids[:length], chunks=chunks)

    def interventions_until(self, length: int) -> Interventions:
        """Those that hold at one of the first `length` tokens, or held before."""
        return tuple(one for one in self.interventions if one.position < length)

    def count_shared(self, other: "Passage") -> int:
        """The number of tokens of `other` that are here, in the same portions and with the same
        interventions."""
        if other.prefill != self.prefill:
            return 0
        same = min(len(self), len(other))
        if self.interventions or other.interventions:
            same = int(min(same, first_difference(self.interventions, other.interventions)))
        differ = self.token_ids[:same] != other.token_ids[:same]
        if differ.any():
            same = int(differ.argmax())
        if self.chunks or other.chunks:
            same = min([same, *(start for start, _ in {*other.chunks} ^ {*self.chunks})])
        return other.whole(same)


def find_passage(reading: Reading, model: LanguageModel) -> Passage:
    """The part of a text that the model reads."""
    context = span(len(reading.token_ids), reading.prompt, model)
    shifted = (
        (max(start - context.first, context.prefill), end - context.first)
        for start, end in reading.chunks
    )
    return Passage(
        reading.token_ids.since(context.first),
        context.prefill,
        relative_to(reading.interventions, context.first),
        tuple((start, end) for start, end in shifted if start < end),
    )


# --- Windows ----------------------------------------------------------------------------------

WINDOWS = 8
"""The number of windows whose cache is stored."""

WINDOW_BYTES = 512 << 20
"""Older windows are dropped sooner if they take more together."""


@dataclass(eq=False)
class Window:
    """A passage that was read from the start of a context, and the model's state (KV cache)."""

    passage: Passage
    state: ReadingState
    prompt_logits: np.ndarray | None = None
    """Float32 [V], after the tokens of `prefill`: for other samples of the same prompt."""


class Windows:
    """The most recent windows of any number of texts, at most `WINDOWS`.

    A window is reused only for the same prefill, and up to the first position that an intervention
    changes. A branch that continues from the middle of a window gets a copy: branches can
    alternate, and going back is cheap. A text of 1,000 tokens has 7 windows of 256; one that was
    dropped is read again when it is needed.

    Memory is at most 8 states, or as many as texts advance together, and 512 MB if there are more
    than two; for a Transformer layers × 2 × width × context × 4 bytes each, 25 MB for 8 of the
    shipped models.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._windows: list[Window] = []  # the most recently used one last
        self._most = WINDOWS

    def make_room(self, texts: int) -> None:
        """Store a window for each of so many texts."""
        self._most = max(self._most, texts)

    @property
    def bytes_per_token(self) -> float:
        """The size of a state, as far as it is known."""
        state: Any = self._windows[-1].state if self._windows else None
        return getattr(state, "nbytes", 0) / max(1, getattr(state, "capacity", 1))

    def find_prompt(self, passage: Passage) -> np.ndarray | None:
        """The logits float32 [V] after a passage that is a prompt alone, if a window has them."""
        if len(passage) == passage.prefill:
            for window in self._windows:
                shared = window.passage.count_shared(passage)
                if shared == passage.prefill and window.prompt_logits is not None:
                    return window.prompt_logits.copy()
        return None

    def find(self, passage: Passage) -> tuple[Window, int]:
        """A window to read a passage with, and how many of its tokens need not be read again.

        The last one is always read, for its logits. Among windows that share equally many tokens
        the shortest wins: it may continue without a copy.
        """
        ranked = [
            (window.passage.count_shared(passage), -len(window.passage), i)
            for i, window in enumerate(self._windows)
        ]
        shared, _, i = max(ranked, default=(0, 0, 0))
        if shared == 0:
            none = replace(passage, token_ids=np.empty(0, np.int32), chunks=())
            return self._add(Window(none, self._model.new_state(1))), 0
        window = self._windows.pop(i)
        self._windows.append(window)
        read = window.passage
        if shared < min(len(passage), len(read)) or read.interventions != passage.interventions:
            copied = replace(read.until(shared), interventions=passage.interventions)
            window = self._add(Window(copied, window.state.snapshot(shared), window.prompt_logits))
        return window, passage.whole(min(shared, len(passage) - 1))

    def by_tokens(self) -> dict[bytes, Window]:
        """The windows by the bytes of the tokens that they have read."""
        return {window.passage.token_ids.tobytes(): window for window in self._windows}

    def put_last(self, used: list[Window]) -> None:
        """Note that these windows were used most recently."""
        numbers = {id(window) for window in used}
        self._windows.sort(key=lambda window: id(window) in numbers)

    def _add(self, window: Window) -> Window:
        self._windows = [*self._windows[-(self._most - 1) :], window]
        # States of models that may read 100,000 tokens know their size; others are small.
        sizes = [getattr(each.state, "nbytes", 0) for each in self._windows]
        while len(sizes) > 2 and sum(sizes) > WINDOW_BYTES:
            del self._windows[0], sizes[0]
        return window
