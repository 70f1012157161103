"""Many pieces at once, for measuring: quicker than one after the other, and rounded otherwise."""

from collections.abc import Sequence

import numpy as np
import torch

from genui import notes, score
from genui.engine.device import Machine, autocast
from genui.engine.generate.choosing import distribution, pick, uniform
from genui.engine.generate.music import masked
from genui.engine.models.chorale import ChoraleTransformer
from genui.engine.models.transformer import KVCache
from genui.protocol import TextSettings


@torch.inference_mode()
def write_pieces(
    model: ChoraleTransformer,
    machine: Machine,
    opening: notes.Opening,
    seeds: Sequence[int],
    settings: TextSettings,
) -> list[score.Grid]:
    """A piece a seed, each as `MusicGenerator` would write it but for rounding.

    Those that have ended are read on with silence until all have.
    """
    leads = notes.MELODY_FIRST
    grids = [score.Grid(leads) for _ in seeds]
    sounds = [[notes.HOLD] * len(notes.VOICES) for _ in seeds]
    read = np.tile(np.array(notes.head(leads, opening), np.int64), (len(seeds), 1))
    reader = _Reader(model, machine, len(seeds))
    for step in range(settings.tokens):
        if all(grid.next is None for grid in grids):
            break
        logits = reader.logits(read)
        column = np.zeros(len(seeds), np.int64)
        for at, (grid, seed) in enumerate(zip(grids, seeds, strict=True)):
            slot = grid.next
            if slot is None:
                continue
            allowed = masked(logits[at], slot, leads, grid.sixteenths)
            chosen = distribution(allowed, settings).probability
            token = pick(chosen, uniform(seed, step + 1)).token
            grid.write(token)
            if token not in (notes.HOLD, notes.END):
                sounds[at][slot.voice] = token
            following = grid.next
            place = notes.place(following, leads, opening) if following is not None else 0
            column[at] = notes.seen(token, sounds[at][slot.voice], slot.voice, place)
        read = np.concatenate([read, column[:, None]], axis=1)
    return grids


class _Reader:
    """Reads rows of equal length, a column more each time; past the context from its half on."""

    def __init__(self, model: ChoraleTransformer, machine: Machine, rows: int) -> None:
        self._model, self._machine = model, machine
        self._device = next(model.parameters()).device
        self._cache = KVCache(model.config, rows, self._device)
        self._first = 0

    def logits(self, read: np.ndarray) -> np.ndarray:
        """Of the column after `read` int64 [rows, T]: float32 [rows, SIZE]."""
        if read.shape[1] - self._first > self._model.config.context:
            self._first += self._model.config.context // 2
            self._cache.length = 0
        new = torch.from_numpy(read[:, self._first + self._cache.length :]).to(self._device)
        with autocast(self._machine):
            return self._model(new, self._cache)[:, -1].float().cpu().numpy()
