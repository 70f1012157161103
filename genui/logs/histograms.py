"""Histograms of one name over time, as a heat map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genui.render.image import apply_colour_map

_MAP_WIDTH, _MAP_HEIGHT = 192, 48  # pixels of a heat map


class Histograms:
    """The histograms of one name over time. If there are many steps, some are left out."""

    MAX_HISTOGRAMS = 256
    MAX_COUNTS = 512

    def __init__(self) -> None:
        self._items: list[tuple[int, NDArray[np.float32], NDArray[np.float32]]] = []
        self._stride = 1
        self._count = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, step: int, edges: Sequence[float], counts: Sequence[float]) -> bool:
        """Adds the counts [N] between the edges [N + 1]; False if they are none, or left out."""
        try:
            with np.errstate(over="ignore"):
                edges_array = np.asarray(edges, float).astype(np.float32)
                counts_array = np.asarray(counts, float).astype(np.float32)
        except (TypeError, ValueError):  # no numbers
            return False
        if counts_array.ndim != 1 or not 1 <= len(counts_array) <= self.MAX_COUNTS:
            return False
        if edges_array.shape != (len(counts_array) + 1,):
            return False
        if not (np.isfinite(edges_array).all() and np.isfinite(counts_array).all()):
            return False
        if (np.diff(edges_array) < 0).any() or (counts_array < 0).any():
            return False
        self._count += 1
        if (self._count - 1) % self._stride:
            return False
        self._items.append((step, edges_array, counts_array))
        if len(self._items) > self.MAX_HISTOGRAMS:
            self._items = self._items[::2]
            self._stride *= 2
        return True

    def forget_after(self, step: int) -> None:
        """Drops the histograms of steps later than `step`."""
        self._items = [item for item in self._items if item[0] <= step]

    def heat_map(self, until: int) -> NDArray[np.uint8]:
        """A column for each step up to `until`, the values upwards, more counts brighter."""
        items = sorted((item for item in self._items if item[0] <= until), key=lambda one: one[0])
        items = items[:: -(-len(items) // _MAP_WIDTH) or 1]
        if not items:
            raise ValueError("no histogram by then")
        low = min(float(edges[0]) for _, edges, _ in items)
        high = max(float(edges[-1]) for _, edges, _ in items)
        if not low < high:
            low, high = low - 0.5, high + 0.5
        rows = np.linspace(low, high, _MAP_HEIGHT + 1)
        columns: list[NDArray[np.float64]] = []
        for _, edges, counts in items:
            below = np.concatenate(([0.0], np.cumsum(counts, dtype=float)))
            share = np.diff(np.interp(rows, edges, below))
            columns.append(share / max(float(share.max()), 1e-30))
        image = apply_colour_map((2 * np.sqrt(np.array(columns).T[::-1]) - 1).astype(np.float32))
        return image.repeat(max(1, _MAP_WIDTH // len(columns)), axis=1)
