"""Language models as generators of text: traces, gaps that are filled, and many texts at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.data import fim
from genui.engine.data.tokenizer import Tokenizer, strip_last_space, tokenizer_from_dict
from genui.engine.device import Machine
from genui.engine.kinds import build_network
from genui.engine.models.frozen import load_frozen
from genui.engine.models.language_model import LanguageModel
from genui.engine.sample import grammar
from genui.engine.sample.logits import NEVER, draw_token, penalises
from genui.engine.sample.tokens import (
    RowReader,
    TokenGenerator,
    TokenList,
    TokenState,
    next_token,
    read,
    span,
)
from genui.protocol import FILL, Start, Started, TextFrame, TextSettings
from genui.recipes import TextRecipe

# --- The gap in a prompt, and what a model that fills gaps reads of it ------------------------

LEAST_SHARE = 4
"""The middle has at least one part in so many of the context, or the tokens asked for."""


def split(prompt: str, tokenizer: Tokenizer) -> tuple[str, str] | None:
    """What stands before and after the gap of a prompt; None where it has none.

    Raises MisuseError for several gaps, for a gap with nothing about it, and where the model
    was not trained to fill any.
    """
    prefix, mark, suffix = prompt.partition(FILL)
    if not mark:
        return None
    if tokenizer.gap is None:
        raise MisuseError(
            f"prompt: this model was not trained to fill {FILL}; leave it out, or train one with "
            "--set tokenizer=bpe --set fim_rate=0.5"
        )
    if FILL in suffix:
        marks = prompt.count(FILL)
        raise MisuseError(f"prompt: has {marks} gaps {FILL}, and one is filled at a time; keep one")
    if not prefix and not suffix:
        raise MisuseError(f"prompt: nothing stands before or after {FILL}; write what is there")
    return prefix, suffix


def masked(logits: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Logits [..., V] of what may be written next, as a copy where they change: the marks of a
    gap never are, they are where training put them."""
    if tokenizer.gap is None:
        return logits
    logits = logits.copy()
    logits[..., [tokenizer.gap.suffix, tokenizer.gap.middle]] = NEVER
    return logits


def spaced(logits: np.ndarray, tokenizer: Tokenizer, prefix: str) -> np.ndarray:
    """Logits [..., V] of a gap's first token: where the model was not shown the last space of the
    prefix (`strip_last_space`), it writes that first."""
    if strip_last_space(prefix) == prefix:
        return logits
    bare = [t for t in range(tokenizer.size) if not tokenizer.token_bytes(t).startswith(b" ")]
    logits = logits.copy()
    logits[..., bare] = NEVER
    return logits


