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
from genui.engine.generate.melody import read_given
from genui.engine.generate.token_frame import TokenState, next_token
from genui.engine.generate.token_generator import TokenGenerator
from genui.engine.generate.token_list import TokenList
from genui.engine.models.chorale import ChoraleTransformer, chorale_config
from genui.engine.models.filled import load_frozen
from genui.errors import MisuseError
from genui.protocol import Start, Started, TextFrame, TextSettings
from genui.recipes import MusicRecipe


@dataclass(frozen=True, kw_only=True)
class MusicState(TokenState):
    """A piece so far.

    `slots` is where each token goes, and `logits` [SIZE] the answer for slot number `step`.
    """

    prompt: int = 2  # a piece opens with its key, and which voices lead
    slots: Sequence[notes.Slot] = field(repr=False)
    opening: notes.Opening
    leads: frozenset[int]
    given: score.Given | None
    sounds: tuple[int, ...]  # of each voice the token of its last note or rest, else HOLD
    sixteenths: int | None = None  # of the piece: of given voices, and once its END is written

    @property
    def forced(self) -> int | None:
        """The next token, where it is written by hand or given."""
        if (by_hand := super().forced) is not None:
            return by_hand
        if self.given is None or self.step >= len(self.slots):
            return None
        slot = self.slots[self.step]
        if slot.sixteenth == self.sixteenths:
            return notes.END
        tokens = self.given.voices[slot.voice]
        return tokens[slot.sixteenth] if tokens else None


class MusicGenerator(TokenGenerator[MusicState]):
    """One model writing one piece; `step` is one voice at one sixteenth."""

    medium = "music"
    writer = "a model of music"
    edits = "music takes other settings, a seed, or notes"

    def begin(self, request: Start) -> tuple[MusicState, Started]:
        """The first state and what a person should know of it.

        Raises MisuseError for a prompt that asks for no piece and for voices that cannot be
        given.
        """
        given, remarks = read_given(request.init)
        opening = given.opening if given is not None else notes.parse_opening(request.prompt)
        state = self._start(request, opening, given)
        started = self.started(request, state, notes.spell_opening(opening), "; ".join(remarks))
        init = None if given is None else given.to_text()
        return state, msgspec.structs.replace(started, init=init)

    def _start(
        self, request: Start, opening: notes.Opening, given: score.Given | None
    ) -> MusicState:
        leads = given.leads if given is not None else notes.MELODY_FIRST
        sixteenths = given.sixteenths if given is not None else None
        state = MusicState(
            token_ids=TokenList(notes.head(leads, opening)),
            slots=notes.order(leads, sixteenths or notes.MOST_SIXTEENTHS),
            opening=opening,
            leads=leads,
            given=given,
            sounds=(notes.HOLD,) * len(notes.VOICES),
            logits=np.empty(0),
            step=0,
            seed=request.seed,
            settings=self.check_settings(request.settings),
            sixteenths=sixteenths,
        )
        return replace(state, logits=self._answer(state))

    def total(self, state: MusicState) -> int:
        """How many tokens there will be: a given or ended piece is written to its end."""
        if state.sixteenths is not None:
            return len(state.slots)
        return min(state.wanted, len(state.slots))

    def check_settings(self, settings: object) -> TextSettings:
        checked = super().check_settings(settings)
        if checked.grammar != "none":
            raise MisuseError(f"grammar {checked.grammar}: this model writes music; leave it out")
        return checked

    def check_editable(self, state: MusicState) -> None:
        if state.step >= len(state.slots):
            raise MisuseError(f"the piece ended at step {state.step}: edit it at an earlier step")

    def check_written(self, state: MusicState, written: tuple[int, ...]) -> None:
        if len(written) > len(state.slots) - state.step:
            raise MisuseError(f"{len(written)} notes: the piece has room for fewer")
        for at, token in enumerate(written, state.step):
            if token not in notes.fitting(state.slots[at], state.leads, state.sixteenths):
                raise MisuseError(
                    f"{notes.spell_token(token)!r} cannot stand at step {at + 1}: "
                    "a note from A1 to C6, hold or rest does"
                )

    def parse(self, state: MusicState, text: str) -> tuple[int, ...]:
        written = tuple(notes.parse_token(word) for word in text.split())
        if not written:
            raise MisuseError("no note is named: write one, as C4, or - to hold")
        return written

    def step(self, state: MusicState) -> tuple[MusicState, TextFrame]:
        """Choose the next token, or take the one that is given or written by hand."""
        flats = notes.has_flats(state.opening.key)
        frame = next_token(
            state, lambda: _notes_in(state.token_ids), lambda token: notes.spell_token(token, flats)
        )
        after = self._written(state, frame.token)
        return after, msgspec.structs.replace(frame, text=frame.text + " ")

    def spelled(self, token_ids: list[int]) -> tuple[str, ...]:
        """Each thing that was read, as a person reads it: "S G4", "B hold"."""
        return tuple(notes.spell_seen(token) for token in token_ids)

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
        read = notes.seen(token, sounds[slot.voice], slot.voice, asked)
        token_ids = state.token_ids.appended(read)
        state = replace(
            state, token_ids=token_ids, slots=slots, step=step, sixteenths=sixteenths, sounds=sounds
        )
        return replace(state, logits=self._answer(state)) if step < len(slots) else state

    def _answer(self, state: MusicState) -> np.ndarray:
        """Logits float32 [SIZE] for the next slot; what cannot stand there is NEVER."""
        logits = self.read(state.token_ids, state.prompt)
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
