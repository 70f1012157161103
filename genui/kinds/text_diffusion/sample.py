"""Traces of discrete diffusion on text: a text of places, of which each step decides a few."""

import codecs
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import Tokenizer, tokenizer_from_dict
from genui.engine.device import Machine, autocast
from genui.engine.kinds import Checkpoint
from genui.engine.models.frozen import load_frozen
from genui.engine.sample.trace import Generator, expect_settings
from genui.kinds.text_diffusion.network import TextDenoiser, build_text_denoiser
from genui.kinds.text_diffusion.recipe import Noise, TextDiffusionRecipe
from genui.kinds.text_diffusion.settings import (
    GIVEN,
    MOST,
    UNDECIDED,
    CanvasFrame,
    Erase,
    Pin,
    TextDiffusionSettings,
)
from genui.protocol import FILL, Edit, SetSeed, SetSettings, Start, Started


class Block(NamedTuple):
    """The places from `first` up to `end`."""

    first: int
    end: int


class BlockOdds(NamedTuple):
    """The probabilities at the n places of a block, fp64 [n, V]: the model's own, and those with
    the temperature."""

    model: NDArray[np.float64]
    sampled: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CanvasState:
    """A text of T places, some of them undecided. The arrays are never changed.

    `tokens` int32 [T] has at undecided places the mask, or with uniform noise any token. `decided`
    int32 [T] is the step at which a token was decided, GIVEN or UNDECIDED; `sure` fp32 [T] its
    probability then.
    """

    tokens: NDArray[np.int32] = field(repr=False)
    decided: NDArray[np.int32] = field(repr=False)
    sure: NDArray[np.float32] = field(repr=False)
    prompt: int  # places before the first that the model writes
    rate: int = 1  # tokens to decide at a step
    step: int = 0
    seed: int
    settings: TextDiffusionSettings

    @property
    def undecided(self) -> NDArray[np.bool_]:
        return self.decided == UNDECIDED

    def block_of(self, place: int, context: int) -> Block:
        """The block of a place; one begins where the prompt ends."""
        length = min(self.settings.block, context)
        first = self.prompt + (place - self.prompt) // length * length
        return Block(max(0, first), min(first + length, len(self.tokens)))


