"""Writing text a token at a time, by a Transformer or by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.engine.data.tokenizer import Tokenizer, left_open, tokenizer_from_dict
from genui.engine.device import Machine
from genui.engine.generate import filling, grammar
from genui.engine.generate.kv_caches import KVCaches, span
from genui.engine.generate.token_frame import next_token
from genui.engine.generate.token_list import TokenList
from genui.engine.models.filled import load_frozen
from genui.engine.models.transformer import Transformer, transformer_config
from genui.errors import MisuseError
from genui.protocol import (
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
from genui.recipes import TransformerRecipe
from genui.render.sanitise import clean

JOIN = 16
"""How many tokens before a written text are looked at for how it is cut into tokens."""


@dataclass(frozen=True)
class TextState:
    """A text so far. `logits` [V] is the model's answer after the last of `tokens`.

    The states that a trace keeps hold V × 4 bytes each, and 4 bytes a token between them.
    """

    tokens: TokenList
    prompt: int  # how many of the tokens were given
    logits: np.ndarray = field(repr=False)
    step: int
    seed: int
    settings: TextSettings
    ended: bool = False
    pending: bytes = b""  # of a character that is not whole yet
    written: tuple[int, ...] = ()  # by hand: the tokens of step `written_from` + 1 and after
    written_from: int = 0
    most: int | None = None  # of a gap: the tokens that the context has room for
    before: str | None = None  # of a gap: what stands before it, which `tokens` have elsewhere

    @property
    def forced(self) -> int | None:
        """The next token, where it was written by hand."""
        at = self.step - self.written_from
        return self.written[at] if at < len(self.written) else None


class TextGenerator:
    """One Transformer writing one text; `step` is one token. `texts` are its tokens' own."""

    family = "transformer"

    def __init__(self, model: Transformer, tokenizer: Tokenizer, machine: Machine) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.machine = machine
        self._caches = KVCaches(model, machine)
        self.texts = [clean(tokenizer.decode([t])) for t in range(tokenizer.size)]

    def begin(self, request: Start) -> tuple[TextState, Started]:
        """The first state and what a person should know of it.

        Raises MisuseError where nothing of the prompt is known to the tokenizer, and for a
        gap that cannot be filled.
        """
        if (gap := filling.split(request.prompt, self.tokenizer)) is not None:
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
        unread = span(state.prompt, state.prompt, self.model.config.context).first
        if unread:
            notes.append(
                f"the model reads the last {state.prompt - unread} tokens of this prompt: "
                f"the first {unread} of its {state.prompt} are left out"
            )
        started = Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="text",
            prompt=left_open(known) if self.tokenizer.end is not None else known,
            total_steps=state.settings.tokens,
            note="; ".join(notes),
        )
        return state, started

    def _begin_gap(self, request: Start, prefix: str, suffix: str) -> tuple[TextState, Started]:
        """`begin` of a prompt with a gap."""
        settings, context = _text_settings(request.settings), self.model.config.context
        read, whole = filling.read(prefix, suffix, self.tokenizer, context, settings.tokens)
        tokens = TokenList(tuple(read))
        logits = self._read(tokens, len(tokens))
        state = TextState(
            tokens,
            len(tokens),
            filling.spaced(logits, self.tokenizer, prefix),
            0,
            request.seed,
            settings,
            most=context - len(tokens),
            before=left_open(prefix),
        )
        left_out = whole - len(tokens)
        note = f"the model reads {len(tokens)} tokens around the gap: {left_out} are left out"
        started = Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="text",
            prompt=left_open(prefix),
            suffix=suffix,
            total_steps=self.total(state),
            note=note if left_out else "",
        )
        return state, started

    def start(self, request: Start) -> TextState:
        """Read the prompt."""
        settings = _text_settings(request.settings)
        tokens = TokenList(self._prompt_tokens(request.prompt))
        logits = self._read(tokens, len(tokens))
        return TextState(tokens, len(tokens), logits, 0, request.seed, settings)

    def _prompt_tokens(self, prompt: str) -> tuple[int, ...]:
        """What the model reads first; never empty.

        With BPE a last space is left for the model to write.
        """
        end = self.tokenizer.end
        if end is not None:
            return tuple(self.tokenizer.encode(left_open(prompt))) or (end,)
        newline = self.tokenizer.encode("\n")
        return tuple(self.tokenizer.encode(prompt)) or tuple(newline[:1]) or (0,)

    def frame(self, state: TextState) -> None:
        """Nothing: a token is seen as it is written."""

    def note(self, state: TextState) -> str:
        """Nothing: only a prompt is not wholly read, and `begin` tells of that."""
        return ""

    def finished(self, state: TextState) -> bool:
        return state.step >= self.total(state)

    def total(self, state: TextState) -> int:
        """How many tokens there will be: those asked for, and any more written by hand.

        Of a gap no more than the context has room for, and its end token may come before.
        """
        if state.ended:
            return state.step
        written = state.written_from + len(state.written)
        total = max(state.settings.tokens, written, state.step)
        return total if state.most is None else min(total, state.most)

    def edit(self, state: TextState, edit: Edit) -> TextState:
        """Other settings, another seed or a text by hand, from the next token on.

        What was still to be written by hand gives way to a new text. Raises MisuseError
        for edits of pictures, after the end token, and for a text or token unknown to the
        tokenizer.
        """
        if state.ended:
            raise MisuseError(f"the text ended at step {state.step}: edit it at an earlier step")
        match edit:
            case SetSettings(settings=settings):
                return replace(state, settings=_text_settings(settings))
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case WriteText(text=text):
                written = self._cut(text, state.tokens)
            case WriteToken(token=token):
                if not 0 <= token < self.tokenizer.size:
                    raise MisuseError(
                        f"token {token}: this model has {self.tokenizer.size}, "
                        f"from 0 to {self.tokenizer.size - 1}"
                    )
                written = (token,)
            case _:
                raise MisuseError(
                    f"'{type(edit).__struct_config__.tag}' is an edit of pictures; "
                    "a text takes other settings, a seed, a text or a token"
                )
        return replace(state, written=written, written_from=state.step)

    def _cut(self, text: str, before: TokenList) -> tuple[int, ...]:
        """The tokens of a text that follows others, cut as the model saw such texts cut.

        BPE cuts words differently by what they follow; where the tokens before would be
        cut differently too, they stand and the text is cut by itself.
        """
        unknown = self.tokenizer.unknown(text)
        if unknown:
            raise MisuseError(
                f"text {_quoted(text)}: this model has no {_quoted(unknown)}; leave it out"
            )
        tail = before.since(max(0, len(before) - JOIN)).tolist()
        joined = self.tokenizer.encode(self.tokenizer.decode(tail) + text)
        follows = joined[: len(tail)] == tail
        tokens = joined[len(tail) :] if follows else self.tokenizer.encode(text)
        written = tuple(t for t in tokens if t != self.tokenizer.end)
        if not written:
            raise MisuseError("the text is empty: write at least one character")
        return written

    def step(self, state: TextState) -> tuple[TextState, TextFrame]:
        """Choose the next token, or take the one written by hand, and read it."""
        fits = self._fits(state) if state.settings.grammar == "python" else None
        frame = next_token(state, lambda: state.tokens.since(0), self.texts.__getitem__, fits)
        text, pending = self._spell(frame.token, state.pending)
        ended = frame.token == self.tokenizer.end
        tokens = state.tokens.appended(frame.token)
        logits = state.logits if ended else self._read(tokens, state.prompt)
        after = replace(
            state, tokens=tokens, logits=logits, step=frame.step, ended=ended, pending=pending
        )
        return after, msgspec.structs.replace(frame, text=text)

    def _fits(self, state: TextState) -> Callable[[int], bool]:
        """Whether a token may follow in Python; a gap may be closed wherever the model does."""
        whole = state.before is None
        written = state.tokens.since(0 if whole else state.prompt).tolist()
        before = (state.before or "").encode() + b"".join(map(self.tokenizer.token_bytes, written))
        return grammar.following(before, self.tokenizer, whole=whole)

    def spelled(self, tokens: list[int]) -> tuple[str, ...]:
        """The text of each token."""
        return tuple(self.texts[token] for token in tokens)

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

    def _read(self, tokens: TokenList, prompt: int) -> np.ndarray:
        """Logits float32 [V] after `tokens`, the first `prompt` of which were the prompt."""
        seen = span(len(tokens), prompt, self.model.config.context)
        logits = self._caches.read(tokens.since(seen.first), seen.at_once)
        return filling.masked(logits, self.tokenizer)


def _text_settings(settings: object) -> TextSettings:
    if not isinstance(settings, TextSettings):
        raise MisuseError("a text model needs text settings")
    return settings


def _quoted(text: str) -> str:
    """The beginning of what a person typed, escaped so that any of it can be shown."""
    return clean(repr(text[:24]))


def load_text_model(
    recipe: TransformerRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> TextGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    tokenizer = tokenizer_from_dict(described["tokenizer"])
    config = transformer_config(recipe, tokenizer.size)
    model = load_frozen(lambda: Transformer(config), tensors)
    return TextGenerator(model.to(device), tokenizer, machine)
