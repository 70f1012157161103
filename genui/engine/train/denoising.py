"""What tasks that train a denoiser have in common (Karras et al. 2022), whatever it denoises."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui.engine.device import Machine, autocast
from genui.engine.models.dit import Denoiser
from genui.recipes import DiffusionRecipe, VideoRecipe, VoiceRecipe

EVALUATION_SIGMAS = (0.1, 0.25, 0.6, 1.5, 4.0, 10.0)


def drop_captions(words: Tensor, share: float, rng: np.random.Generator) -> None:
    """Make about that share of the captions [B, L] none, in place: for classifier-free guidance."""
    words[torch.from_numpy(rng.random(len(words)) < share)] = 0


def noise_for(
    clean: Tensor, recipe: DiffusionRecipe | VideoRecipe | VoiceRecipe, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Noise of the shape of clean [B, …], and how much of it each is to have, σ [B]."""
    noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
    log_sigma = recipe.log_sigma_mean + recipe.log_sigma_std * rng.standard_normal(len(clean))
    sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32))
    return noise.to(clean.device), sigma.to(clean.device)


def denoising_error(
    model: Denoiser[Any],
    clean: Tensor,
    words: Tensor,
    rng: np.random.Generator,
    machine: Machine,
    sigmas: tuple[float, ...] = EVALUATION_SIGMAS,
) -> float:
    """EDM's loss of clean [B, …] under noise from `rng`, summed over fixed noise levels."""
    total = 0.0
    for sigma in sigmas:
        noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), np.float32))
        level = torch.full((len(clean),), sigma, device=clean.device)
        with autocast(machine):
            total += float(model.loss(clean, noise.to(clean.device), level, words).mean())
    return total
