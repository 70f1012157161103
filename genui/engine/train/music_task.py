"""Training a Transformer to write four-voice music."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui import notes
from genui.engine.data.chorales import (
    LICENCE,
    Chorale,
    describe,
    fingerprint,
    load_dataset,
    notes_begun,
    row,
    row_length,
)
from genui.engine.device import Machine, autocast
from genui.engine.models.chorale import ChoraleTransformer, chorale_config
from genui.engine.models.language_model import LanguageModel
from genui.engine.train.epochs import examples_of
from genui.engine.train.task import Sample
from genui.recipes import MusicRecipe

NO_LEADS: frozenset[int] = frozenset()
KEY_UNKNOWN = 0.1  # share of rows whose key is not told
LEADING = (0.3, 0.65, 0.8)
"""Of the rows, up to these shares nobody leads, the soprano does, the bass does; of the rest any
one to three voices do. So a model learns to harmonise whatever is given."""


class MusicTask:
    """Next-token prediction on grids of four voices, moved to other keys, led by any voices."""

    unit = "tok"

    def __init__(
        self, recipe: MusicRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        parts = load_dataset(recipe)
        self._recipe, self._device = recipe, device
        self._train, self._held = parts["train"], parts["valid"]
        self.notes: tuple[str, ...] = ()
        self.data_line = describe(parts)
        # A window a context of each piece, and so every part of it about once an epoch.
        counts = [-(-row_length(piece) // recipe.context) for piece in self._train]
        self._windows = [
            (piece, at, count) for piece, count in enumerate(counts) for at in range(count)
        ]
        self.units_per_step = recipe.batch * recipe.context
        self.units_per_epoch = len(self._windows) * recipe.context
        self.extra = {"dataset": "chorales", "fingerprint": fingerprint(), "licence": LICENCE}
        torch.manual_seed(recipe.seed)
        self.model = ChoraleTransformer(chorale_config(recipe)).to(device)

    def loss(self, step: int) -> Tensor:
        recipe = self._recipe
        rows = []
        chosen = examples_of(step, recipe.batch, len(self._windows), recipe.seed)
        for number, window in enumerate(chosen, step * recipe.batch):
            piece, part, parts = self._windows[window]
            rng = np.random.default_rng((recipe.seed, 1, number))
            rows.append(_window(self._train[piece], part, parts, recipe.context, rng))
        tokens, answers = (np.stack(column) for column in zip(*rows, strict=True))
        device = self._device
        return self.model.loss(
            torch.from_numpy(tokens).to(device), torch.from_numpy(answers).to(device)
        )

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`val_loss` in nats a token (a voice a sixteenth), `val_note` in nats a note begun."""
        assert isinstance(model, ChoraleTransformer)
        every = 1 if whole else max(1, len(self._held) // self._recipe.eval_batches)
        pieces = self._held[::every]
        nats = [held_out(model, piece, machine) for piece in pieces]
        total = float(sum(one.sum() for one in nats))
        return {"val_loss": total / sum(map(len, nats)), "val_note": total / notes_begun(pieces)}

    def sample(self, model: nn.Module, machine: Machine) -> Sequence[Sample]:
        from genui.engine.train.music_sample import samples

        assert isinstance(model, ChoraleTransformer)
        return samples(model, machine, self._recipe)


def _window(
    piece: Chorale, part: int, parts: int, context: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """About the `part`-th of `parts` of a piece: what is read and what to answer, [context].

    In another key, led by other voices and cut elsewhere each time. Where the piece is
    shorter the rest of the answers is -100.
    """
    shift = int(rng.choice(np.array(piece.shifts)))
    tokens, answers = row(piece, _leads(rng), shift, bool(rng.random() >= KEY_UNKNOWN))
    room = max(0, len(tokens) - context)
    first = round(part * room / max(1, parts - 1)) + int(rng.integers(-context // 4, context // 4))
    first = min(max(0, first), room)
    tokens, answers = tokens[first : first + context], answers[first : first + context]
    missing = context - len(tokens)
    return np.pad(tokens, (0, missing)), np.pad(answers, (0, missing), constant_values=-100)


def _leads(rng: np.random.Generator) -> frozenset[int]:
    kind = int(np.searchsorted(LEADING, rng.random(), side="right"))
    if kind < len(LEADING):
        return (NO_LEADS, frozenset({0}), frozenset({3}))[kind]
    chosen = rng.permutation(len(notes.VOICES))[: int(rng.integers(1, 4))]
    return frozenset(chosen.tolist())


def held_out(
    model: LanguageModel,
    piece: Chorale,
    machine: Machine,
    leads: frozenset[int] = NO_LEADS,
) -> NDArray[np.float64]:
    """Nats of each token of a piece, in the order they are written, END among them.

    A piece longer than the model's context is read in windows that overlap by half, and each
    token is judged where most of what came before it is in sight.
    """
    tokens, answers = row(piece, leads)
    return nats_of(model, tokens, answers, machine)


@torch.inference_mode()
def nats_of(
    model: LanguageModel,
    tokens: NDArray[np.int64],
    answers: NDArray[np.int64],
    machine: Machine,
) -> NDArray[np.float64]:
    """Nats of each answer that is asked for, in order."""
    context = model.context
    starts = [*range(0, max(1, len(tokens) - context), context // 2), max(0, len(tokens) - context)]
    found = np.full(len(tokens), np.nan)
    for first in dict.fromkeys(starts):
        read = torch.from_numpy(tokens[first : first + context])[None].to(model.device)
        asked = torch.from_numpy(answers[first : first + context]).to(model.device)
        with autocast(machine):
            nats = F.cross_entropy(model(read)[0], asked, reduction="none").double().cpu().numpy()
        end = first + len(nats)
        known = int(np.count_nonzero(~np.isnan(found[first:end])))
        found[first + known : end] = nats[known:]
    return found[answers >= 0]
