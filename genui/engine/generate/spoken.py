"""Spoken words made of what a diffusion model guesses: a picture to see and a sound to hear."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from genui.engine.generate.diffusion_state import DiffusionState
from genui.engine.generate.grid import Row
from genui.engine.generate.picture_frame import shown
from genui.engine.sound.griffin_lim import vocoded
from genui.engine.sound.mel import FRAMES, MELS, RANGE_DB, Mels
from genui.engine.sound.stft import HOP, RATE, Samples
from genui.protocol import ImageFrame
from genui.render.cubehelix import coloured
from genui.render.wav import to_pcm

PREVIEW_ROUNDS = 10  # of Griffin–Lim, at every step
FINAL_ROUNDS = 32  # at the last one
MOST_HEARD = 16  # words of one frame
PAUSE = 0.12  # seconds between words
REST = 0.5  # seconds between the cells of a grid
QUIET_DB = 40.0  # what stays this far below a word's loudest moment is its silence
LOUDEST = 0.95  # of full scale
MARGIN = 2  # frames kept around a word


def spoken_frame(state: DiffusionState, spread: float) -> ImageFrame:
    """The words of a state side by side, a line a cell, and the sound of what is guessed."""
    sigma = state.sigma
    x, noise = shown(state, spread)
    cells = cells_of(state.rows)
    guess = _mels(state.denoised)
    pictures = [_sheet(each, cells, state.grid.columns) for each in (_mels(x), guess, _mels(noise))]
    height, width, _ = pictures[0].shape
    return ImageFrame(
        trace=0,  # the trace numbers its frames
        step=state.step,
        sigma=sigma,
        width=width,
        height=height,
        x=pictures[0].tobytes(),
        guess=pictures[1].tobytes(),
        noise=pictures[2].tobytes(),
        sound=to_pcm(sound_of(guess, cells, PREVIEW_ROUNDS if sigma else FINAL_ROUNDS)).tobytes(),
        rate=RATE,
    )


def cells_of(rows: Sequence[Row]) -> list[slice]:
    """Which rows belong to one cell of the grid: a cell begins with part 0."""
    begins = [i for i, row in enumerate(rows) if row.part == 0]
    return [slice(a, b) for a, b in zip(begins, [*begins[1:], len(rows)], strict=True)]


def sound_of(mels: Mels, cells: Sequence[slice], rounds: int) -> Samples:
    """Spectrograms [B, MELS, FRAMES] as speech at RATE: each cell's words, one cell after another.

    Of a large grid the first MOST_HEARD words are heard.
    """
    words = [
        _trimmed(each, mel)
        for each, mel in zip(vocoded(mels[:MOST_HEARD], rounds), mels, strict=False)
    ]
    pause, rest = (np.zeros(round(s * RATE), np.float32) for s in (PAUSE, REST))
    pieces: list[Samples] = []
    for cell in cells:
        for i, word in enumerate(words[cell]):
            pieces += [rest if i == 0 else pause, word] if pieces else [word]
    samples = np.concatenate(pieces)
    return samples * min(1.0, LOUDEST / max(float(np.abs(samples).max()), 1e-6))


def _trimmed(samples: Samples, mels: Mels) -> Samples:
    """A word without the silence around it, faded over what is cut."""
    loudest = mels.max(axis=0)
    heard = np.flatnonzero(loudest > loudest.max() - 2 * QUIET_DB / RANGE_DB)
    if not len(heard):
        return samples
    begin = max(0, heard[0] - MARGIN) * HOP
    end = min(len(loudest), heard[-1] + 1 + MARGIN) * HOP
    word = samples[begin:end].copy()
    fade = np.linspace(0, 1, min(HOP, len(word)), dtype=np.float32)
    word[: len(fade)] *= fade
    word[len(word) - len(fade) :] *= fade[::-1]
    return word


def _mels(x: torch.Tensor) -> Mels:
    """[B, 1, MELS, FRAMES] as [B, MELS, FRAMES]."""
    return x[:, 0].float().cpu().numpy()


def _sheet(mels: Mels, cells: Sequence[slice], columns: int) -> NDArray[np.uint8]:
    """[B, MELS, FRAMES] as one picture: low mels at the bottom, words side by side.

    A cell with fewer words than the longest is silent to its right.
    """
    most = max(cell.stop - cell.start for cell in cells)
    down = len(cells) // columns
    sheet = np.full((down, MELS, columns, most, FRAMES), -1, np.float32)
    for i, cell in enumerate(cells):
        for part, mel in enumerate(mels[cell]):
            sheet[i // columns, :, i % columns, part] = mel[::-1]
    return coloured(sheet.reshape(down * MELS, columns * most * FRAMES))
