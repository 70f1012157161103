"""The noise levels of a scheduler of diffusers, and what its network predicts, in our terms.

Our samplers work on x = x₀ + σ·noise. A scheduler that preserves the variance has
√ᾱ·x₀ + √(1-ᾱ)·noise instead, which is x·√ᾱ with σ = √((1-ᾱ)/ᾱ); one of flow matching has
(1-t)·x₀ + t·noise, which is x·(1-t) with σ = t/(1-t). So every sampler of ours works with both.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genui.base.errors import GenuiError, MisuseError
from genui.protocol import ImageSettings

NEARLY_ONE = {torch.float64: 1 - 1e-9, torch.float32: 1 - 1e-4}
"""In place of the flow time 1, pure noise, whose σ is infinite: as near as the digits allow.
diffusers' UniPC does the same."""

LEAST_SIGNAL = 2.0**-24
"""In place of ᾱ = 0 at the last time, as in diffusers' own schedulers in σ (Lin et al. 2024)."""

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")


class FolderSchedule:
    """The schedule of a folder's scheduler, as a `genui.engine.sample.diffusion_state.Schedule`.

    The levels for a number of steps are the scheduler's own, down to 0. `tokens` gives the number
    of tokens of an image for its size, by which some schedulers are shifted.
    """

    dtype = torch.float64
    """In fp32 a level near infinity and the next one, of ten, differ by too many digits."""

    def __init__(self, scheduler: Any, tokens: Callable[[ImageSettings], int]) -> None:
        """Raises GenuiError for a scheduler that is neither of the two kinds."""
        config, name = scheduler.config, type(scheduler).__name__
        self._scheduler = scheduler
        self._tokens = tokens
        self.flow = "FlowMatch" in name or bool(config.get("use_flow_sigmas"))
        self.prediction = "flow_prediction" if self.flow else config.get("prediction_type")
        if self.prediction not in PREDICTIONS or not (
            self.flow or hasattr(scheduler, "alphas_cumprod")
        ):
            raise GenuiError(
                f"its scheduler is a {name} that predicts {self.prediction!r}; set one of the "
                "usual schedulers of its kind, such as DDIMScheduler, and save the folder again"
            )
        self.times = int(config.num_train_timesteps)
        self.clip = float(config.get("clip_sample_range", 1.0)) if config.get("clip_sample") else 0
        self._known: dict[float, float] = {}  # levels that the scheduler gave, and their times
        if not self.flow:
            kept = scheduler.alphas_cumprod.double().clamp(min=LEAST_SIGNAL)
            self._logs = ((1 - kept) / kept).sqrt().log().numpy()  # of σ at each time, rising

    # --- levels ---------------------------------------------------------------------------

    def sigmas(self, settings: ImageSettings, start: float | None = None) -> tuple[float, ...]:
        """As in `Schedule`. From another level than the highest, the times are evenly spaced."""
        if start is None:
            return (*self._own_levels(settings), 0.0)
        time = self._time(start)
        rest = (time * (1 - i / settings.steps) for i in range(1, settings.steps))
        return (start, *map(self._sigma, rest), 0.0)

    def rising(self, settings: ImageSettings, start: float) -> tuple[float, ...]:
        """As in `Schedule`; the times are evenly spaced."""
        highest, steps = self._own_levels(settings)[0], settings.steps
        low, high = self._time(start), self._time(highest)
        between = (low + (high - low) * i / steps for i in range(1, steps))
        return (start, *map(self._sigma, between), highest)

    def noise_scale(self, sigma: float) -> float:
        """As in `Schedule`: the scheduler's own scale; a variance-preserving x has variance 1."""
        if self.flow:
            return sigma
        scale = float(self._scheduler.init_noise_sigma)
        return math.hypot(1, sigma) if scale == 1 else scale

    def remark(self, sampler: str) -> str:
        """As in `Schedule`: diffusers' DDIM continues from the noise before it is clipped."""
        if not self.clip or sampler == "ddpm":
            return ""
        return "the model's scheduler clips predictions: only ddpm draws exactly as diffusers does"

    def timestep(self, sigma: float) -> float:
        """The time that the network is given at a level."""
        return self._known[sigma] if sigma in self._known else self._time(sigma)

    def _own_levels(self, settings: ImageSettings) -> list[float]:
        """The scheduler's levels for these steps, without 0. Raises MisuseError."""
        try:
            self._set_steps(settings)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise MisuseError(
                f"steps {settings.steps}: the model's scheduler refuses ({reason})"
            ) from None
        times = [float(time) for time in self._scheduler.timesteps]
        values = getattr(self._scheduler, "sigmas", None)
        if self.flow and values is not None:
            flows = [min(float(t), NEARLY_ONE[self.dtype]) for t in values[: len(times)]]
            sigmas = [t / (1 - t) for t in flows]
        elif values is not None and len(values) >= len(times):
            sigmas = [float(sigma) for sigma in values[: len(times)]]
        else:
            sigmas = [self._sigma(time) for time in times]
        # Second-order schedulers, and the first steps of PNDM, visit a level twice.
        levels = [s for i, s in enumerate(sigmas) if s > 0 and (i == 0 or s < min(sigmas[:i]))]
        self._known |= dict(zip(sigmas, times, strict=True))
        return levels

    def _set_steps(self, settings: ImageSettings) -> None:
        """Set the scheduler's steps; one of flow matching gets the same arguments as from its
        pipelines."""
        steps, config = settings.steps, self._scheduler.config
        options: dict[str, Any] = {}
        if self.flow:
            options["sigmas"] = np.linspace(1.0, 1 / steps, steps)
            low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
            least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
            if config.get("use_dynamic_shifting"):
                slope = (most - least) / (high - low)
                options["mu"] = least + slope * (self._tokens(settings) - low)
        known = inspect.signature(self._scheduler.set_timesteps).parameters
        self._scheduler.set_timesteps(
            **{name: value for name, value in options.items() if name in known},
            **({} if "sigmas" in known and self.flow else {"num_inference_steps": steps}),
        )

    def _time(self, sigma: float) -> float:
        """The time of a level, between the times of training if need be."""
        if self.flow:
            return self.times * sigma / (1 + sigma)
        return float(np.interp(math.log(sigma), self._logs, np.arange(len(self._logs))))

    def _sigma(self, time: float) -> float:
        """The level at a time."""
        if self.flow:
            flow = min(time / self.times, NEARLY_ONE[self.dtype])
            return flow / (1 - flow)
        return math.exp(np.interp(time, np.arange(len(self._logs)), self._logs))

    # --- the network's input and output -----------------------------------------------------

    def scale(self, x: Tensor, sigma: float) -> Tensor:
        """x as the network was trained on it."""
        return x / (1 + sigma) if self.flow else x / math.hypot(1, sigma)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The predicted x₀, from x at the level `sigma` and the network's output there."""
        match self.prediction:
            case "epsilon":
                denoised = x - sigma * output
            case "sample":
                denoised = output
            case "v_prediction":  # v = √ᾱ·noise - √(1-ᾱ)·x₀ (Salimans & Ho 2022)
                scale = math.hypot(1, sigma)
                denoised = x / scale**2 - sigma / scale * output
            case _:  # flow: v = noise - x₀
                denoised = (x - sigma * output) / (1 + sigma)
        return denoised.clamp(-self.clip, self.clip) if self.clip else denoised