class TextDiffusionGenerator(Generator):
    """A `trace.Generator` for discrete diffusion on text; a step decides some tokens of a block.

    With masks, as LLaDA does (Nie et al. 2025, algorithm 5): all undecided tokens of the block are
    drawn, and the first by the order of the settings are kept. With uniform noise all of its
    tokens are drawn again, those decided before too, and the others get new noise.
    """

    family = TextDiffusionRecipe.family

    def __init__(
        self,
        model: TextDenoiser,
        tokenizer: Tokenizer,
        machine: Machine,
        noise: Noise,
        medium: str = "text",
    ) -> None:
        self.model, self.tokenizer, self.machine = model.eval(), tokenizer, machine
        self.noise, self.medium = noise, medium
        self.context = model.context - 1

    def begin(self, request: Start) -> tuple[CanvasState, Started]:
        """The first state. Raises MisuseError for other settings, and a text that is too long."""
        settings = expect_settings(request.settings, TextDiffusionSettings)
        written = request.prompt.split(FILL)
        unknown = self.tokenizer.unknown("".join(written))
        written = ["".join(c for c in part if c not in unknown) for part in written]
        parts = [self.tokenizer.encode(part) for part in written]
        gap = settings.gap if len(parts) > 1 else settings.tokens
        tokens, decided = list(parts[0]), [GIVEN] * len(parts[0])
        for part in parts[1:] or [[]]:
            tokens += [0] * gap + part
            decided += [UNDECIDED] * gap + [GIVEN] * len(part)
        if len(tokens) > MOST:
            raise MisuseError(f"{len(tokens)} tokens with the prompt: at most {MOST} are written")
        state = CanvasState(
            tokens=np.array(tokens, np.int32),
            decided=np.array(decided, np.int32),
            sure=np.array([at == GIVEN for at in decided], np.float32),
            prompt=len(parts[0]),
            seed=request.seed,
            settings=settings,
        )
        state = self._set_rate(self._add_noise(state, state.undecided))
        note = f"this model has no {unknown[:20]!r}: left out of the prompt" if unknown else ""
        return state, self.describe_start(request, state, FILL.join(written), self.medium, note)

    def _set_rate(self, state: CanvasState) -> CanvasState:
        """The state with the number of tokens to decide at a step, from here on."""
        return replace(state, rate=max(1, -(-int(state.undecided.sum()) // state.settings.steps)))

    def _add_noise(self, state: CanvasState, places: NDArray[np.bool_]) -> CanvasState:
        """The state with `places` [T] undecided, and noise there."""
        noise: Any = self.tokenizer.size
        if self.noise == "uniform":
            rng = np.random.default_rng((state.seed, state.step, 1))
            noise = rng.integers(self.tokenizer.size, size=len(places))
        return replace(
            state,
            tokens=np.where(places, noise, state.tokens).astype(np.int32),
            decided=np.where(places, UNDECIDED, state.decided).astype(np.int32),
            sure=np.where(places, 0, state.sure).astype(np.float32),
        )

    # --- Steps ---

    def finished(self, state: CanvasState) -> bool:
        return not state.undecided.any()

    def total(self, state: CanvasState) -> int:
        """The last step: a block takes as many as its undecided tokens need."""
        step, places = state.step, np.flatnonzero(state.undecided)
        while len(places):
            inside = int(places.searchsorted(state.block_of(int(places[0]), self.context).end))
            step, places = step - -inside // state.rate, places[inside:]
        return step

    def step(self, state: CanvasState) -> tuple[CanvasState, CanvasFrame]:
        """Decide tokens of the first block that has undecided ones."""
        block = self._block(state)
        part, odds = slice(*block), self.read(state, block)
        rng = np.random.default_rng((state.seed, state.step + 1))
        drawn = _draw(odds.sampled, rng.random(len(state.tokens))[part])
        sure = odds.model[np.arange(len(drawn)), drawn]
        scores = _score(state.settings.order, odds.model, sure, rng)
        free, again = self._choose_free(state, part)
        count = state.rate + int((free & ~state.undecided[part] | again).sum())
        chosen = _best(scores, free, count)
        tokens, decided, known = (of.copy() for of in (state.tokens, state.decided, state.sure))
        stays = chosen & (tokens[part] == drawn) & ~state.undecided[part]
        tokens[part][chosen], known[part][chosen] = drawn[chosen], sure[chosen]
        decided[part][chosen & ~stays] = state.step + 1
        after = replace(state, tokens=tokens, decided=decided, sure=known, step=state.step + 1)
        noisy = np.zeros(len(tokens), bool)
        noisy[part] = free & ~chosen | again
        after = self._add_noise(after, noisy)
        return after, self._frame(after, block, odds)

    def _block(self, state: CanvasState) -> Block:
        """The first block with undecided tokens; an empty one if there are none."""
        if self.finished(state):
            return Block(0, 0)
        return state.block_of(int(state.undecided.argmax()), self.context)

    def _choose_free(
        self, state: CanvasState, part: slice
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which tokens of a block may be drawn at this step, and which decided ones are made
        undecided again, the least sure: bool [n]. At the last step of a block none are."""
        undecided, written = state.undecided[part], state.decided[part] > GIVEN
        if self.noise == "uniform":
            return undecided | written, np.zeros_like(written)
        most = int(undecided.sum()) - state.rate
        # Steps in a row add up to the share, which may be less than a token a step.
        before, after = (
            int(state.rate * state.settings.remask * step + 1e-9)
            for step in (state.step, state.step + 1)
        )
        count = min(after - before, most)
        return undecided, _best(-state.sure[part], written, count)

    @torch.inference_mode()
    def read(self, state: CanvasState, block: Block) -> BlockOdds:
        """The predictions for a block, from the text before it and, if any of it is decided, the
        text after it, as far as the context reaches."""
        length = block.end - block.first
        room, after = self.context - length, np.flatnonzero(~state.undecided[block.end :])
        reach = int(after[-1]) + 1 if len(after) else 0
        reach = min(reach, max(room // 2, room - block.first))
        back = min(block.first, room - reach)
        low, high = block.first - back, block.end + reach
        lead = int(state.tokens[low - 1]) if low else self.first_token
        alone = reach == 0 and length == 1  # as in training it sees what precedes it
        token_ids = torch.tensor([[lead, *state.tokens[low : high - alone].tolist()]])
        first = torch.tensor([back + alone])
        with autocast(self.machine):
            logits = self.model.denoise(token_ids.to(self.model.device), first)[0]
        rows = logits[back : back + length].double().cpu()
        rows[:, list(self.tokenizer.ends)] = -torch.inf
        temperature = max(state.settings.temperature, 1e-4)
        return BlockOdds(rows.softmax(-1).numpy(), (rows / temperature).softmax(-1).numpy())

    @property
    def first_token(self) -> int:
        """The token before the first place of a text."""
        end = self.tokenizer.end
        return end if end is not None else next(iter(self.tokenizer.encode("\n")), 0)

    # --- Frames ---

    def frame(self, state: CanvasState) -> CanvasFrame:
        """The frame of a state that is not the result of a step."""
        block = self._block(state)
        return self._frame(state, block, None if block.end == 0 else self.read(state, block))

    def _frame(self, state: CanvasState, block: Block, odds: BlockOdds | None) -> CanvasFrame:
        tokens, sure = state.tokens.copy(), state.sure.copy()
        guessed = np.zeros(len(tokens), bool)
        if odds is not None:
            part = slice(*block)
            guessed[part] = state.undecided[part]
            tokens[part] = np.where(guessed[part], odds.model.argmax(1), tokens[part])
            sure[part] = np.where(guessed[part], odds.model.max(1), sure[part])
        known = ~state.undecided | guessed
        return CanvasFrame(
            trace=0,  # the trace numbers its frames
            step=state.step,
            texts=self._spell(tokens, known),
            decided=tuple(state.decided.tolist()),
            sure=tuple(sure.tolist()),
            block=(block.first, block.end),
        )

    def _spell(self, tokens: NDArray[np.int32], known: NDArray[np.bool_]) -> tuple[str, ...]:
        """The text of each place, "" for one that is not known. A character of several tokens is at
        the last of them; bytes that are none are replacement characters."""
        decoder, texts = codecs.getincrementaldecoder("utf-8")("replace"), []
        for place, token in enumerate(tokens.tolist()):
            is_last = place + 1 == len(tokens) or not known[place + 1]
            part = self.tokenizer.token_bytes(token) if known[place] else b""
            texts.append(decoder.decode(part, final=is_last))
        return tuple(texts)

    def text_of(self, token: int) -> str:
        """The text of a token; a half of a character is a replacement character."""
        return self.tokenizer.token_bytes(token).decode("utf-8", "replace")

    # --- Edits ---

    def edit(self, state: CanvasState, edit: Edit) -> CanvasState:
        """Change the settings or the seed from here on, pin a text, or erase a span.

        Raises MisuseError for places that there are not, and other edits.
        """
        match edit:
            case SetSettings(settings=settings):
                changed = replace(state, settings=expect_settings(settings, TextDiffusionSettings))
                has_other_steps = changed.settings.steps != state.settings.steps
                return self._set_rate(changed) if has_other_steps else changed
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case Erase(first=first, last=last):
                places = np.zeros(len(state.tokens), bool)
                places[_span(state, first, last)] = True
                erased = self._add_noise(state, places)
                return self._set_rate(erased) if self.finished(state) else erased
            case Pin(place=place, text=text):
                return self._pin(state, place, text)
            case _:
                tag = type(edit).__struct_config__.tag
                raise MisuseError(f"'{tag}' is no edit of this text: pin a text, or erase a span")

    def _pin(self, state: CanvasState, place: int, text: str) -> CanvasState:
        if unknown := self.tokenizer.unknown(text):
            raise MisuseError(f"{text[:20]!r}: this model has no {unknown[:20]!r}; leave it out")
        pinned = self.tokenizer.encode(text)
        part = _span(state, place, place + len(pinned) - 1)
        tokens, decided, sure = (of.copy() for of in (state.tokens, state.decided, state.sure))
        tokens[part], decided[part], sure[part] = pinned, GIVEN, 1
        return replace(state, tokens=tokens, decided=decided, sure=sure)


def _span(state: CanvasState, first: int, last: int) -> slice:
    """The places from `first` to `last`, which count from 1. Raises MisuseError beyond the end."""
    if last > len(state.tokens):
        raise MisuseError(f"place {last}: this text has {len(state.tokens)}")
    return slice(first - 1, last)


def _draw(odds: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.int64]:
    """A token for each row of odds [n, V], by numbers u [n] from 0 to 1."""
    sums = odds.cumsum(axis=1)
    return np.minimum((sums <= (u * sums[:, -1])[:, None]).sum(axis=1), odds.shape[1] - 1)


def _best(scores: NDArray[Any], among: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The `count` places of [n] with the highest scores, among some; equal ones from the left."""
    order = np.argsort(np.where(among, -scores, np.inf), kind="stable")
    best = np.zeros(len(scores), bool)
    best[order[: max(0, min(count, int(among.sum())))]] = True
    return best


def _score(
    order: str, odds: NDArray[np.float64], sure: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """How early each place of a block is decided, [n]: the highest first."""
    match order:
        case "confidence":
            return sure
        case "entropy":
            return (odds * np.log(np.maximum(odds, 1e-30))).sum(axis=1)
        case "random":
            return rng.random(len(sure))
        case _:
            return -np.arange(len(sure), dtype=np.float64)


def write(
    generator: TextDiffusionGenerator, prompt: str, seed: int, settings: TextDiffusionSettings
) -> str:
    """The whole text of a prompt and a seed."""
    start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, _ = generator.begin(start)
    while not generator.finished(state):
        state, _ = generator.step(state)
    return generator.frame(state).page


def load_text_diffusion(
    checkpoint: Checkpoint[TextDiffusionRecipe], machine: Machine
) -> TextDiffusionGenerator:
    """The generator of a checkpoint; raises what `kinds.build_generator` says."""
    recipe, tokenizer = checkpoint.recipe, tokenizer_from_dict(checkpoint.described["tokenizer"])
    model = load_frozen(lambda: build_text_denoiser(recipe, tokenizer.size), checkpoint.tensors)
    model.to(machine.device)
    return TextDiffusionGenerator(model, tokenizer, machine, recipe.noise, recipe.medium)
