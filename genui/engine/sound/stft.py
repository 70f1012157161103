"""Short-time Fourier transform of speech at 8 kHz, and back.

50 ms Hann windows every 12.5 ms, as Tacotron has them (Wang et al. 2017, §3.4): a hop of a
quarter window, from which Griffin–Lim recovers phases.
"""

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # samples a second
WINDOW = 400  # samples
HOP = 100  # samples
SIZE = 512  # of the transform; the window is padded with zeros
BINS = SIZE // 2 + 1

_PAD = (WINDOW - HOP) // 2  # so that N frames belong to N · HOP samples
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)

Samples = NDArray[np.float32]
Spectra = NDArray[np.complex64]


def stft(samples: Samples) -> Spectra:
    """[…, frames · HOP] in -1 to 1 to […, frames, BINS]; beyond the ends is silence."""
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(_PAD, _PAD)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=-1)[..., ::HOP, :]
    return np.fft.rfft(windows * _HANN, SIZE).astype(np.complex64)


def istft(spectra: Spectra) -> Samples:
    """[…, frames, BINS] to the samples […, frames · HOP] whose transform is nearest.

    Least squares: overlapping windows weighted by themselves (Griffin & Lim 1984, eq. 6).
    """
    frames = spectra.shape[-2]
    windows = np.fft.irfft(spectra, SIZE)[..., :WINDOW].astype(np.float32) * _HANN
    total = _overlapped(windows)
    weight = _overlapped(np.broadcast_to(_HANN**2, (frames, WINDOW)))
    samples = np.divide(total, np.maximum(weight, 1e-3), dtype=np.float32)
    return samples[..., _PAD : _PAD + frames * HOP]


def _overlapped(windows: Samples) -> Samples:
    """[…, frames, WINDOW] added up at every HOP: […, (frames - 1) · HOP + WINDOW]."""
    frames, share = windows.shape[-2], WINDOW // HOP
    total = np.zeros((*windows.shape[:-2], frames + share - 1, HOP), np.float32)
    pieces = windows.reshape(*windows.shape[:-1], share, HOP)
    for i in range(share):
        total[..., i : i + frames, :] += pieces[..., i, :]
    return total.reshape(*total.shape[:-2], -1)
