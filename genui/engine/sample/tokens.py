"""What generators of tokens share: lists of tokens, the choice of one, what was read, the trace."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic, TypeVar

import numpy as np
import torch

from genui.base.errors import MisuseError
from genui.engine.device import Machine, autocast
from genui.engine.models.language_model import LanguageModel, ReadingState
from genui.engine.sample.logits import Draw, distribution, draw_token, entropy, penalises, softmax
from genui.protocol import (
    Candidate,
    Edit,
    SetSeed,
    SetSettings,
    Start,
    Started,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)

# --- The tokens of a text, shared by all states of its trace ----------------------------------


class TokenList:
    """Tokens that never change; `appended` gives the list one longer in constant time.

    Lists grown from one another share an array and differ in how much of it is theirs, so a
    trace of n tokens holds n numbers however many of its states are kept. Where two lists
    grow from the same one (a fork), the second copies what they share.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, tokens: Iterable[int]) -> None:
        self._shared = array("i", tokens)  # only ever appended to
        self._length = len(self._shared)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return self._shared[range(self._length)[index]]

    def since(self, first: int) -> np.ndarray:
        """The tokens from index `first` on, int32."""
        return np.array(self._shared[first : self._length], dtype=np.int32)

    def appended(self, token: int) -> "TokenList":
        """These, and one more."""
        longer = object.__new__(TokenList)
        taken = self._length < len(self._shared) and self._shared[self._length] != token
        longer._shared = self._shared[: self._length] if taken else self._shared
        longer._length = self._length + 1
        if longer._length > len(longer._shared):
            longer._shared.append(token)
        return longer


# --- One token chosen, and what a person sees of the choice -----------------------------------

CANDIDATES = 12
"""How many of the likeliest tokens a frame carries."""


@dataclass(frozen=True, kw_only=True)
class TokenState:
    """What is written a token at a time, so far. `logits` [V] is the answer for the next token.

    The states that a trace keeps hold V × 4 bytes each, and 4 bytes a token between them.
    """

    token_ids: TokenList  # what the model has read
    prompt: int  # how many of them were given
    logits: np.ndarray = field(repr=False)
    step: int
    seed: int
    settings: TextSettings
    written: tuple[int, ...] = ()  # by hand: the tokens of step `written_from` + 1 and after
    written_from: int = 0

    @property
    def forced(self) -> int | None:
        """The next token, where it is not the model's to choose: it was written by hand."""
        at = self.step - self.written_from
        return self.written[at] if at < len(self.written) else None

    @property
    def token_budget(self) -> int:
        """How many tokens are asked for, those written by hand and those there are counted."""
        return max(self.settings.tokens, self.written_from + len(self.written), self.step)


def next_token(
    state: TokenState,
    seen: Callable[[], np.ndarray],
    text_of: Callable[[int], str],
    allowed: Callable[[int], bool] | None = None,
) -> TextFrame:
    """The next token: the forced one, or one that is drawn and, where that is asked, `allowed`.

    `seen` gives the tokens that are penalised, where any are, and `spelled` the text of one.
    """
    step, settings, forced = state.step + 1, state.settings, state.forced
    before = seen() if penalises(settings) else None
    if forced is None:
        sampled, draw = draw_token(state.logits, settings, before, (state.seed, step), allowed)
    else:
        sampled = distribution(state.logits, settings, before)
        draw = Draw(forced, 0.0, 0.0, 0.0)
    token, model = draw.token, softmax(state.logits)
    top = np.argsort(-model, kind="stable")[:CANDIDATES].tolist()
    if token not in top:
        top[-1] = token  # the chosen one, wherever it stood
    return TextFrame(
        trace=0,  # the trace numbers its frames
        step=step,
        token=token,
        text=text_of(token),
        surprisal=float(-np.log2(max(model[token], 1e-30))),
        entropy=entropy(model),
        candidates=tuple(
            Candidate(
                token=t,
                text=text_of(t),
                model=float(model[t]),
                sampled=float(sampled.probability[t]),
                logit=float(state.logits[t]),
                dropped=sampled.dropped(t),
            )
            for t in top
        ),
        sampled_entropy=entropy(sampled.probability),
        u=draw.u,
        low=draw.low,
        high=draw.high,
        forced=forced is not None,
        kept=sampled.kept,
    )


# --- Reading tokens with a language model: what was read is kept, for several branches at once

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


# --- What text and music share: a model's tokens chosen one by one, edited, and read again ----

S = TypeVar("S", bound=TokenState)


class TokenGenerator(ABC, Generic[S]):
    """A language model that writes; `step` is one token. Fulfils `trace.Generator`."""

    medium: ClassVar[str]
    writer: ClassVar[str]  # what such a model is called: "a text model"
    edits: ClassVar[str]  # which edits it takes, as the end of a sentence

    def __init__(self, model: LanguageModel, machine: Machine, family: str = "transformer") -> None:
        self.model, self.machine, self.family = model.eval(), machine, family
        self._reader = Reader(self.model, machine)

    def read(self, token_ids: TokenList, prompt: int) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which were given."""
        return self._reader.logits(token_ids, prompt)

    def describe_start(self, request: Start, state: S, prompt: str, note: str) -> Started:
        """What a person should know of a trace's first state."""
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
        """Nothing: a token is seen as it is written."""

    def note(self, state: S) -> str:
        """Nothing: `begin` tells what was not read or not understood."""
        return ""

    def finished(self, state: S) -> bool:
        return state.step >= self.total(state)

    @abstractmethod
    def total(self, state: S) -> int:
        """How many tokens there will be."""

    def edit(self, state: S, edit: Edit) -> S:
        """Other settings, another seed or tokens by hand, from the next token on.

        What was still to be written by hand gives way to what is new. Raises MisuseError for
        edits of images, past the end, and for what cannot be written there.
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
            case _:
                tag = type(edit).__struct_config__.tag
                raise MisuseError(f"'{tag}' is an edit of images; {self.edits}")
        self.check_written(state, written)
        return replace(state, written=written, written_from=state.step)

    def check_settings(self, settings: object) -> TextSettings:
        """The settings. Raises MisuseError for those of another medium."""
        if not isinstance(settings, TextSettings):
            raise MisuseError(f"{self.writer} needs text settings")
        return settings

    @abstractmethod
    def check_editable(self, state: S) -> None:
        """Raises MisuseError where nothing more can be written."""

    @abstractmethod
    def check_written(self, state: S, written: tuple[int, ...]) -> None:
        """Raises MisuseError where these tokens cannot follow."""

    @abstractmethod
    def parse(self, state: S, text: str) -> tuple[int, ...]:
        """The tokens of what a person wrote to follow. Raises MisuseError where there are none."""

    @abstractmethod
    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        """What was read as a person reads it, each token by itself."""
