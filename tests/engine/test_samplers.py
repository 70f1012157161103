"""Samplers against a model that is known: data drawn from a normal distribution.

For data N(0, s²) the best denoiser is x·s²/(s²+σ²), and the probability-flow ODE takes x
at σ to x·√((s²+σ'²)/(s²+σ²)) at σ'.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genui.engine.sample.sigmas import SIGMA_MAX, sigmas
from genui.protocol import ImageSettings
from genui.protocol.samplers import SAMPLERS, Denoise, Point, Step

SPREAD = 0.75
WITH_ETA = [name for name, sampler in SAMPLERS.items() if sampler.noise == "eta"]
DETERMINISTIC = [name for name, sampler in SAMPLERS.items() if sampler.noise != "full"]


def levels_of(steps: int, top: float = SIGMA_MAX) -> tuple[float, ...]:
    return sigmas(ImageSettings(steps=steps), top)


def denoise(x: Tensor, sigma: float) -> Tensor:
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def sample(settings: ImageSettings, x: Tensor, denoise: Denoise = denoise) -> Tensor:
    """Where x at the first level ends, with no more history than the sampler's row says."""
    torch.manual_seed(1)
    sampler = SAMPLERS[settings.sampler]
    history: tuple[Point, ...] = ()
    for sigma, sigma_next in itertools.pairwise(sigmas(settings)):
        noise = torch.randn_like(x)
        here = Point(sigma, x, denoise(x, sigma))
        step = Step(x, here.denoised, sigma, sigma_next, noise, settings.eta, history)
        x = sampler.function(step, denoise)
        history = (here, *history)[: sampler.history]
    return x


def error(name: str, steps: int) -> float:
    x = torch.full((4,), levels_of(steps)[0])
    true = x * SPREAD / math.sqrt(SPREAD**2 + levels_of(steps)[0] ** 2)
    return float((sample(ImageSettings(sampler=name, steps=steps), x) - true).abs().max())


def test_levels_fall_from_all_noise_to_none() -> None:
    for steps in (1, 2, 20):
        levels = levels_of(steps)
        assert len(levels) == steps + 1
        assert levels[-1] == 0
        assert list(levels) == sorted(levels, reverse=True)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_more_steps_come_nearer_to_the_true_trajectory(name: str) -> None:
    assert error(name, 80) < error(name, 20) / 2 < error(name, 8)


def test_second_order_beats_first_at_equal_steps() -> None:
    assert error("heun", 20) < error("euler", 20) / 3
    assert error("dpmpp-2m", 20) < error("euler", 20) / 3
    assert error("unipc", 20) < error("euler", 20) / 3


@pytest.mark.parametrize("name", ["dpmpp-3m", "deis"])
def test_third_order_beats_second_at_equal_steps(name: str) -> None:
    assert error(name, 40) < error("dpmpp-2m", 40) / 2


@pytest.mark.parametrize("name", WITH_ETA)
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_fresh_noise_leaves_the_right_spread(name: str, eta: float) -> None:
    torch.manual_seed(0)
    x = levels_of(200)[0] * torch.randn(20_000)
    drawn = sample(ImageSettings(sampler=name, steps=200, eta=eta), x)
    assert float(drawn.std()) == pytest.approx(SPREAD, rel=0.05)


def one_move(name: str, eta: float = 0.0, noise: float = 1.0) -> Tensor:
    x = torch.linspace(-2, 2, 9)
    step = Step(x, denoise(x, 2.0), 2.0, 1.0, torch.full((9,), noise), eta)
    return SAMPLERS[name].function(step, denoise)


def test_ddim_without_fresh_noise_is_eulers_method() -> None:
    torch.testing.assert_close(one_move("ddim"), one_move("euler"))
    assert torch.equal(one_move("ddim", noise=1), one_move("ddim", noise=-1))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_adds_the_noise_that_its_row_says(name: str) -> None:
    kind = SAMPLERS[name].noise
    assert torch.equal(one_move(name, eta=1.0), one_move(name)) == (kind != "eta")
    assert torch.equal(one_move(name, noise=1), one_move(name, noise=-1)) == (kind != "full")


def test_ddim_with_all_its_noise_is_ddpm() -> None:
    assert torch.equal(one_move("ddim", eta=1.0), one_move("ddpm"))
    assert not torch.equal(one_move("ddpm", noise=1), one_move("ddpm", noise=-1))


