"""Our trajectories against those of diffusers' schedulers: one model, one noise, one schedule.

Checked with diffusers 0.42.1. A small network stands for the model; our whole trace (states,
noise by seed and step) is followed, not the sampler functions alone. Matched:

    euler        EulerDiscreteScheduler
    heun         HeunDiscreteScheduler
    dpmpp-2m     DPMSolverMultistepScheduler, "dpmsolver++", order 2, "midpoint", last step of
                 first order
    dpmpp-3m     the same, order 3, second to last step of third order too (η = 0 alone: in their
                 SDE of order 3 the last term does not go to zero with the step, as k-diffusion's
                 and ours do)
    unipc        UniPCMultistepScheduler, order 2, "bh2"
    deis         DEISMultistepScheduler, order 3, "logrho"; its last level is ours before 0
    ddim         DDIMScheduler, η = 0, 0.5 and 1
    ddpm         DDPMScheduler, variance "fixed_small" (β̃)
    noise levels EDMEulerScheduler, ρ = 5

Theirs are made for a training schedule of ᾱ; ours, ᾱ = 1 / (1 + σ²), has one training step for
each of our levels. Euler and Heun hold x as we do, the others x·√ᾱ.
"""

import itertools
import math
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from importing import import_when_used
from torch import Tensor

from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import noise
from genui.engine.sample.media import ImageMedium
from genui.engine.sample.sigmas import SIGMA_MAX, sigmas
from genui.engine.sample.trace import Trace
from genui.protocol import ImageSettings, Start

diffusers = import_when_used("diffusers")

# diffusers' own, under numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

STEPS, SEED = 12, 3
ASKED = ImageSettings(steps=STEPS, guidance=1.0)
LEVELS = sigmas(ASKED)
TOLERANCE = 6e-5  # of the spread of x at its level: single precision (2e-5 was seen)


def ours(generator: DiffusionGenerator, sampler: str, eta: float = 0.0) -> list[Tensor]:
    """x at every step."""
    settings = msgspec.structs.replace(ASKED, sampler=sampler, eta=eta)
    trace = Trace(generator, Start(trace=1, model="m", prompt="cat", seed=SEED, settings=settings))
    assert len(list(trace.advance(0, STEPS))) == STEPS
    return [trace.state(step).x for step in range(STEPS + 1)]


def trained() -> dict[str, Any]:
    """The training schedule whose levels are ours, from little noise to much."""
    kept = 1 / (1 + np.array(LEVELS[-2::-1]) ** 2)  # ᾱ
    betas = 1 - kept / np.array([1.0, *kept[:-1]])
    return {"num_train_timesteps": STEPS, "trained_betas": betas, "timestep_spacing": "trailing"}


def theirs(
    generator: DiffusionGenerator, scheduler: Any, scaled: bool, noises: Any = None, **options: Any
) -> list[Tensor]:
    """x at every step, as the scheduler has it; `scaled` where it holds x·√ᾱ."""
    scheduler.set_timesteps(STEPS)
    token_ids = generator.token_ids(["cat"])
    first = torch.from_numpy(noise(ImageMedium().shape, SEED, 0))[None] * LEVELS[0]
    sample = first / math.hypot(1, LEVELS[0]) if scaled else first
    found = [sample]
    for t in scheduler.timesteps:
        sigma = LEVELS[STEPS - 1 - int(t)]
        scheduler.scale_model_input(sample, t)
        x = sample * math.hypot(1, sigma) if scaled else sample
        with torch.inference_mode():
            seen = (x - generator.model(x, torch.tensor([sigma]), token_ids)) / sigma
        if noises is not None:
            options["variance_noise"] = next(noises)
        sample = scheduler.step(seen, t, sample, **options).prev_sample
        found.append(sample)
    if isinstance(scheduler, diffusers.HeunDiscreteScheduler):  # two calls a step, one for the last
        found = [*found[::2], found[-1]]
    assert len(found) == STEPS + 1
    if scaled:
        found = [x * math.hypot(1, sigma) for x, sigma in zip(found, LEVELS, strict=True)]
    return found


def agree(one: list[Tensor], two: list[Tensor]) -> None:
    assert len(one) == len(two) >= STEPS
    for sigma, a, b in zip(LEVELS, one, two, strict=False):
        spread = math.hypot(1, sigma)
        torch.testing.assert_close(a / spread, b / spread, atol=TOLERANCE, rtol=0)


def drawn() -> Any:
    """The noise of step 1, 2, …"""
    return (
        torch.from_numpy(noise(ImageMedium().shape, SEED, step))[None]
        for step in itertools.count(1)
    )


def test_our_noise_levels_are_karras() -> None:
    scheduler = diffusers.EDMEulerScheduler(
        sigma_min=ASKED.lowest_sigma, sigma_max=SIGMA_MAX, rho=ASKED.rho
    )
    scheduler.set_timesteps(STEPS)
    np.testing.assert_allclose(scheduler.sigmas.numpy(), LEVELS, rtol=1e-5)


def test_euler(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.EulerDiscreteScheduler(**trained())
    agree(ours(image_generator, "euler"), theirs(image_generator, scheduler, scaled=False))


def test_heun(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.HeunDiscreteScheduler(**trained())
    agree(ours(image_generator, "heun"), theirs(image_generator, scheduler, scaled=False))


def test_dpm_solver_plus_plus(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **trained(), algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint"
    )
    agree(ours(image_generator, "dpmpp-2m"), theirs(image_generator, scheduler, scaled=True))


def test_sde_dpm_solver_plus_plus(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **trained(), algorithm_type="sde-dpmsolver++", solver_order=2, solver_type="midpoint"
    )
    found = theirs(image_generator, scheduler, scaled=True, noises=drawn())
    agree(ours(image_generator, "dpmpp-2m", 1.0), found)


def test_dpm_solver_plus_plus_of_third_order(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **trained(),
        algorithm_type="dpmsolver++",
        solver_order=3,
        solver_type="midpoint",  # of its second step
        lower_order_final=False,
    )
    agree(ours(image_generator, "dpmpp-3m"), theirs(image_generator, scheduler, scaled=True))


def test_unipc(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.UniPCMultistepScheduler(**trained(), solver_order=2, solver_type="bh2")
    agree(ours(image_generator, "unipc"), theirs(image_generator, scheduler, scaled=True))


def test_deis(image_generator: DiffusionGenerator) -> None:
    scheduler = diffusers.DEISMultistepScheduler(
        **trained(), solver_order=3, lower_order_final=False
    )
    found = theirs(image_generator, scheduler, scaled=True)
    agree(ours(image_generator, "deis")[:-1], found[:-1])


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(image_generator: DiffusionGenerator, eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(**trained(), clip_sample=False)
    found = theirs(image_generator, scheduler, scaled=True, noises=drawn(), eta=eta)
    agree(ours(image_generator, "ddim", eta), found)


def test_ddpm(image_generator: DiffusionGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    noises = drawn()
    monkeypatch.setattr(
        diffusers.schedulers.scheduling_ddpm, "randn_tensor", lambda *_, **__: next(noises)
    )
    scheduler = diffusers.DDPMScheduler(**trained(), clip_sample=False, variance_type="fixed_small")
    found = theirs(image_generator, scheduler, scaled=True)
    agree(ours(image_generator, "ddpm"), found)