def read_gap(
    prefix: str, suffix: str, tokenizer: Tokenizer, context: int, wanted: int
) -> tuple[list[int], int]:
    """The tokens a model reads before it fills the gap, and how many there would be in all.

    What it reads and the middle fit into the context together, as they did in training:
    a text too long for that is cut away from the gap.
    """
    most = context - min(wanted, context // LEAST_SHARE)
    prefix = strip_last_space(prefix)
    tokens = fim.format_gap(tokenizer, prefix, suffix, most)
    whole = len(tokenizer.encode(prefix)) + len(tokenizer.encode(suffix)) + fim.MARKS
    return tokens, whole


# --- Writing text a token at a time, by a language model or by hand ---------------------------

JOIN = 16
"""How many tokens before a written text are looked at for how it is cut into tokens."""


@dataclass(frozen=True, kw_only=True)
class TextState(TokenState):
    """A text so far."""

    ended: bool = False
    pending: bytes = b""  # of a character that is not whole yet
    most: int | None = None  # of a gap: the tokens that the context has room for
    before: str | None = None  # of a gap: what stands before it, which `token_ids` have elsewhere


class TextGenerator(TokenGenerator[TextState]):
    """One model writing one text; `step` is one token. `texts` are its tokens' own."""

    medium = "text"
    writer = "a text model"
    edits = "a text takes other settings, a seed, a text or a token"

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        machine: Machine,
        family: str = "transformer",
    ) -> None:
        super().__init__(model, machine, family)
        self.tokenizer = tokenizer
        self.texts = [clean(tokenizer.decode([t])) for t in range(tokenizer.size)]

    def begin(self, request: Start) -> tuple[TextState, Started]:
        """The first state and what a person should know of it.

        Raises MisuseError where nothing of the prompt is known to the tokenizer, and for a
        gap that cannot be filled.
        """
        if (gap := split(request.prompt, self.tokenizer)) is not None:
            return self._begin_gap(request, *gap)
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
        return state, self.describe_start(request, state, prompt, "; ".join(notes))

    def _begin_gap(self, request: Start, prefix: str, suffix: str) -> tuple[TextState, Started]:
        """`begin` of a prompt with a gap."""
        settings, context = self.check_settings(request.settings), self.model.context
        read, whole = read_gap(prefix, suffix, self.tokenizer, context, settings.tokens)
        token_ids = TokenList(tuple(read))
        state = TextState(
            token_ids=token_ids,
            prompt=len(token_ids),
            logits=spaced(self._read(token_ids, len(token_ids)), self.tokenizer, prefix),
            step=0,
            seed=request.seed,
            settings=settings,
            most=context - len(token_ids),
            before=strip_last_space(prefix),
        )
        read_of = f"the model reads {len(token_ids)} tokens around the gap"
        left_out = whole - len(token_ids)
        note = f"{read_of}: {left_out} are left out" if left_out else ""
        started = self.describe_start(request, state, strip_last_space(prefix), note)
        return state, msgspec.structs.replace(started, suffix=suffix)

    def start(self, request: Start) -> TextState:
        """Read the prompt."""
        settings = self.check_settings(request.settings)
        token_ids = TokenList(self._prompt_tokens(request.prompt))
        return TextState(
            token_ids=token_ids,
            prompt=len(token_ids),
            logits=self._read(token_ids, len(token_ids)),
            step=0,
            seed=request.seed,
            settings=settings,
        )

    def _prompt_tokens(self, prompt: str) -> tuple[int, ...]:
        """What the model reads first; never empty.

        With BPE a last space is left for the model to write.
        """
        end = self.tokenizer.end
        if end is not None:
            return tuple(self.tokenizer.encode(strip_last_space(prompt))) or (end,)
        newline = self.tokenizer.encode("\n")
        return tuple(self.tokenizer.encode(prompt)) or tuple(newline[:1]) or (0,)

    def total(self, state: TextState) -> int:
        """How many tokens there will be: those asked for, and any more written by hand.

        Of a gap no more than the context has room for, and its end token may come before.
        """
        if state.ended:
            return state.step
        return state.token_budget if state.most is None else min(state.token_budget, state.most)

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
        """The tokens of a text that follows others, cut as the model saw such texts cut.

        BPE cuts words differently by what they follow; where the tokens before would be
        cut differently too, they stand and the text is cut by itself.
        """
        unknown = self.tokenizer.unknown(text)
        if unknown:
            raise MisuseError(
                f"text {_quoted(text)}: this model has no {_quoted(unknown)}; leave it out"
            )
        before = state.token_ids
        tail = before.since(max(0, len(before) - JOIN)).tolist()
        retokenized = self.tokenizer.encode(self.tokenizer.decode(tail) + text)
        follows = retokenized[: len(tail)] == tail
        tokens = retokenized[len(tail) :] if follows else self.tokenizer.encode(text)
        written = tuple(t for t in tokens if t != self.tokenizer.end)
        if not written:
            raise MisuseError("the text is empty: write at least one character")
        return written

    def step(self, state: TextState) -> tuple[TextState, TextFrame]:
        """Choose the next token, or take the one written by hand, and read it."""
        fits = self._fits(state) if state.settings.grammar == "python" else None
        frame = next_token(state, lambda: state.token_ids.since(0), self.texts.__getitem__, fits)
        text, pending = self._spell(frame.token, state.pending)
        ended = frame.token == self.tokenizer.end
        token_ids = state.token_ids.appended(frame.token)
        logits = state.logits if ended else self._read(token_ids, state.prompt)
        after = replace(
            state, token_ids=token_ids, logits=logits, step=frame.step, ended=ended, pending=pending
        )
        return after, msgspec.structs.replace(frame, text=text)

    def _fits(self, state: TextState) -> Callable[[int], bool]:
        """Whether a token may follow in Python; a gap may be closed wherever the model does."""
        whole = state.before is None
        written = state.token_ids.since(0 if whole else state.prompt).tolist()
        before = (state.before or "").encode() + b"".join(map(self.tokenizer.token_bytes, written))
        return grammar.following(before, self.tokenizer, whole=whole)

    def spell(self, token_ids: list[int]) -> tuple[str, ...]:
        """The text of each token."""
        return tuple(self.texts[token] for token in token_ids)

    def write(self, prompt: str, seed: int, settings: TextSettings, until: str = "") -> str:
        """What the model writes after a prompt, ended by `until` where that is given."""
        start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
        state, text = self.start(start), ""
        while not self.finished(state) and not (until and until in text):
            state, frame = self.step(state)
            text += frame.text
        return text

    def _spell(self, token: int, pending: bytes) -> tuple[str, bytes]:
        """The text a token adds; bytes of a character not yet whole wait for the next token."""
        raw = pending + self.tokenizer.token_bytes(token)
        for kept in range(min(4, len(raw) + 1)):
            try:
                whole = raw[: len(raw) - kept].decode("utf-8")
                return clean(whole), raw[len(raw) - kept :]
            except UnicodeDecodeError:
                continue
        return clean(raw.decode("utf-8", errors="replace")), b""

    def _read(self, token_ids: TokenList, prompt: int) -> np.ndarray:
        """Logits float32 [V] after `token_ids`, the first `prompt` of which were the prompt."""
        return masked(self.read(token_ids, prompt), self.tokenizer)


