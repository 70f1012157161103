"""Reading tokens with a language model: what was read is kept, for several branches at once."""

from dataclasses import dataclass, field

import numpy as np
import torch

from genui.engine.device import Machine, autocast
from genui.engine.generate.token_list import TokenList
from genui.engine.models.language_model import LanguageModel, ReadingState

WINDOWS = 8
"""How many windows stay read."""


@dataclass(frozen=True)
class Span:
    """What the model sees of a text: tokens `first` and after, the first `at_once` in one go.

    The same bits need the same computations: what was read at once, then a token at a time.
    """

    first: int
    at_once: int


def span(length: int, prompt: int, model: LanguageModel) -> Span:
    """The span of `length` tokens, the first `prompt` of which were given.

    A model that is not `unlimited` sees at most its context; past that it goes on from the
    newest half, so the first token it sees moves by half a context at a time.
    """
    if model.unlimited:
        return Span(0, prompt)
    half = model.context // 2

    def first(length: int) -> int:
        return max(0, -(-(length - model.context) // half) * half)

    if first(length) == first(prompt):
        return Span(first(prompt), prompt - first(prompt))
    return Span(first(length), half + 1)


@torch.inference_mode()
def read(
    model: LanguageModel, machine: Machine, token_ids: np.ndarray, state: ReadingState
) -> np.ndarray:
    """Logits float32 [B, V] after token_ids [B, T], which go on with what `state` has read."""
    rows = torch.from_numpy(token_ids.astype(np.int64)).to(model.device)
    with autocast(machine):
        if state.length and rows.shape[1] == 1:
            logits = model.decode(rows[:, 0], state)
        else:
            logits = model.prefill(rows, state)
    return logits.float().cpu().numpy()


@dataclass(eq=False)
class Window:
    """Tokens that were read, int32, and what the model keeps of them."""

    at_once: int
    state: ReadingState
    token_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    def shared(self, token_ids: np.ndarray, at_once: int) -> int:
        """How many of `token_ids`, read in that way, were read here."""
        if at_once != self.at_once:
            return 0
        length = min(len(self.token_ids), len(token_ids))
        differ = np.flatnonzero(self.token_ids[:length] != token_ids[:length])
        same = int(differ[0]) if len(differ) else length
        return same if same >= at_once else 0


class Reader:
    """The windows read last, of any number of texts: at most `WINDOWS`.

    They are told apart by how they were computed, so a text gone on with from one has the
    bits that it would have alone. A window that another branch went on from is copied, not
    overwritten: branches take turns, and going back costs little. A text of 1,000 tokens
    has 7 windows of 256; one that is no longer kept is read again when it is needed.

    Memory is at most 8 states: of a Transformer layers × 2 × width × context × 4 bytes each,
    25 MB for the shipped models.
    """

    def __init__(self, model: LanguageModel, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self._windows: list[Window] = []  # the one used last at the end

    def logits(self, token_ids: TokenList, prompt: int) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which were given.

        What was given is read in one go, the rest one at a time.
        """
        seen = span(len(token_ids), prompt, self._model)
        return self._read(token_ids.since(seen.first), seen.at_once)

    def _read(self, token_ids: np.ndarray, at_once: int) -> np.ndarray:
        window, known = self._going_on(token_ids, at_once)
        # A state that does not keep every place goes back further, if need be to the beginning.
        known = window.state.seek(known)
        if known < at_once:
            known = window.state.seek(0)
        end = known + 1 if known else at_once
        logits = self._run(window, token_ids[:end], known)
        for known in range(end, len(token_ids)):
            logits = self._run(window, token_ids[: known + 1], known)
        return logits

    def _going_on(self, token_ids: np.ndarray, at_once: int) -> tuple[Window, int]:
        """A window to read `token_ids` in, and how many of them need not be read again.

        The last of them always is, for its logits. Of windows that hold equally many the
        shortest is best: the text may go on where it ends.
        """
        ranked = [
            (w.shared(token_ids, at_once), -len(w.token_ids), at)
            for at, w in enumerate(self._windows)
        ]
        shared, _, at = max(ranked, default=(0, 0, 0))
        if shared == 0:
            return self._add(Window(at_once, self._model.new_state(1))), 0
        window = self._windows.pop(at)
        self._windows.append(window)
        if shared < min(len(token_ids), len(window.token_ids)):
            state = window.state.snapshot(shared)
            window = self._add(Window(at_once, state, window.token_ids[:shared]))
        known = min(shared, len(token_ids) - 1)
        return window, known if known >= at_once else 0

    def _add(self, window: Window) -> Window:
        self._windows = [*self._windows[-(WINDOWS - 1) :], window]
        return window

    def _run(self, window: Window, token_ids: np.ndarray, known: int) -> np.ndarray:
        """Read the tokens after the `known`; those that were read before get the same values."""
        logits = read(self._model, self._machine, token_ids[None, known:], window.state)
        if len(token_ids) > len(window.token_ids):
            window.token_ids = token_ids
        return logits[0]


class RowReader:
    """Reads rows of equal length, a column more each time: for measuring, many texts at once.

    Past the context it goes on from the newest half, as `span` says.
    """

    def __init__(self, model: LanguageModel, machine: Machine, rows: int, prompt: int) -> None:
        self._model, self._machine = model, machine
        self._rows, self._prompt = rows, prompt
        self._first = 0
        self._state = model.new_state(rows)

    def logits(self, token_ids: np.ndarray) -> np.ndarray:
        """Logits float32 [rows, V] after token_ids int64 [rows, T]."""
        first = span(token_ids.shape[1], self._prompt, self._model).first
        if first != self._first:
            self._first, self._state = first, self._model.new_state(self._rows)
        new = token_ids[:, first + self._state.length :]
        return read(self._model, self._machine, new, self._state)

    def select(self, rows: np.ndarray) -> None:
        """From now on row k is what row `rows[k]` was; `rows` int64, of any number."""
        self._rows = len(rows)
        self._state.select(torch.from_numpy(rows).to(self._model.device))
