"""The common part of generators of tokens: states, sampling a token, and edits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import ClassVar, Generic, TypeVar

import numpy as np

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.engine.device import Machine
from genui.engine.loading import PromptReport
from genui.engine.models.language_model import LanguageModel
from genui.engine.sample import watermark
from genui.engine.sample.inside import Interventions, build_intervention
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
from genui.engine.sample.reader import TextReader, reporting_prompt
from genui.engine.sample.stored_logits import RecentLogits, StoredLogits
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.trace import Generator, Trace, expect_settings
from genui.engine.sample.windows import Chunks, Reading, span
from genui.protocol import (
    Ablate,
    Candidate,
    Edit,
    Patch,
    SetSeed,
    SetSettings,
    Settings,
    Steer,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.protocol.settings import LayerEdit

with late_imports():
    from genui.engine.models import fast_decoding

# --- Sampling a token -------------------------------------------------------------------------

CANDIDATES = 12
"""The number of likeliest tokens in a frame."""


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

    @property
    def reading(self) -> Reading:
        return Reading(self.token_ids, self.prompt, self.interventions, self.chunks)


def next_token(
    state: TokenState,
    history: Callable[[], np.ndarray],
    text_of: Callable[[int], str],
    allowed: Callable[[int], bool] | None = None,
) -> TextFrame:
    """The frame of the next token: the forced one, or a sampled one that is `allowed`.

    `history` returns the tokens before it, as far as they count for penalties and a watermark,
    `text_of` the text of a token.
    """
    step, settings, forced, logits = state.step + 1, state.settings, state.forced, state.logits
    before = history() if needs_history(settings) else None
    if forced is None:
        sampled, draw = draw_token(logits, settings, before, (state.seed, step), allowed)
    else:
        sampled = distribution(logits, settings, before)
        draw = Draw(forced, 0.0, 0.0, 0.0)
    token, model = draw.token, softmax(logits)
    last, whole = watermark.count_last(before, token, settings)
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
        marks=(last.marks, last.trials),
        chance=whole.p,
    )


# --- The generator that all of them share -----------------------------------------------------

S = TypeVar("S", bound=TokenState)


class TokenGenerator(Generator, ABC, Generic[S]):
    """A `trace.Generator` for language models; a step is one token."""

    medium: ClassVar[str]
    spread = 4096
    """See `trace.SPREAD`: a state is small, and to read tokens again for a fork takes seconds."""
    edits: ClassVar[str]  # the end of an error: which edits it takes

    def __init__(self, model: LanguageModel, machine: Machine, family: str = "transformer") -> None:
        self.model, self.machine, self.family = model.eval(), machine, family
        self._reader = TextReader(self.model, machine)
        self._recent = RecentLogits()
        self.computed_by = ""  # for `load.precision_of`: the reader of single tokens, if not torch

    def decode_fast(self) -> None:
        """Read single tokens by `fast_decoding` from now on, if it has a decoder of this model."""
        if self.machine.precision == "fp32":
            self._reader.decoder = fast_decoding.build_decoder(self.model)
        self.computed_by = fast_decoding.COMPUTED_BY if self._reader.decoder is not None else ""

    def read(self, reading: Reading) -> np.ndarray:
        """Logits float32 [V] after the tokens of a text."""
        return self._reader.logits(reading)

    def read_prompt(self, state: S, report: PromptReport | None) -> None:
        """Read what `state` has not read yet; `report` gets the share of a long prompt."""
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
                state.reading
                for state in states
                if not (state.stored.is_computed or self.finished(state))
            ]
        )

    def count_rows(self, state: S) -> int:
        """The number of texts, each as long as that of `state`, that should advance together."""
        return self._reader.count_rows(len(state.token_ids) + state.token_budget)

    def read_again(self, state: S) -> None:
        """Read the last token of a state again, as in generation, to record the computation."""
        self._reader.logits(state.reading, by_modules=True)

    def note(self, state: S) -> str:
        """What is wrong with the settings; `begin` reports what the model cannot read."""
        return watermark.warn(state.settings)

    @abstractmethod
    def total(self, state: S) -> int:
        """The number of tokens that there will be."""

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
        edited = replace(state, interventions=(*state.interventions, one))
        before, reading = state.stored, edited.reading

        def logits() -> np.ndarray:
            new = self.read(reading)
            return np.where(before.get() <= NEVER, np.float32(NEVER), new)  # masks stay

        return replace(edited, stored=self.store_logits(logits))

    def check_settings(self, settings: Settings) -> TextSettings:
        """Returns `settings`. Raises MisuseError if the model cannot have them."""
        return expect_settings(settings, TextSettings)

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

    @abstractmethod
    def name(self, token: int) -> str:
        """The text of a token of the model's output."""

    @abstractmethod
    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        """The text of each token of the model's input."""


def read_ahead(traces: Iterable[tuple[Trace, int]]) -> None:
    """Compute the input of the next steps of several traces together, after the given steps, if
    their generators can. It changes no bits."""
    states: dict[TokenGenerator[TokenState], list[TokenState]] = {}
    for trace, step in traces:
        if isinstance(trace.generator, TokenGenerator):
            states.setdefault(trace.generator, []).append(trace.state(step))
    for generator, group in states.items():
        if len(group) > 1:
            generator.read_ahead(group)
