"""Samplers against a model that is known: data drawn from a normal distribution.

For data N(0, s²) the best denoiser is x·s²/(s²+σ²), and the probability-flow ODE takes x
at σ to x·√((s²+σ'²)/(s²+σ²)) at σ'.
"""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genui.engine.generate.samplers import SAMPLERS, Denoise, Move, noise_levels
from genui.protocol import SAMPLERS as NAMES

SPREAD = 0.75


def denoise(x: Tensor, sigma: float) -> Tensor:
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def sample(sampler: Callable[[Move, Denoise], Tensor], steps: int, x: Tensor) -> Tensor:
    torch.manual_seed(1)
    levels = noise_levels(steps)
    previous = previously = None
    for sigma, target in itertools.pairwise(levels):
        noise = torch.randn_like(x)
        denoised = denoise(x, sigma)
        x = sampler(Move(x, denoised, sigma, target, previous, previously, noise), denoise)
        previous, previously = sigma, denoised
    return x


def error(name: str, steps: int) -> float:
    x = torch.full((4,), noise_levels(steps)[0])
    true = x * SPREAD / math.sqrt(SPREAD**2 + noise_levels(steps)[0] ** 2)
    return float((sample(SAMPLERS[name], steps, x) - true).abs().max())


def test_levels_fall_from_all_noise_to_none() -> None:
    for steps in (1, 2, 20):
        levels = noise_levels(steps)
        assert len(levels) == steps + 1
        assert levels[-1] == 0
        assert list(levels) == sorted(levels, reverse=True)


def test_the_protocol_names_every_sampler() -> None:
    assert set(NAMES) == set(SAMPLERS)


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp-2m"])
def test_more_steps_come_nearer_to_the_true_trajectory(name: str) -> None:
    assert error(name, 80) < error(name, 20) / 2 < error(name, 8)


def test_second_order_beats_first_at_equal_steps() -> None:
    assert error("heun", 20) < error("euler", 20) / 3
    assert error("dpmpp-2m", 20) < error("euler", 20) / 3


def test_ancestral_noise_leaves_the_right_spread() -> None:
    torch.manual_seed(0)
    x = noise_levels(200)[0] * torch.randn(20_000)
    drawn = sample(SAMPLERS["euler-ancestral"], 200, x)
    assert float(drawn.std()) == pytest.approx(SPREAD, rel=0.05)


def test_ancestral_sampling_needs_its_noise() -> None:
    x = torch.ones(3)
    one = Move(x, denoise(x, 2.0), 2.0, 1.0, None, None, torch.ones(3))
    two = Move(x, denoise(x, 2.0), 2.0, 1.0, None, None, -torch.ones(3))
    assert not torch.equal(
        SAMPLERS["euler-ancestral"](one, denoise), SAMPLERS["euler-ancestral"](two, denoise)
    )
