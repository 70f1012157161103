"""The examples of a step: their order in an epoch, those that are left out, and the augmentation of
images."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.base.errors import MisuseError


def examples_of(step: int, batch: int, count: int, seed: int) -> NDArray[np.int64]:
    """The indices [batch] of a step's examples, 0 to `count` - 1: each once per epoch, shuffled."""
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), count)
    indices = np.empty(batch, np.int64)
    for epoch in np.unique(epochs).tolist():
        rows = epochs == epoch
        indices[rows] = _permutation(seed, epoch, count)[places[rows]]
    return indices


@lru_cache(maxsize=2)  # a step may span two epochs
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)


# --- Examples that are left out ----------------------------------------------------------------
# Each is replaced by another one, by random numbers of the step: the others stay as they are.


def read_places(skip: str) -> NDArray[np.int64]:
    """The places of a recipe's `skip` as ranges, int64 [K, 2], whose ends are excluded."""
    parts = [part.partition("-") for part in skip.split(",") if part]
    ranges = [(int(first), int(end) if dash else int(first) + 1) for first, dash, end in parts]
    return np.array(ranges, np.int64).reshape(-1, 2)


def has_place(
    starts: NDArray[np.int64], length: int, places: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which examples, of `length` places from `starts` [B] on, have one of the places [K, 2]."""
    begins, ends = places.T
    starts = starts[:, None]
    return ((starts < ends) & (starts + length > begins)).any(axis=1)


class IndexSkip:
    """Leaves out some of the training examples `indices` [N]. Raises MisuseError if none is left.

    The places are the indices themselves.
    """

    def __init__(self, skip: str, indices: NDArray[np.int64]) -> None:
        self._places = read_places(skip)
        self._kept = indices[~has_place(indices, 1, self._places)]
        if not len(self._kept):
            raise _nothing_left(skip)

    def replace(self, drawn: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Replace those of a step's indices [B] that are left out; `rng`, which is that of the
        step, gives the same numbers afterwards."""
        skipped = has_place(drawn, 1, self._places)
        if not skipped.any():
            return drawn
        return np.where(skipped, rng.spawn(1)[0].choice(self._kept, len(drawn)), drawn)


class WindowSkip:
    """Leaves out the windows that read some of a text's tokens. Raises MisuseError if none of
    `length` tokens is left.

    The places are those of the tokens.
    """

    def __init__(self, skip: str, tokens: int, length: int) -> None:
        self._places, self._tokens = read_places(skip), tokens
        if not len(self._free(length)):
            raise _nothing_left(skip)

    def replace(
        self, starts: NDArray[np.int64], length: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Replace those of a step's windows that are left out: of `length` tokens from `starts` [B]
        on, the last of which is only predicted."""
        skipped = has_place(starts, length, self._places)
        if not skipped.any():
            return starts
        begins, ends = self._free(length).T
        before = np.cumsum(ends - begins)
        number = rng.integers(before[-1], size=len(starts))  # of the starts that are free
        piece = np.searchsorted(before, number, side="right")
        return np.where(skipped, ends[piece] - (before[piece] - number), starts)

    def _free(self, length: int) -> NDArray[np.int64]:
        """The pieces [P, 2] of the text in which windows may begin."""
        pieces, begin = [], 0
        last = self._tokens - length + 1
        for first, end in sorted(self._places.tolist()):
            pieces.append((begin, min(first - length + 1, last)))
            begin = max(begin, end)
        pieces.append((begin, last))
        return np.array([each for each in pieces if each[0] < each[1]], np.int64).reshape(-1, 2)


def _nothing_left(skip: str) -> MisuseError:
    return MisuseError(f"skip={skip[:40]}: leaves no example to train on; give fewer places")


# --- Augmentation ------------------------------------------------------------------------------


def augment(rgb: Tensor, rng: np.random.Generator, shift: float, zoom: float, flip: bool) -> Tensor:
    """Augment [B, C, H, W]: shift by up to `shift` pixels, scale by 1 ± `zoom`, and mirror half of
    them with `flip`. The border's colour fills what comes in from outside."""
    if not (shift or zoom or flip):
        return rgb
    count, _, height, width = rgb.shape
    scale = 1 + rng.uniform(-zoom, zoom, count)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    # Coordinates of affine_grid go from -1 to 1 over a side: a pixel is 2 / side.
    offset = rng.uniform(-shift, shift, (count, 2)) * 2 / np.array([width, height])
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = mirror / scale
    theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = offset
    grid = F.affine_grid(
        torch.from_numpy(theta).to(rgb.device), list(rgb.shape), align_corners=False
    )
    return F.grid_sample(rgb, grid.to(rgb.dtype), padding_mode="border", align_corners=False)
