"""Directions of a generator's latent space along which pictures change the most."""

import numpy as np
import torch
from torch import Tensor

from genui.engine.models.gan import Generator
from genui.protocol import BasisName

MOST = 8  # directions that are offered
SAMPLES = 1024  # latents that the activations are looked at of


def directions(generator: Generator, basis: BasisName, words: Tensor) -> Tensor:
    """The strongest first: unit vectors [min(MOST, Z), Z], the same for the same weights.

    - `sefa`: closed-form factorisation of the first layer (Shen & Zhou 2021): the latents
      that it lengthens the most, the right singular vectors of its weights.
    - `pca`: principal components of what the first stage makes of random latents with these
      captions [C, L], and the latents that lead along them (GANSpace, Härkönen et al. 2020).

    Either end of a direction is as good: its largest number is made positive.
    """
    found = _factorised(generator) if basis == "sefa" else _components(generator, words)
    found = found[:MOST] / found[:MOST].norm(dim=1, keepdim=True)
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    return found * largest.sign()


@torch.inference_mode()
def _factorised(generator: Generator) -> Tensor:
    weights = generator.first.weight[:, : generator.config.latent].double()
    return torch.linalg.svd(weights, full_matrices=False).Vh.float()


@torch.inference_mode()
def _components(generator: Generator, words: Tensor) -> Tensor:
    """Directions as the regression of latents on the components' coordinates."""
    size = generator.config.latent
    drawn = np.random.default_rng(0).standard_normal((SAMPLES, size), np.float32)
    latents = torch.from_numpy(drawn).to(words.device)
    told = words[torch.arange(SAMPLES, device=words.device) % len(words)]
    activations = generator.begun(latents, told).flatten(1)
    # What the caption decides is no direction of the latents.
    for row in range(len(words)):
        activations[row :: len(words)] -= activations[row :: len(words)].mean(dim=0)
    count = min(MOST, size)
    coordinates, spread, _ = torch.linalg.svd(activations.double(), full_matrices=False)
    coordinates = coordinates[:, :count] * spread[:count]
    return torch.linalg.lstsq(coordinates, latents.double()).solution.float()
