"""The training of models of four-voice music."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast
from genui.engine.models.language_model import LanguageModel
from genui.engine.train.batches import examples_of
from genui.engine.train.task import WHOLE, PerStep, Sample, Share, png
from genui.kinds.music import chorale, score
from genui.kinds.music.data import (
    LICENCE,
    Chorale,
    count_notes,
    describe,
    fingerprint,
    load_music,
    row,
    row_length,
)
from genui.kinds.music.midi import encode_midi
from genui.kinds.music.network import ChoraleTransformer, chorale_config
from genui.kinds.music.piano_roll import draw_roll_image
from genui.kinds.music.recipe import MusicRecipe
from genui.kinds.music.sample import MusicGenerator
from genui.protocol import Start, TextSettings
from genui.runs.recomputed import Example


def write_piece(
    generator: MusicGenerator, prompt: str, seed: int, settings: TextSettings
) -> score.Grid:
    """Generate a whole piece."""
    start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
    state, _ = generator.begin(start)
    grid = score.Grid(state.leads)
    while not generator.finished(state):
        state, frame = generator.step(state)
        grid.write(frame.token)
    return grid


NO_LEADS: frozenset[int] = frozenset()
HEAD = 2  # tokens of a row before its notes: the key and the leading voices
KEY_UNKNOWN = 0.1  # share of rows with an unknown key
LEADING = (0.3, 0.65, 0.8)
"""Cumulative shares of the rows in which no voice leads, the soprano does, the bass does; in the
rest any one to three voices lead. A model so learns to harmonise any given voices."""


class MusicTask:
    """Next-token prediction on grids of four voices, with random transpositions and leads."""

    unit = "tok"

    def __init__(
        self,
        recipe: MusicRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        parts = load_music(recipe)
        self._recipe, self._device = recipe, device
        self._train, self._held = parts["train"], parts["valid"]
        self.notes: tuple[str, ...] = ()
        self.data_line = describe(parts)
        # One window for each context of a piece: an epoch covers all of it about once.
        counts = [-(-row_length(piece) // recipe.context) for piece in self._train]
        self._windows = [
            (piece, at, count) for piece, count in enumerate(counts) for at in range(count)
        ]
        self.units_per_step = recipe.batch * recipe.context
        self.units_per_epoch = len(self._windows) * recipe.context
        self.extra = {"dataset": "chorales", "fingerprint": fingerprint(), "licence": LICENCE}
        self._batch = PerStep(self._draw)
        torch.manual_seed(recipe.seed)
        self.model = ChoraleTransformer(chorale_config(recipe)).to(device)

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        tokens, targets = self._batch(step)
        rows = share.rows(len(tokens))
        own, total = (int((each != -100).sum()) for each in (targets[rows], targets))
        loss = self.model.loss(tokens[rows].to(self._device), targets[rows].to(self._device))
        return share.scale(loss, own, total)

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step, int64 [B, context] each."""
        rows = [_row_of(window, self._recipe.context) for window in self._draw_windows(step)]
        tokens, targets = (torch.from_numpy(np.stack(each)) for each in zip(*rows, strict=True))
        return tokens, targets

    def _draw_windows(self, step: int) -> list["_Window"]:
        recipe = self._recipe
        windows = []
        indices = examples_of(step, recipe.batch, len(self._windows), recipe.seed)
        for number, index in enumerate(indices, step * recipe.batch):
            piece, part, parts = self._windows[index]
            rng = np.random.default_rng((recipe.seed, 1, number))
            windows.append(_draw_window(self._train[piece], part, parts, recipe.context, rng))
        return windows

    def examples(self, step: int) -> list[Example]:
        windows, context = self._draw_windows(step), self._recipe.context
        return [_show(row, window, context) for row, window in enumerate(windows)]

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats per token, and `val_note` in nats per onset of a note."""
        assert isinstance(model, ChoraleTransformer)
        every = 1 if whole else max(1, len(self._held) // self._recipe.eval_batches)
        pieces = self._held[::every]
        nats = [held_out(model, piece, machine) for piece in pieces]
        total = float(sum(each.sum() for each in nats))
        return {"val_loss": total / sum(map(len, nats)), "val_note": total / count_notes(pieces)}

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:
        """The piece of the recipe's prompt and seed, as a piano roll and as MIDI."""
        assert isinstance(model, ChoraleTransformer)
        recipe = self._recipe
        opening = chorale.parse_opening(recipe.sample_prompt)
        settings = TextSettings(tokens=recipe.sample_tokens)
        generator = MusicGenerator(model, machine)
        grid = write_piece(generator, recipe.sample_prompt, recipe.seed, settings)
        notes = grid.notes()
        image = draw_roll_image(notes, grid.complete, opening.bar, opening.begins)
        return Sample(".png", png(image)), Sample(".mid", encode_midi(notes, opening.bar))


