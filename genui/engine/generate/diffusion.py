"""Turning noise into captioned pictures, a denoising step at a time."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from genui.engine.data.captions import Vocabulary, split_words
from genui.engine.device import Machine, autocast
from genui.engine.generate.samplers import SAMPLERS, Move, noise_levels
from genui.engine.models.dit import SIDE, Denoiser
from genui.errors import MisuseError
from genui.protocol import ImageFrame, ImageSettings, Start, Started
from genui.render.sanitise import clean


def noise(seed: int, step: int) -> np.ndarray:
    """Standard normal float32 [3, 32, 32], drawn from (seed, step), never from a stream."""
    return np.random.default_rng((seed, step)).standard_normal((3, SIDE, SIDE), np.float32)


@dataclass(frozen=True)
class DiffusionState:
    """B pictures at one noise level. `denoised` is the model's guess at `x`."""

    words: Tensor  # [B, L]
    x: Tensor = field(repr=False)  # [B, 3, 32, 32]
    denoised: Tensor = field(repr=False)
    previously: Tensor | None = field(repr=False)  # the guess one step earlier
    step: int
    seeds: tuple[int, ...]
    settings: ImageSettings


class DiffusionGenerator:
    """One diffusion model; `step` is one denoising step of every picture in the state."""

    family = "diffusion"

    def __init__(self, model: Denoiser, vocabulary: Vocabulary, machine: Machine) -> None:
        self.model = model.eval()
        self._vocabulary = vocabulary
        self._machine = machine
        self._device = next(model.parameters()).device

    def begin(self, request: Start) -> tuple[DiffusionState, Started]:
        """The first state (pure noise) and what a person should know of it."""
        notes = []
        caption = clean(request.prompt)
        longest = self.model.network.config.caption_words
        unknown = self._vocabulary.unknown(caption)
        if unknown:
            notes.append("words this model never saw: " + ", ".join(dict.fromkeys(unknown)))
        if len(split_words(caption)) > longest:
            notes.append(f"only the first {longest} words are read")
        state = self.start(request)
        started = Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="image",
            prompt=caption,
            total_steps=state.settings.steps,
            note="; ".join(notes),
        )
        return state, started

    def start(self, request: Start) -> DiffusionState:
        if not isinstance(request.settings, ImageSettings):
            raise MisuseError("a picture model needs picture settings")
        return self._first([request.prompt], [request.seed], request.settings)

    def _first(
        self, captions: list[str], seeds: list[int], settings: ImageSettings
    ) -> DiffusionState:
        words = self.words(captions)
        sigma = noise_levels(settings.steps)[0]
        x = sigma * self._noise(seeds, 0)
        denoised = self._denoise(x, sigma, words, settings.guidance)
        return DiffusionState(words, x, denoised, None, 0, tuple(seeds), settings)

    def words(self, captions: list[str]) -> Tensor:
        """Captions as word numbers [B, L]."""
        length = self.model.network.config.caption_words
        return torch.from_numpy(self._vocabulary.encode(captions, length)).to(self._device)

    def finished(self, state: DiffusionState) -> bool:
        return state.step >= state.settings.steps

    def step(self, state: DiffusionState) -> tuple[DiffusionState, ImageFrame]:
        """One step down the noise levels."""
        levels, i = noise_levels(state.settings.steps), state.step
        target, guidance = levels[i + 1], state.settings.guidance
        move = Move(
            x=state.x,
            denoised=state.denoised,
            sigma=levels[i],
            target=target,
            previous=levels[i - 1] if i else None,
            previously=state.previously,
            noise=self._noise(state.seeds, i + 1),
        )

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return self._denoise(x, sigma, state.words, guidance)

        x = SAMPLERS[state.settings.sampler](move, denoise)
        guess = denoise(x, target) if target > 0 else x
        state = replace(state, x=x, denoised=guess, previously=state.denoised, step=i + 1)
        return state, self.frame(state)

    def first_frame(self, state: DiffusionState) -> ImageFrame:
        """Pure noise, and what the model already sees in it."""
        return self.frame(state)

    def frame(self, state: DiffusionState) -> ImageFrame:
        """What a person sees of the state's first picture."""
        sigma = noise_levels(state.settings.steps)[state.step]
        # The noisy picture is scaled to the spread of a clean one, or it would be all black
        # and white.
        spread = self.model.sigma_data
        shown = state.x[0] * spread / (sigma**2 + spread**2) ** 0.5
        return ImageFrame(
            trace=0,
            step=state.step,
            sigma=sigma,
            width=SIDE,
            height=SIDE,
            x=to_rgb(shown[None])[0].tobytes(),
            guess=to_rgb(state.denoised[:1])[0].tobytes(),
        )

    def draw(self, captions: list[str], seeds: list[int], settings: ImageSettings) -> np.ndarray:
        """Finished pictures uint8 [B, 32, 32, 3], one a caption and seed, as one batch."""
        state = self._first(captions, seeds, settings)
        while not self.finished(state):
            state, _ = self.step(state)
        return to_rgb(state.x)

    def _noise(self, seeds: tuple[int, ...] | list[int], step: int) -> Tensor:
        return torch.from_numpy(np.stack([noise(s, step) for s in seeds])).to(self._device)

    @torch.inference_mode()
    def _denoise(self, x: Tensor, sigma: float, words: Tensor, guidance: float) -> Tensor:
        """The guess, guided: away from no caption, towards this one (Ho & Salimans 2022)."""
        if guidance == 1:
            return self._evaluate(x, sigma, words)
        both = torch.cat((words, torch.zeros_like(words)))
        with_caption, without = self._evaluate(torch.cat((x, x)), sigma, both).chunk(2)
        return without + guidance * (with_caption - without)

    def _evaluate(self, x: Tensor, sigma: float, words: Tensor) -> Tensor:
        level = torch.full((len(x),), sigma, device=self._device)
        with autocast(self._machine):
            return self.model(x, level, words).float()


def to_rgb(x: Tensor) -> np.ndarray:
    """Pictures [B, 3, H, W] in -1 to 1 as uint8 [B, H, W, 3]."""
    scaled = ((x.float().clamp(-1, 1) + 1) * 127.5).round()
    return scaled.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()
