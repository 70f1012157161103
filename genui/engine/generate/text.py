"""Writing text a token at a time, by a language model or by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.engine.data.tokenizer import Tokenizer, left_open, tokenizer_from_dict
from genui.engine.device import Machine
from genui.engine.generate import filling, grammar
from genui.engine.generate.reader import span
from genui.engine.generate.token_frame import TokenState, next_token
from genui.engine.generate.token_generator import TokenGenerator
from genui.engine.generate.token_list import TokenList
from genui.engine.kinds import build_network
from genui.engine.models.filled import load_frozen
from genui.engine.models.language_model import LanguageModel
from genui.errors import MisuseError
from genui.protocol import Start, Started, TextFrame, TextSettings
from genui.recipes import TextRecipe
from genui.render.sanitise import clean

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
        unread = span(state.prompt, state.prompt, self.model).first
        if unread:
            notes.append(
                f"the model reads the last {state.prompt - unread} tokens of this prompt: "
                f"the first {unread} of its {state.prompt} are left out"
            )
        prompt = left_open(known) if self.tokenizer.end is not None else known
        return state, self.started(request, state, prompt, "; ".join(notes))

    def _begin_gap(self, request: Start, prefix: str, suffix: str) -> tuple[TextState, Started]:
        """`begin` of a prompt with a gap."""
        settings, context = self.check_settings(request.settings), self.model.context
        read, whole = filling.read(prefix, suffix, self.tokenizer, context, settings.tokens)
        token_ids = TokenList(tuple(read))
        state = TextState(
            token_ids=token_ids,
            prompt=len(token_ids),
            logits=filling.spaced(self._read(token_ids, len(token_ids)), self.tokenizer, prefix),
            step=0,
            seed=request.seed,
            settings=settings,
            most=context - len(token_ids),
            before=left_open(prefix),
        )
        read_of = f"the model reads {len(token_ids)} tokens around the gap"
        left_out = whole - len(token_ids)
        note = f"{read_of}: {left_out} are left out" if left_out else ""
        started = self.started(request, state, left_open(prefix), note)
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
            return tuple(self.tokenizer.encode(left_open(prompt))) or (end,)
        newline = self.tokenizer.encode("\n")
        return tuple(self.tokenizer.encode(prompt)) or tuple(newline[:1]) or (0,)

    def total(self, state: TextState) -> int:
        """How many tokens there will be: those asked for, and any more written by hand.

        Of a gap no more than the context has room for, and its end token may come before.
        """
        if state.ended:
            return state.step
        return state.wanted if state.most is None else min(state.wanted, state.most)

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

    def spelled(self, token_ids: list[int]) -> tuple[str, ...]:
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
        return filling.masked(self.read(token_ids, prompt), self.tokenizer)


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