class _Window(NamedTuple):
    """A part of a piece as it is trained on."""

    piece: Chorale
    leads: frozenset[int]
    shift: int  # semitones up
    key_known: bool
    first: int  # token of the piece's row


def _draw_window(
    piece: Chorale, part: int, parts: int, context: int, rng: np.random.Generator
) -> _Window:
    """About the `part`-th of `parts` of a piece: transposition, leading voices and position are
    random."""
    shift = int(rng.choice(np.array(piece.shifts)))
    leads, key_known = _draw_leads(rng), bool(rng.random() >= KEY_UNKNOWN)
    room = max(0, row_length(piece) - context)
    first = round(part * room / max(1, parts - 1)) + int(rng.integers(-context // 4, context // 4))
    return _Window(piece, leads, shift, key_known, min(max(0, first), room))


def _row_of(window: _Window, context: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets [context]; if the piece is shorter the targets are padded with -100."""
    part = slice(window.first, window.first + context)
    whole = row(window.piece, window.leads, window.shift, window.key_known)
    tokens, targets = (each[part] for each in whole)
    missing = context - len(tokens)
    return np.pad(tokens, (0, missing)), np.pad(targets, (0, missing), constant_values=-100)


def _show(number: int, window: _Window, context: int) -> Example:
    """The sixteenths that a window begins and ends in, as a piano roll."""
    piece, opening = window.piece, window.piece.opening
    slots = chorale.slot_order(window.leads, len(piece.pitch))
    begin = max(0, window.first - HEAD)
    times = [slot.sixteenth for slot in slots[begin : begin + context]]
    first, last = min(times), min(max(times) + 1, len(piece.pitch))
    grid = piece.tokens[first:last]
    grid = np.where(grid >= chorale.FIRST_NOTE, grid + window.shift, grid)
    notes = [
        note
        for voice, tokens in enumerate(grid.T.tolist())
        for note in score.notes_of_voice(voice, tokens)
    ]
    begins = (opening.begins + first) % opening.bar
    leads = [name for voice, name in enumerate(chorale.VOICES) if voice in window.leads]
    return Example(
        row=number,
        source=f"BWV {piece.bwv}, sixteenths {first + 1} to {last}",
        text=f"{window.shift:+d} semitones, {' and '.join(leads) or 'no voice'} given",
        image=png(draw_roll_image(notes, last - first, opening.bar, begins)),
    )


def _draw_leads(rng: np.random.Generator) -> frozenset[int]:
    kind = int(np.searchsorted(LEADING, rng.random(), side="right"))
    if kind < len(LEADING):
        return (NO_LEADS, frozenset({0}), frozenset({3}))[kind]
    chosen = rng.permutation(len(chorale.VOICES))[: int(rng.integers(1, 4))]
    return frozenset(chosen.tolist())


def held_out(
    model: LanguageModel,
    piece: Chorale,
    machine: Machine,
    leads: frozenset[int] = NO_LEADS,
) -> NDArray[np.float64]:
    """The loss in nats of each token of a piece, including END, in the order of writing.

    A piece longer than the model's context is read in windows that overlap by half; each token is
    evaluated in the window with the longest context before it.
    """
    tokens, targets = row(piece, leads)
    return nats_of(model, tokens, targets, machine)


@torch.inference_mode()
def nats_of(
    model: LanguageModel,
    tokens: NDArray[np.int64],
    targets: NDArray[np.int64],
    machine: Machine,
) -> NDArray[np.float64]:
    """The loss in nats of each target that is not -100, in order."""
    context = model.context
    starts = [*range(0, max(1, len(tokens) - context), context // 2), max(0, len(tokens) - context)]
    nats_per_token = np.full(len(tokens), np.nan)
    for first in dict.fromkeys(starts):
        x = torch.from_numpy(tokens[first : first + context])[None].to(model.device)
        y = torch.from_numpy(targets[first : first + context]).to(model.device)
        with autocast(machine):
            nats = F.cross_entropy(model(x)[0], y, reduction="none").double().cpu().numpy()
        end = first + len(nats)
        known = int(np.count_nonzero(~np.isnan(nats_per_token[first:end])))
        nats_per_token[first + known : end] = nats[known:]
    return nats_per_token[targets >= 0]