def test_ddpm_draws_from_the_posterior() -> None:
    """Ho et al. 2020, eq. 7, in σ: mean and deviation of q(x at 1 | x at 2, clean)."""
    x = torch.linspace(-2, 2, 9)
    clean, share = denoise(x, 2.0), 1.0**2 / 2.0**2
    mean, deviation = share * x + (1 - share) * clean, 1.0 * math.sqrt(1 - share)
    torch.testing.assert_close(one_move("ddpm", noise=0.5), mean + 0.5 * deviation)


@pytest.mark.parametrize("top", [40.0, 1.0, 0.031, 0.03, 0.001])
@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_levels_fall_from_any_level_whatever(top: float, steps: int) -> None:
    levels = levels_of(steps, top)
    assert levels[0] == top
    assert levels[-1] == 0
    assert all(before > after for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("low", [0.0001, 0.03, 1.0])
@pytest.mark.parametrize("rho", [1.0, 7.0, 20.0])
def test_levels_end_at_the_least_asked_for(low: float, rho: float) -> None:
    levels = sigmas(ImageSettings(steps=9, sigma_min=low, rho=rho))
    assert levels[-2:] == (low, 0)
    even = [sigma ** (1 / rho) for sigma in levels[:-1]]
    gaps = [before - after for before, after in itertools.pairwise(even)]
    assert gaps == pytest.approx([gaps[0]] * 8)


# --- few steps ------------------------------------------------------------------------------


def denoise_two(x: Tensor, sigma: float) -> Tensor:
    """The best denoiser of data around -0.5 and 0.5, with a deviation of 0.1 about each."""
    own, added = 0.1**2, sigma**2
    middle = 0.5 * torch.tanh(0.5 * x / (own + added))
    return (x * own + middle * added) / (own + added)


def few(settings: ImageSettings) -> Tensor:
    """Where 64 seeds end by these settings."""
    torch.manual_seed(0)
    return sample(settings, SIGMA_MAX * torch.randn(64, dtype=torch.float64), denoise_two)


def few_error(settings: ImageSettings) -> float:
    """The mean squared distance to 50 steps of Heun's method from the same seeds."""
    goal = few(ImageSettings(sampler="heun", steps=50))
    return float((few(settings) - goal).square().mean())


@pytest.mark.parametrize("steps", [2, 3, 4, 6])
def test_few_steps_of_heun_are_as_near_as_those_of_dpm_solver(steps: int) -> None:
    heun, dpm = (
        few_error(ImageSettings(sampler=name, steps=steps)) for name in ("heun", "dpmpp-2m")
    )
    assert heun < 2 * dpm


@pytest.mark.parametrize("steps", [2, 3, 6])
def test_few_steps_that_end_higher_come_nearer(steps: int) -> None:
    once = few_error(ImageSettings(steps=steps, sigma_min=0.03))
    assert few_error(ImageSettings(steps=steps)) < once


def test_the_last_level_falls_with_the_number_of_steps() -> None:
    lowest = [sigmas(ImageSettings(steps=steps))[-2] for steps in range(2, 12)]
    assert lowest[0] == 1
    assert lowest == sorted(lowest, reverse=True)
    for steps in (10, 12, 20, 1000):
        given = ImageSettings(steps=steps, sigma_min=0.03)
        assert sigmas(ImageSettings(steps=steps)) == sigmas(given)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_last_level_that_is_given_changes_the_levels(name: str) -> None:
    usual = ImageSettings(sampler=name, steps=2)
    given = ImageSettings(sampler=name, steps=2, sigma_min=0.03)
    assert sigmas(given) == (40.0, 0.03, 0.0) != sigmas(usual)


@pytest.mark.parametrize("steps", [10, 12, 20])
def test_heuns_method_is_the_plain_one_at_the_usual_steps(steps: int) -> None:
    levels = sigmas(ImageSettings(sampler="heun", steps=steps))
    x = torch.linspace(-40, 40, 9)
    for sigma, lower in itertools.pairwise(levels[:-1]):
        step = Step(x, denoise_two(x, sigma), sigma, lower, x)
        slope = (x - step.denoised) / sigma
        there = x + (lower - sigma) * slope
        ahead = (there - denoise_two(there, lower)) / lower
        x = x + (lower - sigma) * (slope + ahead) / 2
        assert torch.equal(SAMPLERS["heun"].function(step, denoise_two), x)
