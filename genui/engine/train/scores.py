"""What a discriminator says of real and of generated pictures, as two histograms in text."""

import numpy as np
from numpy.typing import NDArray

WIDTH = 24  # bins: one a character, as many as the sample has room for on the main screen
_EIGHTHS = " ▁▂▃▄▅▆▇█"

Scores = NDArray[np.float32]


def score_text(real: Scores, generated: Scores) -> str:
    """Two histograms over one axis, the real one above, and who is ahead.

    `real[i]` and `generated[i]` are a pair. The two are told apart by their place and their
    names, not by colour.
    """
    both = np.concatenate((real, generated))
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, WIDTH + 1)
    counts = [np.histogram(each, edges)[0] for each in (real, generated)]
    most = max(int(each.max()) for each in counts)
    won = float((real > generated).mean())
    axis = f"{low:+.1f}"
    lines = [
        _named("real", real),
        _bars(counts[0], most),
        _bars(counts[1], most),
        axis + f"{high:+.1f}".rjust(WIDTH - len(axis)),
        _named("generated", generated),
        f"real is higher: {won:.0%}",
    ]
    return "\n".join(lines) + "\n"


def _bars(counts: NDArray[np.int64], most: int) -> str:
    """Block characters, full where a bin holds `most`; a bin that holds any is seen."""
    return "".join(_EIGHTHS[int(n)] for n in np.ceil(counts / most * 8))


def _named(name: str, scores: Scores) -> str:
    """`real          +2.1 ± 0.8`."""
    told = f"{scores.mean():+.1f} ± {scores.std():.1f}"
    return name + told.rjust(WIDTH - len(name))
