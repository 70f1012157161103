"""Text generation with language models: traces, fill-in-the-middle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.data import fim
from genui.engine.data.tokenizer import Tokenizer, strip_last_space, tokenizer_from_dict
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint, build_network
from genui.engine.models.frozen import load_frozen
from genui.engine.models.language_model import LanguageModel
from genui.engine.sample import grammar, watermark
from genui.engine.sample.chat import continue_chat, open_chat
from genui.engine.sample.logits import NEVER
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.tokens import TokenGenerator, TokenState, next_token
from genui.engine.sample.windows import Reading, span
from genui.protocol import (
    FILL,
    Edit,
    Patch,
    Piece,
    SendMessage,
    Settings,
    Start,
    Started,
    TextFrame,
    TextSettings,
    join_pieces,
)
from genui.recipes import TextRecipe

# --- Fill in the middle -----------------------------------------------------------------------

MIDDLE_SHARE = 4
"""1/MIDDLE_SHARE of the context is reserved for the middle, unless fewer tokens are asked for."""


class Around(NamedTuple):
    """The text before and after a gap. The suffix may have more gaps, which are filled later."""

    prefix: str
    suffix: str

    @property
    def until_next(self) -> str:
        """The suffix up to the next gap, all that the model reads of it: it would copy a word that
        stands for a gap, and text without it makes no sense."""
        return self.suffix.partition(FILL)[0]


def split_gap(prompt: str, tokenizer: Tokenizer) -> Around | None:
    """The text around the first gap of a prompt; None if it has no gap.

    Raises MisuseError for a gap without text around it, and if the model was not trained to fill
    gaps.
    """
    prefix, mark, suffix = prompt.partition(FILL)
    if not mark:
        return None
    if tokenizer.gap is None:
        raise MisuseError(
            f"prompt: this model was not trained to fill {FILL}; leave it out, or train one with "
            "--set tokenizer=bpe --set fim_rate=0.5"
        )
    if "" in prompt.split(FILL)[1:-1]:
        raise MisuseError(f"prompt: two gaps {FILL} have no text between them; make them one")
    if not prefix and not suffix:
        raise MisuseError(f"prompt: there is no text before or after {FILL}; write what is there")
    return Around(prefix, suffix)


def mask_gap_marks(logits: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Logits [..., V] with the marks of a gap masked (as a copy): they only occur in prompts."""
    if tokenizer.gap is None:
        return logits
    logits = logits.copy()
    logits[..., tokenizer.gap.marks] = NEVER
    return logits


def read_prefix(prefix: str, tokenizer: Tokenizer) -> str:
    """The text before a gap as the model reads it."""
    takes_space = tokenizer.gap is not None and tokenizer.gap.takes_space
    return strip_last_space(prefix) if takes_space else prefix


def require_space(logits: np.ndarray, tokenizer: Tokenizer, prefix: str) -> np.ndarray:
    """Logits [..., V] of a gap's first token, masked so that it begins with a space if the last
    space of the prefix is not part of the prompt (`read_prefix`)."""
    if read_prefix(prefix, tokenizer) == prefix:
        return logits
    bare = [t for t in range(tokenizer.size) if not tokenizer.token_bytes(t).startswith(b" ")]
    logits = logits.copy()
    logits[..., bare] = NEVER
    return logits