def _quoted(text: str) -> str:
    """The beginning of what a person typed, escaped so that any of it can be shown."""
    return clean(repr(text[:24]))


def load_text_model(
    recipe: TextRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> TextGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    tokenizer = tokenizer_from_dict(described["tokenizer"])
    model = load_frozen(lambda: build_network(recipe, tokenizer.size), tensors).to(device)
    return TextGenerator(model, tokenizer, machine, recipe.family)


# --- The likeliest filling of a gap, by beam search (Graves 2012; Sutskever et al. 2014, §3.2)


def likeliest(
    generator: TextGenerator, prompt: list[int], prefix: str, width: int, most: int
) -> list[int]:
    """The tokens that fill a gap, without the end token, which is found within `most` tokens.

    `prompt` is what the model reads of the gap (`fim.format_gap`), `prefix` the text before it. Of
    all beginnings the `width` likeliest are gone on with; a filling counts with the
    probability of its end. With a `width` of 1 this is greedy choosing. Empty where none ends.
    """
    model, tokenizer = generator.model, generator.tokenizer
    assert tokenizer.end is not None
    state = model.new_state(1)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    best: tuple[float, list[int]] = (-np.inf, [])
    token_ids = np.array([prompt], np.int64)
    for step in range(min(most, model.context - len(prompt))):
        logits = masked(read(model, generator.machine, token_ids, state), tokenizer)
        if step == 0:
            logits = spaced(logits, tokenizer, prefix)
        chances = torch.from_numpy(logits).log_softmax(-1).numpy()
        scores = np.array([score for score, _ in beams])[:, None] + chances
        order = np.argsort(scores, axis=None)[::-1][: 2 * width]
        rows, tokens = np.unravel_index(order, scores.shape)
        for row, token in zip(rows[:width], tokens[:width], strict=True):
            if token == tokenizer.end:
                best = max(best, (float(scores[row, token]), beams[row][1]))
        open_ = np.flatnonzero(tokens != tokenizer.end)[:width]
        rows, tokens = rows[open_], tokens[open_]
        if scores[rows[0], tokens[0]] <= best[0]:  # none that goes on can become likelier
            break
        beams = [
            (float(scores[row, token]), [*beams[row][1], int(token)])
            for row, token in zip(rows, tokens, strict=True)
        ]
        state.select(torch.from_numpy(rows).to(model.device))
        token_ids = tokens[:, None]
    return best[1]


# --- Many texts at once, for measuring: a step of all costs little more than a step of one ----


def write_together(
    generator: TextGenerator,
    prompt: Sequence[int],
    seeds: Sequence[int],
    settings: TextSettings,
    until: bytes = b"",
) -> list[bytes]:
    """What follows the tokens of `prompt`, a text a seed, as `TextGenerator` would choose it.

    A text ends with its end token, with `until`, which stays in it, or after `settings.tokens`.
    The numbers agree with those of a text alone to rounding.
    """
    tokenizer = generator.tokenizer
    penalised, constrained = penalises(settings), settings.grammar == "python"
    given = b"".join(map(tokenizer.token_bytes, prompt))
    texts = [b""] * len(seeds)
    rows = np.arange(len(seeds))  # that are still written
    read = np.tile(np.array(prompt, np.int64), (len(seeds), 1))
    reader = RowReader(generator.model, generator.machine, len(seeds), len(prompt))
    for step in range(1, settings.tokens + 1):
        logits = masked(reader.logits(read), tokenizer)
        tokens = np.empty((len(rows), 1), np.int64)
        for at, row in enumerate(rows.tolist()):
            fits = grammar.following(given + texts[row], tokenizer) if constrained else None
            seen = read[at] if penalised else None
            _, draw = draw_token(logits[at], settings, seen, (seeds[row], step), fits)
            tokens[at] = draw.token
            texts[row] += tokenizer.token_bytes(int(tokens[at, 0]))
        ended = [bool(until) and until in texts[row] for row in rows]
        still = np.flatnonzero(~(np.array(ended, bool) | (tokens[:, 0] == tokenizer.end)))
        if not len(still):
            break
        read = np.concatenate((read, tokens), axis=1)
        if len(still) < len(rows):
            rows, read = rows[still], read[still]
            reader.select(still)
    return texts
