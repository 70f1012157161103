"""Writing four-voice music a token at a time, round voices that are given or alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui import notes, score
from genui.engine.device import Machine
from genui.engine.generate.choosing import (
    Draw,
    distribution,
    entropy,
    pick,
    softmax,
    uniform,
)
from genui.engine.generate.kv_caches import KVCaches, span
from genui.engine.generate.melody import read_given
from genui.engine.generate.token_list import TokenList
from genui.engine.models.chorale import ChoraleTransformer, chorale_config
from genui.engine.models.filled import filled
from genui.errors import MisuseError
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
from genui.recipes import MusicRecipe

CANDIDATES = 12
"""How many of the likeliest tokens a frame carries."""

NEVER = -1e4
"""The logit of what cannot stand in a slot: its probability is 0."""


@dataclass(frozen=True)
class MusicState:
    """A piece so far.

    `tokens` is what the network has read, `slots` where each token goes, and `logits` [SIZE]
    the answer for slot number `step`.
    """

    tokens: TokenList
    slots: Sequence[notes.Slot] = field(repr=False)
    opening: notes.Opening
    leads: frozenset[int]
    given: score.Given | None
    sounds: tuple[int, ...]  # of each voice the token of its last note or rest, else HOLD
    logits: np.ndarray = field(repr=False)
    step: int
    seed: int
    settings: TextSettings
    ended: bool = False  # the END is written: `slots` are all there will be
    written: tuple[int, ...] = ()  # by hand: the tokens of step `written_from` + 1 and after
    written_from: int = 0

    @property
    def prompt(self) -> int:
        """How many tokens a piece opens with: its key, and which voices lead."""
        return 2

    @property
    def forced(self) -> int | None:
        """The next token, where it is written by hand or given."""
        at = self.step - self.written_from
        if at < len(self.written):
            return self.written[at]
        if self.given is None or self.step >= len(self.slots):
            return None
        slot = self.slots[self.step]
        if slot.sixteenth == self.given.sixteenths:
            return notes.END
        tokens = self.given.voices[slot.voice]
        return tokens[slot.sixteenth] if tokens else None


class MusicGenerator:
    """One Transformer writing one piece; `step` is one voice at one sixteenth."""

    family = "transformer"

    def __init__(self, model: ChoraleTransformer, machine: Machine) -> None:
        self.model = model.eval()
        self.machine = machine
        self._caches = KVCaches(model, machine)

    def begin(self, request: Start) -> tuple[MusicState, Started]:
        """The first state and what a person should know of it.

        Raises MisuseError for a prompt that asks for no piece and for voices that cannot be
        given.
        """
        given, remarks = read_given(request.init)
        opening = given.opening if given is not None else notes.parse_opening(request.prompt)
        state = self._start(request, opening, given)
        started = Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="music",
            prompt=notes.spell_opening(opening),
            total_steps=self.total(state),
            note="; ".join(remarks),
            init=None if given is None else given.to_text(),
        )
        return state, started

    def _start(
        self, request: Start, opening: notes.Opening, given: score.Given | None
    ) -> MusicState:
        leads = given.leads if given is not None else notes.MELODY_FIRST
        slots = notes.order(leads, given.sixteenths if given is not None else notes.MOST_SIXTEENTHS)
        asked = notes.place(slots[0], leads, opening)
        tokens = TokenList(
            tuple(
                notes.seen(token, notes.HOLD, notes.NOBODY, asked)
                for token in (notes.key_token(opening.key), notes.lead_token(leads))
            )
        )
        settings = _text_settings(request.settings)
        sounds = (notes.HOLD,) * len(notes.VOICES)
        state = MusicState(
            tokens, slots, opening, leads, given, sounds, np.empty(0), 0, request.seed, settings
        )
        return replace(state, logits=self._answer(state))

    def frame(self, state: MusicState) -> None:
        """Nothing: a note is seen as it is written."""

    def note(self, state: MusicState) -> str:
        """Nothing: `begin` tells what was not understood."""
        return ""

    def finished(self, state: MusicState) -> bool:
        return state.step >= self.total(state)

    def total(self, state: MusicState) -> int:
        """How many tokens there will be: a given or ended piece is written to its end."""
        if state.ended or state.given is not None:
            return len(state.slots)
        written = state.written_from + len(state.written)
        return min(max(state.settings.tokens, written, state.step), len(state.slots))

    def edit(self, state: MusicState, edit: Edit) -> MusicState:
        """Other settings, another seed or notes by hand, from the next slot on.

        Raises MisuseError for edits of pictures, at the end of the piece, and for a token that
        cannot stand in the slot that it would go to.
        """
        if state.step >= len(state.slots):
            raise MisuseError(f"the piece ended at step {state.step}: edit it at an earlier step")
        match edit:
            case SetSettings(settings=settings):
                return replace(state, settings=_text_settings(settings))
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case WriteText(text=text):
                written = tuple(notes.parse_token(word) for word in text.split())
                if not written:
                    raise MisuseError("no note is named: write one, as C4, or - to hold")
            case WriteToken(token=token):
                written = (token,)
            case _:
                raise MisuseError(
                    f"'{type(edit).__struct_config__.tag}' is an edit of pictures; "
                    "music takes other settings, a seed, or notes"
                )
        if len(written) > len(state.slots) - state.step:
            raise MisuseError(f"{len(written)} notes: the piece has room for fewer")
        for at, token in enumerate(written, state.step):
            if not _fits(token, state.slots[at], state):
                raise MisuseError(
                    f"{notes.spell_token(token)!r} cannot stand at step {at + 1}: "
                    "a note from A1 to C6, hold or rest does"
                )
        return replace(state, written=written, written_from=state.step)

    def step(self, state: MusicState) -> tuple[MusicState, TextFrame]:
        """Choose the next token, or take the one that is given or written by hand."""
        step = state.step + 1
        penalised = state.settings.repetition_penalty != 1
        sampled = distribution(
            state.logits, state.settings, _notes_in(state.tokens) if penalised else None
        )
        forced = state.forced
        if forced is None:
            draw = pick(sampled.probability, uniform(state.seed, step))
        else:
            draw = Draw(forced, 0.0, 0.0, 0.0)
        token, model = draw.token, softmax(state.logits)
        top = np.argsort(-model, kind="stable")[:CANDIDATES].tolist()
        if token not in top:
            top[-1] = token
        flats = notes.has_flats(state.opening.key)
        frame = TextFrame(
            trace=0,
            step=step,
            token=token,
            text=notes.spell_token(token, flats) + " ",
            surprisal=float(-np.log2(max(model[token], 1e-30))),
            entropy=entropy(model),
            candidates=tuple(
                Candidate(
                    token=t,
                    text=notes.spell_token(t, flats),
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
        return self._written(state, token), frame

    def spelled(self, tokens: list[int]) -> tuple[str, ...]:
        """Each thing that was read, as a person reads it: "S G4", "B hold"."""
        return tuple(notes.spell_seen(token) for token in tokens)

    def _written(self, state: MusicState, token: int) -> MusicState:
        """The state after a token, and the network's answer for the slot after it."""
        slot, slots = state.slots[state.step], state.slots
        ended = state.ended or token == notes.END
        if token == notes.END and state.given is None:
            slots = notes.order(state.leads, slot.sixteenth)
        step = state.step + 1
        asked = notes.place(slots[step], state.leads, state.opening) if step < len(slots) else 0
        sounds = state.sounds
        if token not in (notes.HOLD, notes.END):
            sounds = tuple(token if v == slot.voice else s for v, s in enumerate(sounds))
        tokens = state.tokens.appended(notes.seen(token, sounds[slot.voice], slot.voice, asked))
        state = replace(state, tokens=tokens, slots=slots, step=step, ended=ended, sounds=sounds)
        return replace(state, logits=self._answer(state)) if step < len(slots) else state

    def _answer(self, state: MusicState) -> np.ndarray:
        """Logits float32 [SIZE] for the next slot; what cannot stand there is NEVER."""
        seen = span(len(state.tokens), state.prompt, self.model.config.context)
        logits = self._caches.read(state.tokens.since(seen.first), seen.at_once).copy()
        slot = state.slots[state.step]
        allowed = [_fits(token, slot, state) for token in range(notes.SIZE)]
        logits[~np.array(allowed)] = NEVER
        return logits


def _fits(token: int, slot: notes.Slot, state: MusicState) -> bool:
    """Whether a token can stand in a slot."""
    if state.given is not None and slot.sixteenth == state.given.sixteenths:
        return token == notes.END
    if token == notes.END:
        first = slot.voice == notes.first_voice(state.leads) and slot.sixteenth > 0
        return first and not state.ended and state.given is None
    return token in (notes.HOLD, notes.REST) or notes.pitch_of(token) is not None


def _notes_in(read: TokenList) -> np.ndarray:
    """The tokens of the notes that were begun, for the penalty on repeating them."""
    tokens = read.since(0) % notes.INPUTS
    return tokens[(tokens >= notes.FIRST_NOTE) & (tokens < notes.FIRST_KEY)]


def _text_settings(settings: object) -> TextSettings:
    if not isinstance(settings, TextSettings):
        raise MisuseError("a model of music needs text settings")
    return settings


def load_music_model(
    recipe: MusicRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> MusicGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    model = ChoraleTransformer(chorale_config(recipe))
    return MusicGenerator(filled(model, tensors).to(device), machine)
