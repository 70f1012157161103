"""Writing four-voice music a token at a time, round voices that are given or alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui import notes, score
from genui.engine.device import Machine
from genui.engine.generate.choosing import NEVER
from genui.engine.generate.kv_caches import KVCaches, span
from genui.engine.generate.melody import read_given
from genui.engine.generate.token_frame import next_token
from genui.engine.generate.token_list import TokenList
from genui.engine.models.chorale import ChoraleTransformer, chorale_config
from genui.engine.models.filled import load_frozen
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
from genui.recipes import MusicRecipe


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
    sixteenths: int | None = None  # of the piece: of given voices, and once its END is written
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
        if slot.sixteenth == self.sixteenths:
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
        sixteenths = given.sixteenths if given is not None else None
        state = MusicState(
            tokens=TokenList(notes.head(leads, opening)),
            slots=notes.order(leads, sixteenths or notes.MOST_SIXTEENTHS),
            opening=opening,
            leads=leads,
            given=given,
            sounds=(notes.HOLD,) * len(notes.VOICES),
            logits=np.empty(0),
            step=0,
            seed=request.seed,
            settings=_text_settings(request.settings),
            sixteenths=sixteenths,
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
        if state.sixteenths is not None:
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
            if token not in notes.fitting(state.slots[at], state.leads, state.sixteenths):
                raise MisuseError(
                    f"{notes.spell_token(token)!r} cannot stand at step {at + 1}: "
                    "a note from A1 to C6, hold or rest does"
                )
        return replace(state, written=written, written_from=state.step)

    def step(self, state: MusicState) -> tuple[MusicState, TextFrame]:
        """Choose the next token, or take the one that is given or written by hand."""
        flats = notes.has_flats(state.opening.key)
        frame = next_token(
            state, lambda: _notes_in(state.tokens), lambda token: notes.spell_token(token, flats)
        )
        after = self._written(state, frame.token)
        return after, msgspec.structs.replace(frame, text=frame.text + " ")

    def spelled(self, tokens: list[int]) -> tuple[str, ...]:
        """Each thing that was read, as a person reads it: "S G4", "B hold"."""
        return tuple(notes.spell_seen(token) for token in tokens)

    def _written(self, state: MusicState, token: int) -> MusicState:
        """The state after a token, and the network's answer for the slot after it."""
        slot, slots, sixteenths = state.slots[state.step], state.slots, state.sixteenths
        if token == notes.END:
            sixteenths = slot.sixteenth
            slots = notes.order(state.leads, sixteenths)
        step = state.step + 1
        asked = notes.place(slots[step], state.leads, state.opening) if step < len(slots) else 0
        sounds = state.sounds
        if token not in (notes.HOLD, notes.END):
            sounds = tuple(token if v == slot.voice else s for v, s in enumerate(sounds))
        tokens = state.tokens.appended(notes.seen(token, sounds[slot.voice], slot.voice, asked))
        state = replace(
            state, tokens=tokens, slots=slots, step=step, sixteenths=sixteenths, sounds=sounds
        )
        return replace(state, logits=self._answer(state)) if step < len(slots) else state

    def _answer(self, state: MusicState) -> np.ndarray:
        """Logits float32 [SIZE] for the next slot; what cannot stand there is NEVER."""
        seen = span(len(state.tokens), state.prompt, self.model.config.context)
        logits = self._caches.read(state.tokens.since(seen.first), seen.at_once)
        return masked(logits, state.slots[state.step], state.leads, state.sixteenths)


def masked(
    logits: np.ndarray, slot: notes.Slot, leads: frozenset[int], sixteenths: int | None
) -> np.ndarray:
    """Logits [SIZE] of a slot, as a copy in which what cannot stand there is NEVER."""
    fitting = list(notes.fitting(slot, leads, sixteenths))
    found = np.full_like(logits, NEVER)
    found[fitting] = logits[fitting]
    return found


def _notes_in(read: TokenList) -> np.ndarray:
    """The tokens of the notes that were begun, for the penalty on repeating them."""
    tokens = read.since(0) % notes.INPUTS
    return tokens[(tokens >= notes.FIRST_NOTE) & (tokens < notes.FIRST_KEY)]


def _text_settings(settings: object) -> TextSettings:
    if not isinstance(settings, TextSettings):
        raise MisuseError("a model of music needs text settings")
    if settings.grammar != "none":
        raise MisuseError(f"grammar {settings.grammar}: this model writes music; leave it out")
    return settings


def load_music_model(
    recipe: MusicRecipe,
    tensors: dict[str, Tensor],
    described: Mapping[str, Any],
    machine: Machine,
    device: torch.device,
) -> MusicGenerator:
    """The generator of a checkpoint's weights; errors as `kinds.build_generator` says."""
    model = load_frozen(lambda: ChoraleTransformer(chorale_config(recipe)), tensors)
    return MusicGenerator(model.to(device), machine)
