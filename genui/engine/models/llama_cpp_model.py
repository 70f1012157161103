"""GGUF files by llama.cpp, behind the seam `LanguageModel`: its logits, our choice of the token.

For files that do not fit into memory as fp32 or bf16, and for architectures that our network does
not compute. It gives no hidden states and no attention, and cannot be trained.
"""

import atexit
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from genui.base.errors import GenuiError
from genui.engine import loading
from genui.engine.device import LLAMA_CPP
from genui.engine.models.language_model import token_loss

CONTEXT = 4096
"""The longest context in tokens: its keys and values are allocated at once."""

PORTION = 256
"""Tokens of a prompt that are read at once."""


class LlamaCppState:
    """The tokens read so far, and the portions in which they were read.

    llama.cpp has the keys and values of one text at a time. If those of another state are needed,
    the tokens that differ are read again in the same portions, which gives the same bits.
    """

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.starts: list[int] = []  # of the portions

    @property
    def length(self) -> int:
        return len(self.token_ids)

    def seek(self, length: int) -> int:
        """Inside a portion there is no state: then the length is that of its beginning."""
        at = max(end for end in (0, *self.starts, self.length) if end <= length)
        self.token_ids = self.token_ids[:at]
        self.starts = [start for start in self.starts if start < at]
        return at

    def snapshot(self, length: int) -> "LlamaCppState":
        copy = LlamaCppState()
        copy.token_ids, copy.starts = [*self.token_ids], [*self.starts]
        copy.seek(length)
        return copy

    def select(self, rows: Tensor) -> None:
        if rows.tolist() != [0]:
            raise GenuiError("llama.cpp writes one text at a time here")


def _reporting_class(library: Any, faults: list[BaseException]) -> Any:
    """The class Llama of llama-cpp-python, whose loading is reported; what a report raises ends it
    and is added to `faults`.

    The package has no option for llama.cpp's callback, so it is set in the model's parameters.
    """

    @library.llama_progress_callback
    def report(share: float, _: Any) -> bool:
        try:
            loading.advance(round(share * 1000), 1000)
        except BaseException as error:
            faults.append(error)
        return not faults

    class Reporting(library.Llama):
        @property
        def model_params(self) -> Any:
            return self._model_params

        @model_params.setter
        def model_params(self, params: Any) -> None:
            params.progress_callback = report
            self._model_params = params

    return Reporting


class LlamaCppModel:
    """A `LanguageModel` by a GGUF file and the package llama-cpp-python."""

    unlimited = False
    device = torch.device("cpu")

    def __init__(self, path: Path, context: int = CONTEXT) -> None:
        """Raises ImportError without the package, GenuiError if llama.cpp cannot load the file."""
        import llama_cpp  # type: ignore[import-not-found]  # late: an extra

        self._library = llama_cpp
        self.computed_by = f"{LLAMA_CPP} {llama_cpp.__version__}"
        threads = torch.get_num_threads()
        faults: list[BaseException] = []
        loading.announce(0)  # it maps the file
        try:
            self._llama = _reporting_class(llama_cpp, faults)(
                model_path=str(path),
                n_ctx=min(context or CONTEXT, CONTEXT),
                n_batch=PORTION,
                n_ubatch=PORTION,
                n_threads=threads,
                n_threads_batch=threads,
                swa_full=True,  # sliding windows can be cut too
                verbose=False,
            )
        except (ValueError, RuntimeError, AssertionError) as error:
            if faults:
                raise faults[0] from None
            raise GenuiError(f"llama.cpp cannot load it ({error})") from None
        atexit.register(self._llama.close)  # at the end of Python it would be too late
        self.context = self._llama.n_ctx()
        self.vocab_size = self._llama.n_vocab()
        self._read: list[int] = []  # the tokens whose keys and values llama.cpp has

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, by llama.cpp; special tokens in it are ordinary text."""
        raw = text.encode("utf-8", "replace")
        return self._llama.tokenize(raw, add_bos=False, special=False)

    def to(self, device: str) -> Self:
        return self

    def eval(self) -> Self:
        return self

    def new_state(self, rows: int) -> LlamaCppState:
        if rows != 1:
            raise GenuiError("llama.cpp writes one text at a time here")
        return LlamaCppState()

    def prefill(self, token_ids: Tensor, state: LlamaCppState) -> Tensor:
        for portion in token_ids[0].split(PORTION):
            state.starts.append(state.length)
            state.token_ids += portion.tolist()
        return self._logits(state)

    def decode(self, token_ids: Tensor, state: LlamaCppState) -> Tensor:
        state.starts.append(state.length)
        state.token_ids += token_ids.tolist()
        return self._logits(state)

    def _logits(self, state: LlamaCppState) -> Tensor:
        """Logits fp32 [1, V] after a state. What llama.cpp has of it is not read again."""
        shared = 0
        for ours, theirs in zip(state.token_ids, self._read, strict=False):
            if ours != theirs:
                break
            shared += 1
        # The last portion is read for its logits.
        begin = max((s for s in state.starts[:-1] if s <= shared), default=0)
        begin = state.starts[-1] if state.starts[-1] <= shared else begin
        memory = self._library.llama_get_memory(self._llama.ctx)
        if not self._library.llama_memory_seq_rm(memory, 0, begin, -1):
            begin = 0  # a recurrent state cannot be cut
            self._library.llama_memory_clear(memory, True)
        self._read = self._read[:begin]
        threads = torch.get_num_threads()
        self._library.llama_set_n_threads(self._llama.ctx, threads, threads)
        ends = [start for start in state.starts if start >= begin] + [state.length]
        for first, end in pairwise(ends):
            self._llama.n_tokens = first
            self._llama._batch.set_batch(
                batch=state.token_ids[first:end], n_past=first, logits_all=False
            )
            self._llama._ctx.decode(self._llama._batch)
            self._read += state.token_ids[first:end]
            if end - begin > PORTION:
                loading.read_prompt(end - begin, state.length - begin, state.length)
        pointer = self._library.llama_get_logits_ith(self._llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self.vocab_size,)).copy()
        return torch.from_numpy(logits)[None]

    def __call__(self, token_ids: Tensor) -> Tensor:
        """Token by token: slow, and exactly what a generation sees."""
        rows = []
        for row in token_ids:
            state = LlamaCppState()
            logits = [self.decode(token[None], state) for token in row]
            rows.append(torch.cat(logits))
        return torch.stack(rows)

    def loss(self, token_ids: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return token_loss(self(token_ids), targets, weights)

    def hidden_states(self, token_ids: Tensor) -> tuple[Tensor, ...]:
        return ()

    def attention_weights(self, token_ids: Tensor, last: int = 1) -> Tensor | None:
        return None
