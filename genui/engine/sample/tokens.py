"""What generators of tokens share: token lists, sampling a token, the KV cache, and traces."""

import itertools
import weakref
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch

from genui.base.errors import MisuseError
from genui.engine.device import Machine, autocast
from genui.engine.loading import PromptReport
from genui.engine.models.language_model import LanguageModel, LayeredModel, ReadingState
from genui.engine.sample.inside import (
    Interventions,
    build_intervention,
    first_difference,
    intervening,
    parts_of,
    relative_to,
)
from genui.engine.sample.logits import (
    FILTERS,
    NEVER,
    Draw,
    distribution,
    draw_token,
    entropy,
    likeliest,
    needs_history,
    softmax,
)
from genui.protocol import (
    Ablate,
    Candidate,
    Edit,
    Patch,
    SetSeed,
    SetSettings,
    Start,
    Started,
    Steer,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.protocol.settings import LayerEdit

if TYPE_CHECKING:
    from genui.engine.models.fast_decoding import Decoder
    from genui.engine.sample.trace import Trace

# --- Token lists ------------------------------------------------------------------------------


class TokenList:
    """An immutable list of tokens; `appended` returns a longer one in constant time.

    The lists of a trace share one array and differ in length, so n tokens take n numbers however
    many states are stored. If two lists grow from the same one (a fork), the second is a copy.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, tokens: Iterable[int]) -> None:
        self._shared = array("i", tokens)  # append-only
        self._length = len(self._shared)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._shared[range(self._length)[index]]

    def since(self, first: int) -> np.ndarray:
        """The tokens from index `first` on, int32 [T - first]."""
        return np.array(self._shared[first : self._length], dtype=np.int32)

    def appended(self, token: int) -> "TokenList":
        """The list with one more token."""
        longer = object.__new__(TokenList)
        taken = self._length < len(self._shared) and self._shared[self._length] != token
        longer._shared = self._shared[: self._length] if taken else self._shared
        longer._length = self._length + 1
        if longer._length > len(longer._shared):
            longer._shared.append(token)
        return longer


Chunks = tuple[tuple[int, int], ...]
"""Tokens after the prompt that are read in one pass, each from its first to one past its last: the
messages of a chat. They are in order."""

# --- Sampling a token -------------------------------------------------------------------------

CANDIDATES = 12
"""The number of likeliest tokens in a frame."""


LOGITS = 64 << 20
"""Bytes of logits that the states of all traces of a generator store together."""


class StoredLogits:
    """The logits [V] after some tokens, computed when they are needed, so that other texts can be
    read together with them. Those that were not used for long are dropped, and computed again, to
    the same bits: of a vocabulary of 262,144 tokens they take 1 MB.
    """

    __slots__ = ("__weakref__", "_compute", "_recent", "_values")

    def __init__(self, compute: Callable[[], np.ndarray], recent: "RecentLogits") -> None:
        self._compute, self._recent = compute, recent
        self._values: np.ndarray | None = None

    @property
    def is_computed(self) -> bool:
        return self._values is not None

    def get(self) -> np.ndarray:
        if self._values is None:
            self._values = self._compute()
            self._recent[next(_numbers)] = self
            if len(self._recent) > 1 and len(self._recent) * self._values.nbytes > LOGITS:
                self._recent.pop(next(iter(self._recent.keys())))._values = None
        return self._values


RecentLogits = weakref.WeakValueDictionary[int, StoredLogits]
"""The logits of a generator's states that are stored, the last computed one last."""

_numbers = itertools.count()


def fixed_logits(values: np.ndarray) -> StoredLogits:
    """Logits that are never dropped: few, or none."""
    return StoredLogits(lambda: values, RecentLogits())


@dataclass(frozen=True, kw_only=True)
class WritingState:
    """The tokens so far, and those that are to be written."""

    token_ids: TokenList
    step: int
    seed: int
    settings: TextSettings
    written: tuple[int, ...] = ()  # tokens written by hand, for the steps after `written_from`
    written_from: int = 0
    answer_from: int = 0  # the step at which the answer of a chat begins

    @property
    def forced(self) -> int | None:
        """The next token, if it was written by hand."""
        at = self.step - self.written_from
        return self.written[at] if at < len(self.written) else None

    @property
    def token_budget(self) -> int:
        """The number of tokens to write: by the settings, or more if there are more by hand. Each
        answer of a chat has its own."""
        written = self.written_from + len(self.written)
        return max(self.answer_from + self.settings.tokens, written, self.step)


@dataclass(frozen=True, kw_only=True)
class TokenState(WritingState):
    """The tokens so far, which are the model's input, and the logits [V] of the next one.

    The stored states of a trace take all together 4 bytes per token, and the logits' bytes.
    """

    prompt: int  # how many of the tokens are the prompt
    stored: StoredLogits = field(repr=False)
    interventions: Interventions = ()  # the edits of layers so far
    chunks: Chunks = ()  # the later messages of a chat

    @property
    def logits(self) -> np.ndarray:
        return self.stored.get()


def next_token(
    state: TokenState,
    history: Callable[[], np.ndarray],
    text_of: Callable[[int], str],
    allowed: Callable[[int], bool] | None = None,
) -> TextFrame:
    """The frame of the next token: the forced one, or a sampled one that is `allowed`.

    `history` returns the tokens to penalize, `text_of` the text of a token.
    """
    step, settings, forced, logits = state.step + 1, state.settings, state.forced, state.logits
    penalized = history() if needs_history(settings) else None
    if forced is None:
        sampled, draw = draw_token(logits, settings, penalized, (state.seed, step), allowed)
    else:
        sampled = distribution(logits, settings, penalized)
        draw = Draw(forced, 0.0, 0.0, 0.0)
    token, model = draw.token, softmax(logits)
    top = likeliest(model, CANDIDATES).tolist()
    if token not in top:
        top[-1] = token  # the last candidate is the chosen token
    odds = zip(
        top,
        model[top].tolist(),
        sampled.probability[top].tolist(),
        logits[top].tolist(),
        sampled.filters[top].tolist(),
        strict=True,
    )
    return TextFrame(
        trace=0,  # the trace numbers its frames
        step=step,
        token=token,
        text=text_of(token),
        surprisal=float(-np.log2(max(model[token], 1e-30))),
        entropy=entropy(model),
        candidates=tuple(
            Candidate(t, text_of(t), own, chance, logit, FILTERS[dropped])
            for t, own, chance, logit, dropped in odds
        ),
        sampled_entropy=entropy(sampled.probability),
        u=draw.u,
        low=draw.low,
        high=draw.high,
        forced=forced is not None,
        kept=sampled.kept,
    )


# --- Running a language model, with the KV caches of several branches -------------------------

WINDOWS = 8
"""The number of windows whose cache is stored."""

WINDOW_BYTES = 512 << 20
"""Older windows are dropped sooner if they take more together."""

ROWS = 16
"""The most texts that advance together. With more of them a token takes hardly less time."""


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


def _shift(chunks: Chunks, context: Span) -> Chunks:
    """The chunks of the context in its own positions, without what `prefill` has."""
    shifted = ((max(a - context.first, context.prefill), b - context.first) for a, b in chunks)
    return tuple((a, b) for a, b in shifted if a < b)


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
    """Within the block `report` hears of each layer that has read a long prompt, which is read
    layer by layer, all tokens at once."""
    layers = parts_of(model)

    def tell(done: int, x: torch.Tensor) -> None:
        if x.shape[1] >= LONG_PROMPT:  # x [B, T, C]
            report(done / len(layers), x.shape[1])

    handles = [
        part.block.register_forward_hook(lambda _, args, __, done=done: tell(done, args[0]))
        for done, part in enumerate(layers, start=1)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


Reading = tuple[TokenList, int, Interventions, Chunks]
"""What `Reader.logits` takes: the tokens, how many of them are the prompt, and the rest."""


@dataclass(eq=False)
class Window:
    """Tokens int32 [T] read from the start of a context, and the model's state (KV cache).

    The positions of the interventions count from the start of the context.
    """

    prefill: int
    state: ReadingState
    interventions: Interventions = ()
    token_ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    chunks: Chunks = ()
    prompt_logits: np.ndarray | None = None
    """Float32 [V], after the tokens of `prefill`: for other samples of the same prompt."""

    def count_shared(
        self, token_ids: np.ndarray, prefill: int, interventions: Interventions, chunks: Chunks
    ) -> int:
        """How many of `token_ids` this window has read, in the same portions and with the same
        interventions."""
        if prefill != self.prefill:
            return 0
        same = min(len(self.token_ids), len(token_ids))
        if self.interventions or interventions:
            same = int(min(same, first_difference(self.interventions, interventions)))
        differ = self.token_ids[:same] != token_ids[:same]
        if differ.any():
            same = int(differ.argmax())
        if self.chunks or chunks:
            same = min([same, *(start for start, _ in {*chunks} ^ {*self.chunks})])
            same = _before_chunk(same, chunks)
        return same if same >= prefill else 0


def _before_chunk(length: int, chunks: Chunks) -> int:
    """The number of tokens, or fewer so that they do not end within a chunk."""
    return next((start for start, end in chunks if start < length < end), length)


class Reader:
    """The most recent windows of any number of texts, at most `WINDOWS`.

    A window is reused only for the same prefill, and up to the first position that an intervention
    changes, so a text has the bits that it would have alone.
    A branch that continues from the middle of a window gets a copy: branches can alternate, and
    going back is cheap. A text of 1,000 tokens has 7 windows of 256; one that was dropped is read
    again when it is needed.

    With a `decoder` it reads single tokens with that; prompts, and tokens at which an intervention
    holds, with the network's modules. So which of the two computes a position depends on the
    prompt, the chunks and the interventions only, whatever was read before.

    Texts that advance together are read ahead: one token of each, by the decoder's `read_rows`.

    Memory is at most 8 states, or as many as texts advance together, and 512 MB if there are more
    than two; for a Transformer layers × 2 × width × context × 4 bytes each, 25 MB for 8 of the
    shipped models.
    """

    def __init__(self, model: LanguageModel, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self._windows: list[Window] = []  # the most recently used one last
        self._most = WINDOWS
        self.decoder: Decoder | None = None
        self._rows_agree: bool | None = None  # with one row alone; None: not compared yet
        self._ahead: dict[TokenList, tuple[Interventions, Chunks, np.ndarray]] = {}

    def logits(
        self,
        token_ids: TokenList,
        prompt: int,
        interventions: Interventions = (),
        chunks: Chunks = (),
        by_modules: bool = False,
    ) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which are the prompt.

        The prompt and each chunk are read in one pass, the rest one token at a time. The last
        portion is always read anew, except for a prompt whose logits a window has. `by_modules`
        has it read by the network's modules, for their hooks; the logits may be empty, as in
        `read`.
        """
        edits, parts, logits = self._ahead.get(token_ids, (None, None, np.empty(0, np.float32)))
        if edits is interventions and parts is chunks and not by_modules:
            return logits
        context = span(len(token_ids), prompt, self._model)
        prefill, tokens = context.prefill, token_ids.since(context.first)
        placed, chunks = relative_to(interventions, context.first), _shift(chunks, context)
        if len(tokens) == prefill and not by_modules:
            for window in self._windows:
                shared = window.count_shared(tokens, prefill, placed, chunks)
                if shared == prefill and window.prompt_logits is not None:
                    return window.prompt_logits.copy()
        window, known = self._find_window(tokens, prefill, placed, chunks)
        # A state that does not store every position may go further back, even to the start.
        known = window.state.seek(known)
        while known != (whole := _before_chunk(known, chunks) if known >= prefill else 0):
            known = window.state.seek(whole)
        ends = {0: prefill, **dict(chunks)}
        while known < len(tokens):
            end = ends.get(known, known + 1)
            if by_modules and end == len(tokens):
                return self._run_modules(window, tokens, known)
            logits = self._run(window, tokens[:end], known)
            if known == 0:
                window.prompt_logits = logits
            if len(window.token_ids) == end:
                window.chunks = tuple(chunk for chunk in chunks if chunk[1] <= end)
            known = end
        return logits

    def read_ahead(self, readings: Sequence[Reading]) -> None:
        """Read the last token of several texts together, for the next calls of `logits`.

        Only of texts whose window has all tokens before it, as when they advance; `logits` reads
        the others. The bits are those of one text alone: two rows of the first reading are compared
        with that, and nothing is read ahead by a NumPy that would round otherwise.
        """
        self._ahead.clear()
        self._most = max(self._most, len(readings))
        if self.decoder is None or self._rows_agree is False:
            return
        windows = {window.token_ids.tobytes(): window for window in self._windows}
        rows: list[tuple[Reading, Window, np.ndarray, Chunks]] = []
        for reading in readings:
            token_ids, prompt, interventions, chunks = reading
            context = span(len(token_ids), prompt, self._model)
            tokens, known = token_ids.since(context.first), len(token_ids) - context.first - 1
            placed = relative_to(interventions, context.first)
            chunks = _shift(chunks, context)
            window = windows.pop(tokens[:-1].tobytes(), None)  # once: a state has one next token
            if (
                window is not None
                and 0 < known == window.count_shared(tokens, context.prefill, placed, chunks)
                and window.interventions == placed
                and not _active(placed, len(tokens))
                and known == window.state.seek(known)
            ):
                rows.append((reading, window, tokens, chunks))
        if len(rows) < 2:
            return
        ids, states = [int(row[2][-1]) for row in rows], [row[1].state for row in rows]
        copies: list[Any] = []
        if self._rows_agree is None:
            copies = [state.snapshot(state.length) for state in states[:2]]
        logits = self.decoder.read_rows(ids, states)
        if copies:
            alone = [self.decoder(*each) for each in zip(ids, copies, strict=False)]
            self._rows_agree = all(map(np.array_equal, alone, logits))
            if not self._rows_agree:
                for state in states:
                    state.seek(state.length - 1)
                return
        for (reading, window, tokens, chunks), values in zip(rows, logits, strict=True):
            window.token_ids = tokens
            window.chunks = tuple(chunk for chunk in chunks if chunk[1] <= len(tokens))
            self._ahead[reading[0]] = (reading[2], reading[3], values.copy())
        used = {id(row[1]) for row in rows}
        self._windows.sort(key=lambda window: id(window) in used)  # the most recent ones last

    def count_rows(self, tokens: int) -> int:
        """How many texts of so many tokens can advance together within the limits of memory; 1 if
        nothing is read ahead."""
        if self.decoder is None:
            return 1
        state: Any = self._windows[-1].state if self._windows else None
        size = getattr(state, "nbytes", 0) / max(1, getattr(state, "capacity", 1))
        size *= 1 << (tokens - 1).bit_length()  # bytes of a state: it grows by doubling
        return ROWS if ROWS * size <= WINDOW_BYTES else max(1, int(WINDOW_BYTES / size))

    def _find_window(
        self, token_ids: np.ndarray, prefill: int, interventions: Interventions, chunks: Chunks
    ) -> tuple[Window, int]:
        """A window to read `token_ids` with, and how many of them need not be read again.

        The last one is always read, for its logits. Among windows that share equally many tokens
        the shortest wins: it may continue without a copy.
        """
        ranked = [
            (w.count_shared(token_ids, prefill, interventions, chunks), -len(w.token_ids), i)
            for i, w in enumerate(self._windows)
        ]
        shared, _, i = max(ranked, default=(0, 0, 0))
        if shared == 0:
            return self._add(Window(prefill, self._model.new_state(1), interventions)), 0
        window = self._windows.pop(i)
        self._windows.append(window)
        same = window.interventions == interventions
        if shared < min(len(token_ids), len(window.token_ids)) or not same:
            state = window.state.snapshot(shared)
            token_ids_read = window.token_ids[:shared]
            kept = tuple(chunk for chunk in window.chunks if chunk[1] <= shared)
            window = self._add(
                Window(prefill, state, interventions, token_ids_read, kept, window.prompt_logits)
            )
        known = _before_chunk(min(shared, len(token_ids) - 1), chunks)
        return window, known if known >= prefill else 0

    def _add(self, window: Window) -> Window:
        self._windows = [*self._windows[-(self._most - 1) :], window]
        # States of models that may read 100,000 tokens know their size; others are small.
        sizes = [getattr(each.state, "nbytes", 0) for each in self._windows]
        while len(sizes) > 2 and sum(sizes) > WINDOW_BYTES:
            del self._windows[0], sizes[0]
        return window

    def _run(self, window: Window, token_ids: np.ndarray, known: int) -> np.ndarray:
        """Logits [V] after reading the tokens from index `known` on, some perhaps once more."""
        active = _active(window.interventions, len(token_ids))
        if self.decoder is not None and not active and 0 < known == len(token_ids) - 1:
            logits = self.decoder(int(token_ids[known]), window.state)
        else:
            with intervening(self._model, active, known):
                logits = read(self._model, self._machine, token_ids[None, known:], window.state)[0]
        if len(token_ids) > len(window.token_ids):
            window.token_ids = token_ids
        return logits

    def _run_modules(self, window: Window, token_ids: np.ndarray, known: int) -> np.ndarray:
        """As `_run`, by the modules. The window keeps the state that its own reading gave."""
        state = window.state.snapshot(known)
        with intervening(self._model, _active(window.interventions, len(token_ids)), known):
            row = token_ids[None, known:]
            return read(self._model, self._machine, row, state, head=False)[0]


def _active(interventions: Interventions, length: int) -> Interventions:
    """The interventions that hold at one of the first `length` tokens, or held before."""
    return tuple(one for one in interventions if one.position < length)


# --- The generator that all of them share -----------------------------------------------------

S = TypeVar("S", bound=TokenState)


class TokenGenerator(ABC, Generic[S]):
    """A `trace.Generator` for language models; a step is one token."""

    medium: ClassVar[str]
    spread = 4096
    """See `trace.SPREAD`: a state is small, and to read tokens again for a fork takes seconds."""
    writer: ClassVar[str]  # the subject of an error: "a text model"
    edits: ClassVar[str]  # the end of an error: which edits it takes

    def __init__(self, model: LanguageModel, machine: Machine, family: str = "transformer") -> None:
        self.model, self.machine, self.family = model.eval(), machine, family
        self._reader = Reader(self.model, machine)
        self._recent = RecentLogits()
        self.computed_by = ""  # for `load.precision_of`: what reads single tokens, if not torch

    def decode_fast(self) -> None:
        """Read single tokens by `fast_decoding` from now on, if it has a decoder of this model."""
        # Late import, a generator to the networks: the worker is ready before it loads a model.
        from genui.engine.models.fast_decoding import COMPUTED_BY, build_decoder

        if self.machine.precision == "fp32":
            self._reader.decoder = build_decoder(self.model)
        self.computed_by = COMPUTED_BY if self._reader.decoder is not None else ""

    def read(
        self,
        token_ids: TokenList,
        prompt: int,
        interventions: Interventions = (),
        chunks: Chunks = (),
    ) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which are the prompt."""
        return self._reader.logits(token_ids, prompt, interventions, chunks)

    def read_prompt(self, state: S, report: PromptReport | None) -> None:
        """Read what `state` has not read yet; `report` hears how far a long prompt is read."""
        with reporting_prompt(self.model, report) if report else nullcontext():
            state.stored.get()

    def store_logits(self, compute: Callable[[], np.ndarray]) -> StoredLogits:
        """The logits that `compute` returns, for a state."""
        return StoredLogits(compute, self._recent)

    def read_ahead(self, states: Sequence[S]) -> None:
        """Compute the logits of several texts together, which their next steps need, to the bits
        that each has alone."""
        self._reader.read_ahead(
            [
                (state.token_ids, state.prompt, state.interventions, state.chunks)
                for state in states
                if not (state.stored.is_computed or self.finished(state))
            ]
        )

    def count_rows(self, state: S) -> int:
        """How many texts like the one that begins with `state` should advance together."""
        return self._reader.count_rows(len(state.token_ids) + state.token_budget)

    def read_again(self, state: S) -> None:
        """Read the last token of a state again, as in generation, for what is recorded then."""
        self._reader.logits(
            state.token_ids, state.prompt, state.interventions, state.chunks, by_modules=True
        )

    def describe_start(self, request: Start, state: S, prompt: str, note: str) -> Started:
        return Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium=self.medium,
            prompt=prompt,
            total_steps=self.total(state),
            note=note,
        )

    def frame(self, state: S) -> None:
        """None: only steps have frames."""

    def note(self, state: S) -> str:
        """Empty: `begin` reports what the model cannot read."""
        return ""

    def finished(self, state: S) -> bool:
        return state.step >= self.total(state)

    @abstractmethod
    def total(self, state: S) -> int:
        """How many tokens there will be."""

    def edit(self, state: S, edit: Edit) -> S:
        """Change the settings, the seed, the tokens to write by hand or the network's layers, from
        the next token on.

        New tokens by hand replace those not yet written. Raises MisuseError for edits of images,
        after the end, for tokens that cannot follow, and for layers that there are not.
        """
        self.check_editable(state)
        match edit:
            case SetSettings(settings=settings):
                return replace(state, settings=self.check_settings(settings))
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case WriteText(text=text):
                written = self.parse(state, text)
            case WriteToken(token=token):
                written = (token,)
            case Ablate() | Steer() | Patch():
                return self._intervene(state, edit)
            case _:
                tag = type(edit).__struct_config__.tag
                raise MisuseError(f"'{tag}' is an edit of images; {self.edits}")
        self.check_written(state, written)
        return replace(state, written=written, written_from=state.step)

    def _intervene(self, state: S, edit: LayerEdit) -> S:
        """The state with an edit of a layer: the last token is read again with it."""
        length = len(state.token_ids)
        for token in edit.token_ids if isinstance(edit, Patch) else ():
            if token >= self.input_size:
                raise MisuseError(f"token {token}: this model reads 0 to {self.input_size - 1}")
        one = build_intervention(self.model, self.machine, edit, length, self.encode)
        first = span(length, state.prompt, self.model).first
        if one.position < first:
            raise MisuseError(
                f"position {one.position}: the model reads this text from position {first} on"
            )
        interventions = (*state.interventions, one)
        before, token_ids, prompt = state.stored, state.token_ids, state.prompt

        def logits() -> np.ndarray:
            new = self.read(token_ids, prompt, interventions, state.chunks)
            return np.where(before.get() <= NEVER, np.float32(NEVER), new)  # masks stay

        return replace(state, interventions=interventions, stored=self.store_logits(logits))

    def check_settings(self, settings: object) -> TextSettings:
        """Returns `settings`. Raises MisuseError if they are not TextSettings."""
        if not isinstance(settings, TextSettings):
            raise MisuseError(f"{self.writer} needs text settings")
        return settings

    @abstractmethod
    def check_editable(self, state: S) -> None:
        """Raises MisuseError if nothing more can be written."""

    @abstractmethod
    def check_written(self, state: S, written: tuple[int, ...]) -> None:
        """Raises MisuseError if these tokens cannot follow."""

    @abstractmethod
    def parse(self, state: S, text: str) -> tuple[int, ...]:
        """The tokens of text written by hand. Raises MisuseError if there are none."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The token ids of a text to steer with or to patch from, as the model's input, at least
        one. Raises MisuseError if it has none."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """The number of token ids of the model's input."""

    def output(self, token_id: int) -> int:
        """The token that an id of the model's input stands for."""
        return token_id

    @abstractmethod
    def name(self, token: int) -> str:
        """The text of a token of the model's output."""

    @abstractmethod
    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        """The text of each token of the model's input."""


def read_ahead(traces: Iterable[tuple["Trace", int]]) -> None:
    """Compute together what the next steps of several traces need, after the given steps, if their
    generators can. It changes no bits."""
    states: dict[TokenGenerator[TokenState], list[TokenState]] = {}
    for trace, step in traces:
        if isinstance(trace.generator, TokenGenerator):
            states.setdefault(trace.generator, []).append(trace.state(step))
    for generator, group in states.items():
        if len(group) > 1:
            generator.read_ahead(group)
