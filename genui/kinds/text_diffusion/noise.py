"""The noise of discrete diffusion, and the bounds on the likelihood of a text."""

from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.kinds.text_diffusion.recipe import Noise


class Noisy(NamedTuple):
    """Windows of text with a noisy block at their end.

    `token_ids` int64 [B, T + 1] begin with a token that is given; `clean` are the tokens without
    noise. `first` int64 [B] is the position from which on all are seen; a block of one token has
    none, so that nothing but the text before it is. `weights` fp32 [B, T] are those of the tokens
    after each position; the weights of a row add up to 1. `times` fp32 [B] is the share of noise.
    """

    token_ids: NDArray[np.int64]
    clean: NDArray[np.int64]
    first: NDArray[np.int64]
    weights: NDArray[np.float32]
    times: NDArray[np.float32]


def add_noise(
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    vocab_size: int,
    noise: Noise,
    rng: np.random.Generator,
) -> Noisy:
    """Windows with noise in their last `lengths` [B] tokens, of rows [B, T + 1].

    With masks, k ~ U{1 … length} random tokens are masked. The weighted mean of the cross-entropies
    is then a bound on the nats a token of the row: exact before the block, and in it by the order
    of restoring (Uria et al. 2014, section 4; MDLM, Sahoo et al. 2024, for many tokens). With
    uniform noise each is drawn anew with probability t ~ U(0, 1), and all tokens of the block
    count. The times of a batch are spread evenly (Kingma et al. 2021, appendix I.1).
    """
    count, T = rows.shape[0], rows.shape[1] - 1
    block = np.arange(T) >= T - lengths[:, None]
    times = (rng.random() + rng.permutation(count) / count) % 1
    keys = rng.random((count, T))
    if noise == "mask":
        times = (1 + np.floor(times * lengths)) / lengths
        ranks = np.where(block, keys, 2.0).argsort(axis=1).argsort(axis=1)
        noisy = ranks < np.rint(times * lengths)[:, None]
        weights = np.where(noisy, 1 / times[:, None], ~block)
        fresh = np.full((count, T), vocab_size)
    else:
        noisy = block & (keys < times[:, None])
        weights = np.ones((count, T))
        fresh = rng.integers(vocab_size, size=(count, T))
    token_ids = rows.copy()
    token_ids[:, 1:] = np.where(noisy, fresh, rows[:, 1:])
    first = np.where(lengths > 1, T - lengths, T)
    weights, times = ((each).astype(np.float32) for each in (weights / T, times))
    return Noisy(token_ids, rows, first, weights, times)


def draw_lengths(count: int, T: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The lengths of the blocks of `count` windows, int64 [count]: for a share `rate` of them
    log-uniform from 1 to T, else T."""
    lengths = np.exp(rng.random(count) * np.log(T)).round().astype(np.int64)
    return np.where(rng.random(count) < rate, lengths, T)


def uniform_bound(logits: Tensor, noisy: Tensor, clean: Tensor, t: Tensor) -> Tensor:
    """The bound on the nats of each token of a block with uniform noise at time t, [B, T].

    The score entropy of SEDD (Lou et al. 2024, definition 3.1 and theorem 3.6) for noise that
    leaves a token as it is with probability 1 − t. logits [B, T, V]; noisy and clean tokens int64
    [B, T]; t [B] in (0, 1). The ratios of probabilities that it compares are those of the tokens'
    posterior that the model predicts, and of the clean token.
    """
    V, kept = logits.shape[-1], (1 - t)[:, None, None].double()
    gain = 1 + V * kept / (1 - kept)  # how much likelier noise leaves a token than it makes it

    def ratios(posterior: Tensor) -> Tensor:
        """The probability of each token at t over that of the noisy one."""
        own = posterior.gather(-1, noisy[..., None])
        return 1 + posterior * (gain - 1) + own * (1 / gain - 1)

    true = ratios(F.one_hot(clean, V).double())
    predicted = ratios(logits.double().softmax(-1))
    nats = predicted - true + true * (true / predicted).log()
    others = nats.scatter(-1, noisy[..., None], 0.0)
    return others.sum(-1) / (V * kept.squeeze(-1))
