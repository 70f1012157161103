"""Reading texts with a language model: the logits after their last tokens.

Prompts, chunks, and tokens at which an intervention holds are read by the network's modules; single
tokens by its decoder, if it has one. So which of the two computes a position depends on the prompt,
the chunks and the interventions only, whatever was read before.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genui.engine.device import Machine, autocast
from genui.engine.loading import PromptReport
from genui.engine.models.language_model import LanguageModel, LayeredModel, ReadingState
from genui.engine.sample.inside import Interventions, intervening, parts_of
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.windows import (
    WINDOW_BYTES,
    Chunks,
    Passage,
    Reading,
    Window,
    Windows,
    find_passage,
)

if TYPE_CHECKING:
    from genui.engine.models.fast_decoding import Decoder

LONG_PROMPT = 256
"""Tokens from which on a prompt takes a time that is worth showing."""


@torch.inference_mode()
def read(
    model: LanguageModel,
    machine: Machine,
    token_ids: np.ndarray,
    state: ReadingState,
    head: bool = True,
) -> np.ndarray:
    """Logits float32 [B, V] after token_ids [B, T], which follow those read into `state`.

    Without `head` a model that shows its layers reads a single token without its logits: V is 0.
    """
    idx = torch.from_numpy(token_ids.astype(np.int64)).to(model.device)  # [B, T]
    with autocast(machine):
        if state.length and idx.shape[1] == 1:
            if not head and isinstance(model, LayeredModel):
                model.hidden_states(idx, state)
                return np.empty((len(idx), 0), np.float32)
            logits = model.decode(idx[:, 0], state)
        else:
            logits = model.prefill(idx, state)
    return logits.float().cpu().numpy()


@contextmanager
def reporting_prompt(model: LanguageModel, report: PromptReport) -> Iterator[None]:
    """Within the block `report` is called after each layer that reads a long prompt, which is read
    layer by layer, all tokens at once."""
    layers = parts_of(model)

    def tell(done: int, x: torch.Tensor) -> None:
        if x.shape[1] >= LONG_PROMPT:  # x [B, T, C]
            report(done / len(layers), x.shape[1])

    with ExitStack() as hooks:
        for done, part in enumerate(layers, start=1):
            handle = part.block.register_forward_hook(
                lambda _, args, __, done=done: tell(done, args[0])
            )
            hooks.callback(handle.remove)
        yield


class TextReader:
    """Reads texts one by one, and, with a `decoder`, the next tokens of several together."""

    def __init__(self, model: LanguageModel, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self._windows = Windows(model)
        self._rows = TextRows(model, self._windows)
        self.decoder: Decoder | None = None

    def logits(self, reading: Reading, by_modules: bool = False) -> np.ndarray:
        """Logits float32 [V] after the tokens of a text.

        The last portion is always read anew, except for a prompt whose logits are in a window.
        `by_modules` has it read by the network's modules, for their hooks; the logits may be empty,
        as in `read`.
        """
        if not by_modules and (ahead := self._rows.get(reading)) is not None:
            return ahead
        passage = find_passage(reading, self._model)
        if not by_modules and (known := self._windows.find_prompt(passage)) is not None:
            return known
        window, start = self._windows.find(passage)
        # A state that does not store every position may go further back, even to the start.
        start = window.state.seek(start)
        while start != (whole := passage.whole(start)):
            start = window.state.seek(whole)
        logits = np.empty(0, np.float32)
        while start < len(passage):
            end = passage.end_of_portion(start)
            if by_modules and end == len(passage):
                return self._read_by_modules(window, passage, start)
            logits = self._read(window, passage.until(end), start)
            if start == 0:
                window.prompt_logits = logits
            start = end
        return logits

    def read_ahead(self, readings: Sequence[Reading]) -> None:
        """Read the last token of several texts together, for the next calls of `logits`, to the
        bits that each has alone."""
        self._rows.read(readings, self.decoder)

    def count_rows(self, tokens: int) -> int:
        """The number of texts of so many tokens that can advance together within the limits of
        memory; 1 if nothing is read ahead."""
        if self.decoder is None:
            return 1
        # Bytes of a state: it grows by doubling.
        size = self._windows.bytes_per_token * (1 << (tokens - 1).bit_length())
        return ROWS if ROWS * size <= WINDOW_BYTES else max(1, int(WINDOW_BYTES / size))

    def _read(self, window: Window, passage: Passage, start: int) -> np.ndarray:
        """Logits [V] after reading the tokens from index `start` on, some perhaps once more."""
        active = passage.interventions_until(len(passage))
        if self.decoder is not None and not active and 0 < start == len(passage) - 1:
            logits = self.decoder(int(passage.token_ids[start]), window.state)
        else:
            with intervening(self._model, active, start):
                row = passage.token_ids[None, start:]
                logits = read(self._model, self._machine, row, window.state)[0]
        if len(passage) > len(window.passage):
            window.passage = passage
        return logits

    def _read_by_modules(self, window: Window, passage: Passage, start: int) -> np.ndarray:
        """As `_read`, by the modules. The window keeps the state from its own reading."""
        state = window.state.snapshot(start)
        with intervening(self._model, passage.interventions_until(len(passage)), start):
            row = passage.token_ids[None, start:]
            return read(self._model, self._machine, row, state, head=False)[0]


# --- The next tokens of several texts ---------------------------------------------------------

ROWS = 16
"""The most texts that advance together. With more of them a token takes hardly less time."""


class TextRows:
    """Texts that advance together: one token of each is read by the decoder's `read_rows`.

    Only of texts whose window has all tokens before it, as when they advance. The bits are the same
    as for one text alone: two rows of the first reading are compared with that, and nothing is read
    ahead by a NumPy that would round otherwise.
    """

    def __init__(self, model: LanguageModel, windows: Windows) -> None:
        self._model, self._windows = model, windows
        self._agree: bool | None = None  # with one row alone; None: not compared yet
        self._ahead: dict[TokenList, tuple[Interventions, Chunks, np.ndarray]] = {}

    def get(self, reading: Reading) -> np.ndarray | None:
        """The logits float32 [V] after a text that was read ahead."""
        interventions, chunks, logits = self._ahead.get(reading.token_ids, (None, None, None))
        is_same = interventions is reading.interventions and chunks is reading.chunks
        return logits if is_same else None

    def read(self, readings: Sequence[Reading], decoder: "Decoder | None") -> None:
        """Read the last token of several texts, in place of those read before."""
        self._ahead.clear()
        self._windows.make_room(len(readings))
        if decoder is None or self._agree is False:
            return
        windows = self._windows.by_tokens()
        rows: list[tuple[Reading, Window, Passage]] = []
        for reading in readings:
            passage = find_passage(reading, self._model)
            # Once: a state has one next token.
            window = windows.pop(passage.token_ids[:-1].tobytes(), None)
            if window is not None and _can_advance(window, passage):
                rows.append((reading, window, passage))
        if len(rows) < 2:
            return
        ids = [int(passage.token_ids[-1]) for _, _, passage in rows]
        states = [window.state for _, window, _ in rows]
        copies: list[Any] = []
        if self._agree is None:
            copies = [state.snapshot(state.length) for state in states[:2]]
        logits = decoder.read_rows(ids, states)
        if copies:
            alone = [decoder(*each) for each in zip(ids, copies, strict=False)]
            self._agree = all(map(np.array_equal, alone, logits))
            if not self._agree:
                for state in states:
                    state.seek(state.length - 1)
                return
        for (reading, window, passage), values in zip(rows, logits, strict=True):
            window.passage = passage
            self._ahead[reading.token_ids] = (
                reading.interventions,
                reading.chunks,
                values.copy(),
            )
        self._windows.put_last([window for _, window, _ in rows])


def _can_advance(window: Window, passage: Passage) -> bool:
    """Whether a window has read all but the last token, and no intervention holds."""
    known = len(passage) - 1
    return (
        0 < known == window.passage.count_shared(passage)
        and window.passage.interventions == passage.interventions
        and not passage.interventions_until(len(passage))
        and known == window.state.seek(known)
    )
