"""Labels by a generative model of pictures: p(label | x) from p(x | label), by Bayes' rule.

A diffusion model gives no p(x | label), but a bound of it (Kingma et al. 2021, eq. 17; used so by
Li et al. 2023, "Your diffusion model is secretly a zero-shot classifier"):

    -ln p(x | label) <= constant + the integral over ln σ of |x - D(x + σ·noise; σ, label)|² / σ²

which is estimated with the same noise for every label, so that most of its error cancels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from genui.engine.data.pictures import as_floats
from genui.engine.generate.diffusion import DiffusionGenerator

SIGMAS = (0.1, 10.0)
"""Below it every label denoises alike, above it none sees the picture."""

BATCH = 128


def posterior(
    generator: DiffusionGenerator, rgb: NDArray[np.uint8], labels: Sequence[str], draws: int
) -> NDArray[np.float32]:
    """p(label | picture), float32 [N, labels], of pictures uint8 [N, 32, 32, 3].

    Labels are captions of the model, equally likely before the picture is seen. `draws` is how
    many noise levels the integral is estimated by, stratified; the cost is N · labels · draws
    evaluations of the network.
    """
    rng = np.random.default_rng(0)
    energies = np.empty((len(rgb), len(labels)))
    for row, picture in zip(energies, rgb, strict=True):
        row[:] = _energies(generator, picture, labels, draws, rng)
    powers = np.exp(-(energies - energies.min(1, keepdims=True)))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


@torch.inference_mode()
def _energies(
    generator: DiffusionGenerator,
    picture: NDArray[np.uint8],
    labels: Sequence[str],
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The bound on -ln p(picture | label) of each label, without its constant."""
    words = generator.words(labels)
    clean = torch.from_numpy(as_floats(picture))
    if generator.medium.shape[0] == 1:
        clean = clean.mean(dim=0, keepdim=True)
    low, high = np.log(SIGMAS)
    log_sigma = low + (high - low) * (np.arange(draws) + rng.random(draws)) / draws
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((draws, *clean.shape), np.float32))
    clean, sigma, noise = (each.to(words.device) for each in (clean, sigma, noise))
    noisy = clean + sigma.view(-1, 1, 1, 1) * noise
    total = np.zeros(len(labels))
    # One row a label and draw, the draws of a label beside each other.
    for at in range(0, len(labels) * draws, BATCH):
        rows = torch.arange(at, min(at + BATCH, len(labels) * draws))
        label, draw = rows // draws, rows % draws
        guess = generator.model(noisy[draw], sigma[draw], words[label])
        error = (guess - clean).square().sum(dim=(1, 2, 3)) / sigma[draw] ** 2
        np.add.at(total, label.numpy(), error.double().cpu().numpy())
    return total * (high - low) / draws
