"""Many pieces at once, for measuring: quicker than one after the other, and rounded otherwise."""

from collections.abc import Sequence

import numpy as np

from genui import notes, score
from genui.engine.device import Machine
from genui.engine.generate.choosing import distribution, pick, uniform
from genui.engine.generate.music import masked
from genui.engine.generate.reader import RowReader
from genui.engine.models.language_model import LanguageModel
from genui.protocol import TextSettings


def write_pieces(
    model: LanguageModel,
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
    reader = RowReader(model, machine, len(seeds), read.shape[1])
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