def encode_gap(
    prefix: str, suffix: str, tokenizer: Tokenizer, context: int, tokens: int
) -> tuple[list[int], int]:
    """The prompt's token ids, and how many tokens of the text are left out.

    The prompt and the middle fit into the context together, as in training: if the text is too
    long, the ends away from the gap are cut off. `tokens` is the longest middle.
    """
    limit = context - min(tokens, context // MIDDLE_SHARE)
    return fim.format_gap(tokenizer, read_prefix(prefix, tokenizer), suffix, limit)


# --- Traces of text ---------------------------------------------------------------------------

JOIN = 16
"""The number of earlier tokens that are encoded again together with a text written by hand."""


@dataclass(frozen=True, kw_only=True)
class TextState(TokenState):
    ended: bool = False
    pending: bytes = b""  # the first bytes of an incomplete character
    gap: Around | None = None  # the gap that is filled
    most: int = 0  # for a gap: the number of tokens that fit into the context
    roles: tuple[str, ...] = ()  # of the messages of a chat
    # What the next frame shows before its token: the message of a chat, or the text between two
    # gaps.
    message: tuple[Piece, ...] = ()


class TextGenerator(TokenGenerator[TextState]):
    """Generates text; a step is one token. `text_of` returns the text of a token, or its name."""

    medium = "text"
    edits = "a text takes other settings, a seed, a text, a token, or an edit of a layer"

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        machine: Machine,
        family: str = "transformer",
    ) -> None:
        super().__init__(model, machine, family)
        self.tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def begin(self, request: Start) -> tuple[TextState, Started]:
        """The first state. Raises MisuseError if the tokenizer has no character of the prompt, for
        a gap that cannot be filled, and for a chat as `open_chat` does."""
        if request.chat:
            return self._begin_chat(request)
        if (gap := split_gap(request.prompt, self.tokenizer)) is not None:
            return self._begin_gap(request, gap)
        unknown = self.tokenizer.unknown(request.prompt)
        known = "".join(c for c in request.prompt if c not in unknown)
        notes = []
        if unknown:
            notes.append(f"this model has no {_quoted(unknown)}: left out of the prompt")
        if request.prompt and not known:
            raise MisuseError(
                f"prompt {_quoted(request.prompt)}: the model knows none of its characters"
            )
        state = self.start(msgspec.structs.replace(request, prompt=known))
        unread = span(state.prompt, state.prompt, self.model).first
        if unread:
            notes.append(
                f"the model reads the last {state.prompt - unread} tokens of this prompt: "
                f"the first {unread} of its {state.prompt} are left out"
            )
        prompt = strip_last_space(known) if self.tokenizer.end is not None else known
        return state, self.describe_start(request, state, prompt, self.medium, *notes)

    def _begin_chat(self, request: Start) -> tuple[TextState, Started]:
        """`begin` for the first message of a chat."""
        turn = open_chat(self.tokenizer, request.system, request.prompt)
        state = self._first_state(request, turn.token_ids, turn.roles)
        prompt = join_pieces(turn.pieces)
        return state, self.describe_start(request, state, prompt, self.medium, pieces=turn.pieces)

    def edit(self, state: TextState, edit: Edit) -> TextState:
        """As in TokenGenerator; a message of a chat may also follow an answer that has ended."""
        return (
            self._add_message(state, edit.text)
            if isinstance(edit, SendMessage)
            else super().edit(state, edit)
        )

    def _add_message(self, state: TextState, message: str) -> TextState:
        """The state in which the model answers the next message. Raises MisuseError as
        `continue_chat` does, and for a text that is no chat."""
        if not state.roles:
            raise MisuseError("only a chat takes messages: begin one with the model's template")
        if state.message:
            raise MisuseError("a message was said at this step: say another before it, or later")
        last = state.token_ids[-1] if state.ended else None
        turn = continue_chat(self.tokenizer, state.roles, message, last)
        token_ids = state.token_ids
        for token in turn.token_ids:
            token_ids = token_ids.appended(token)
        return self._continue(
            state,
            token_ids,
            chunks=(*state.chunks, (len(state.token_ids), len(token_ids))),
            ended=False,
            pending=b"",
            written=(),
            written_from=state.step,
            roles=turn.roles,
            answer_from=state.step,
            message=turn.pieces,
        )

    def _begin_gap(self, request: Start, gap: Around) -> tuple[TextState, Started]:
        """`begin` for a prompt with gaps."""
        state, left_out = self._open_gap(self._first_state(request, ()), gap)
        note = ""
        if left_out:
            note = f"the model reads {state.prompt} tokens around the gap: "
            note += f"{left_out} are left out"
        prefix = read_prefix(gap.prefix, self.tokenizer)
        return state, self.describe_start(
            request, state, prefix, self.medium, note, suffix=gap.suffix
        )

    def _open_gap(self, state: TextState, gap: Around) -> tuple[TextState, int]:
        """The state in which a gap is filled next, and how many tokens of the text are left out.

        The model reads a new prompt. Edits of layers hold from its end on.
        """
        context = self.model.context
        prompt, left_out = encode_gap(
            gap.prefix, gap.until_next, self.tokenizer, context, state.settings.tokens
        )
        token_ids = TokenList(prompt)
        edits = [one for one in state.interventions if not isinstance(one.edit, Patch)]
        interventions = tuple(replace(one, position=len(prompt) - 1) for one in edits)

        def read() -> np.ndarray:
            logits = self._read(Reading(token_ids, len(token_ids), interventions))
            return require_space(logits, self.tokenizer, gap.prefix)

        opened = replace(
            state,
            token_ids=token_ids,
            prompt=len(token_ids),
            stored=self.store_logits(read),
            interventions=interventions,
            gap=gap,
            most=context - len(token_ids),
        )
        return opened, left_out

    def _go_to_next_gap(self, state: TextState) -> TextState:
        """The state in which the next gap is filled, once this one is; the same state if there is
        none."""
        gap = state.gap
        if gap is None or FILL not in gap.suffix:
            return state
        between, _, suffix = gap.suffix.partition(FILL)
        middle = self.tokenizer.decode(state.token_ids.since(state.prompt).tolist())
        before = read_prefix(gap.prefix, self.tokenizer) + middle
        opened, _ = self._open_gap(state, Around(before + between, suffix))
        return replace(
            opened,
            ended=False,
            pending=b"",
            written=(),
            written_from=state.step,
            answer_from=state.step,
            message=(Piece("text", read_prefix(between, self.tokenizer)),),
        )

    def start(self, request: Start) -> TextState:
        """The state after the prompt, which has no gap."""
        return self._first_state(request, self._prompt_tokens(request.prompt))

    def _first_state(
        self, request: Start, prompt: Sequence[int], roles: tuple[str, ...] = ()
    ) -> TextState:
        """The state after the tokens of a prompt."""
        token_ids = TokenList(prompt)
        return TextState(
            token_ids=token_ids,
            prompt=len(token_ids),
            stored=self.store_logits(partial(self._read, Reading(token_ids, len(token_ids)))),
            step=0,
            seed=request.seed,
            settings=self.check_settings(request.settings),
            roles=roles,
        )

    @property
    def first_token(self) -> int:
        """What an empty prompt is to the model: the mark of a beginning, or a new line."""
        return self._prompt_tokens("")[0]

    def _prompt_tokens(self, prompt: str) -> tuple[int, ...]:
        """The prompt's token ids, at least one. With BPE the last space is left to the model."""
        begin, end = self.tokenizer.begin, self.tokenizer.end
        if begin is not None:
            return (begin, *self.tokenizer.encode(strip_last_space(prompt)))
        if end is not None:
            return tuple(self.tokenizer.encode(strip_last_space(prompt))) or (end,)
        newline = self.tokenizer.encode("\n")
        return tuple(self.tokenizer.encode(prompt)) or tuple(newline[:1]) or (0,)

    def total(self, state: TextState) -> int:
        """The number of tokens: the budget, or fewer if the text ended or the context is full. Each
        gap has its own."""
        if state.ended:
            return state.step
        later = state.gap.suffix.count(FILL) if state.gap else 0
        return self._budget(state) + later * state.settings.tokens

    def _budget(self, state: TextState) -> int:
        """The step at which this text, or this gap, ends at the latest."""
        budget = state.token_budget
        return budget if state.gap is None else min(budget, state.answer_from + state.most)

    def check_settings(self, settings: Settings) -> TextSettings:
        """As in TokenGenerator; raises MisuseError also for a watermark that cannot be made."""
        checked = super().check_settings(settings)
        watermark.check(checked)
        return checked

    def check_editable(self, state: TextState) -> None:
        if state.ended:
            raise MisuseError(f"the text ended at step {state.step}: edit it at an earlier step")

    def check_written(self, state: TextState, written: tuple[int, ...]) -> None:
        for token in written:
            if not 0 <= token < self.tokenizer.size:
                raise MisuseError(
                    f"token {token}: this model has {self.tokenizer.size}, "
                    f"from 0 to {self.tokenizer.size - 1}"
                )

    def parse(self, state: TextState, text: str) -> tuple[int, ...]:
        """The tokens of a text that continues the state's.

        BPE splits a word by what precedes it, so both are encoded together. If that would change
        the earlier tokens, the text is encoded alone.
        """
        unknown = self.tokenizer.unknown(text)
        if unknown:
            raise MisuseError(
                f"text {_quoted(text)}: this model has no {_quoted(unknown)}; leave it out"
            )
        before = state.token_ids
        first = 0 if state.gap is None else state.prompt
        tail = before.since(max(first, len(before) - JOIN)).tolist()
        retokenized = self.tokenizer.encode(self.tokenizer.decode(tail) + text)
        agrees = retokenized[: len(tail)] == tail
        tokens = retokenized[len(tail) :] if agrees else self.tokenizer.encode(text)
        written = tuple(t for t in tokens if t not in self.tokenizer.ends)
        if not written:
            raise MisuseError("the text is empty: write at least one character")
        return written

    def step(self, state: TextState) -> tuple[TextState, TextFrame]:
        allowed = self._token_filter(state) if state.settings.grammar == "python" else None
        history = partial(state.token_ids.since, 0)
        frame = next_token(state, history, self.text_of, allowed)
        text, pending = split_utf8(state.pending + self.tokenizer.token_bytes(frame.token))
        ended = frame.token in self._ends(state)
        token_ids = state.token_ids.appended(frame.token)
        after = replace(state, step=frame.step, ended=ended, pending=pending, message=())
        after = replace(after, token_ids=token_ids) if ended else self._continue(after, token_ids)
        if ended or after.step >= self._budget(after):
            after = self._go_to_next_gap(after)
        special = clean(self.tokenizer.special.get(frame.token, ""))
        return after, msgspec.structs.replace(
            frame, text=text, before=state.message, special=special
        )

    def _ends(self, state: TextState) -> frozenset[int]:
        """The tokens that end the text, or the middle of a gap."""
        ends, gap = self.tokenizer.ends, self.tokenizer.gap
        return ends if state.gap is None or gap is None else ends | gap.ends

    def _token_filter(self, state: TextState) -> Callable[[int], bool]:
        """Which tokens may follow in Python. What fills a gap must fit before what is after it."""
        gap, ends = state.gap, self._ends(state)
        if gap is not None:
            first, prefix = state.prompt, read_prefix(gap.prefix, self.tokenizer)
            may_end = grammar.fits_before(gap.until_next, gap.prefix)
        else:
            answer = len(state.token_ids) - (state.step - state.answer_from)
            first, prefix = answer if state.roles else 0, ""  # of a chat only the answer is Python
            may_end = grammar.parses
        written = state.token_ids.since(first).tolist()
        before = prefix.encode() + b"".join(map(self.tokenizer.token_bytes, written))
        return grammar.token_filter(before, self.tokenizer, ends, may_end)

    @property
    def input_size(self) -> int:
        return self.tokenizer.size

    def encode(self, text: str) -> list[int]:
        if split_gap(text, self.tokenizer) is not None:
            raise MisuseError(f"text {_quoted(text)}: it has a gap; give a text without one")
        if not self.tokenizer.encode(text):
            raise MisuseError(f"text {_quoted(text)}: this model knows none of its characters")
        return list(self._prompt_tokens(text))

    def name(self, token: int) -> str:
        return self.text_of(token)

    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        return tuple(map(self.text_of, token_ids))

    def write(self, prompt: str, seed: int, settings: TextSettings, until: str = "") -> str:
        """The text after a prompt. It ends with the step that completes `until`, if that is set."""
        start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
        state, text = self.start(start), ""
        while not self.finished(state) and not (until and until in text):
            state, frame = self.step(state)
            text += frame.text
        return text

    def text_of(self, token: int) -> str:
        """The text of a token; for a special one its name."""
        if token not in self._texts:
            name = self.tokenizer.special.get(token)
            self._texts[token] = clean(name or self.tokenizer.decode([token]))
        return self._texts[token]

    def _continue(self, state: TextState, token_ids: TokenList, **changes: Any) -> TextState:
        """The state after more tokens, which are read when their logits are needed."""
        after = replace(state, token_ids=token_ids, **changes)
        return replace(after, stored=self.store_logits(partial(self._read, after.reading)))

    def _read(self, reading: Reading) -> np.ndarray:
        """Logits float32 [V] after a text, without the marks of a gap."""
        return mask_gap_marks(self.read(reading), self.tokenizer)


def split_utf8(raw: bytes) -> tuple[str, bytes]:
    """The text of some bytes, and the bytes of an incomplete last character."""
    for end in range(len(raw), max(len(raw) - 4, -1), -1):
        try:
            return clean(raw[:end].decode("utf-8")), raw[end:]
        except UnicodeDecodeError:
            continue
    return clean(raw.decode("utf-8", errors="replace")), b""


def _quoted(text: str) -> str:
    """The first characters of the user's text, quoted and escaped."""
    return clean(repr(text[:24]))


def load_text_model(checkpoint: Checkpoint[TextRecipe], machine: Machine) -> TextGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says."""
    recipe, tokenizer = checkpoint.recipe, tokenizer_from_dict(checkpoint.described["tokenizer"])
    model = load_frozen(lambda: build_network(recipe, tokenizer.size), checkpoint.tensors)
    return TextGenerator(model.to(machine.device), tokenizer, machine, recipe.family)
