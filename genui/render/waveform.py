"""A sound as dots: the lowest and the highest sample of each column, 2 × 4 dots a cell."""

import numpy as np
from numpy.typing import NDArray

from genui.render.braille import DOTS_ACROSS, DOTS_DOWN, Canvas


def waveform(pcm: NDArray[np.int16], cols: int, rows: int) -> list[str]:
    """Samples int16 [N] over `cols` × `rows` cells, all of them, the loudest as high as fits.

    Silence is a line in the middle.
    """
    columns, dots = cols * DOTS_ACROSS, rows * DOTS_DOWN
    middle = (dots - 1) / 2
    edges = np.linspace(0, len(pcm), columns + 1).astype(np.int64)
    starts = np.minimum(edges[:-1], max(0, len(pcm) - 1))
    samples = pcm.astype(np.float64) if len(pcm) else np.zeros(1)
    # With fewer samples than columns a column takes the one it falls on.
    high = np.maximum.reduceat(samples, starts)
    low = np.minimum.reduceat(samples, starts)
    loudest = max(1.0, float(np.abs(samples).max()))
    canvas = Canvas(cols, rows)
    canvas.spans(middle - high / loudest * middle, middle - low / loudest * middle, 0)
    return ["".join(text for text, _ in line) for line in canvas.lines()]
