"""Sound at another rate: band-limited interpolation (Smith & Gossett 1984)."""

import numpy as np
from numpy.typing import NDArray

ZEROS = 16  # of the sinc on either side
BETA = 9.0  # of its Kaiser window: what would fold back is 90 dB down
_AT_ONCE = 16_384  # samples


def resampled(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    """float32 [N] at `rate` as [N · to / rate] at `to`, without what the lower one cannot hold."""
    if rate == to or not len(samples):
        return samples
    count = max(1, round(len(samples) * to / rate))
    cutoff = min(1.0, to / rate)  # of the sinc, in units of the input's own
    reach = int(np.ceil(ZEROS / cutoff))
    padded = np.pad(samples, reach + 1)
    taps = np.arange(-reach, reach + 1)
    found = np.empty(count, np.float32)
    for start in range(0, count, _AT_ONCE):
        at = np.arange(start, min(start + _AT_ONCE, count)) * (rate / to)
        whole = np.minimum(at.astype(np.int64), len(samples) - 1)
        distance = (at - whole)[:, None] - taps
        inside = np.clip(1 - (distance / (reach + 1)) ** 2, 0, None)
        window = np.i0(BETA * np.sqrt(inside)) / np.i0(BETA)
        weights = cutoff * np.sinc(cutoff * distance) * window
        near = padded[whole[:, None] + taps + reach + 1]
        found[start : start + len(at)] = (near * weights).sum(axis=1)
    return found
