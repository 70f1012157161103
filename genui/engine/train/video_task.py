"""Training a captioned diffusion model of clips to denoise (Karras et al. 2022)."""

import io
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.motion import ClipBatch, describe, load_clips, vocabulary_captions
from genui.engine.data.motions import FPS
from genui.engine.device import Machine, autocast
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.video_medium import VideoMedium, to_clips
from genui.engine.models.video_dit import (
    CHANNELS,
    PLACE_UNIT,
    VideoDenoiser,
    VideoDiT,
    pose_numbers,
    video_dit_config,
)
from genui.engine.train.denoising import denoising_error, drop_captions, noise_for
from genui.engine.train.task import Sample, png
from genui.protocol import ImageSettings
from genui.recipes.video import VideoRecipe
from genui.render import film

EVALUATION_SIGMAS = (0.2, 0.6, 1.5, 4.0, 10.0, 25.0)
EVALUATION_CLIPS = 24
SAMPLE_SETTINGS = ImageSettings(steps=12)
SHOWN_FRAMES = (0, 5, 10, 15)  # of each clip, on the sheet
POSE_SIGMA = 1.5  # at which the poses are measured
ENLARGED = 3  # times, so that the animation is seen

CANVAS_WEIGHT = 4.0  # of its squared error on alphas from 0 to 1
POSE_WEIGHT = 0.5


class VideoTask:
    """EDM's denoising loss, beside it the canvas's squared error and the poses'."""

    unit = "clip"

    def __init__(
        self, recipe: VideoRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        clips = load_clips()
        vocabulary = (
            Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(vocabulary_captions())
        )
        self._recipe, self._device = recipe, device
        self._clips, self._vocabulary = clips, vocabulary
        self.data_line = describe(clips)
        self.notes: tuple[str, ...] = ()
        self.units_per_step = recipe.batch
        # Where and how fast is drawn anew each time: an epoch is every trained pair once.
        self.units_per_epoch = len(clips.trained)
        self.extra = {
            "words": list(vocabulary.words),
            "captions": list(recipe.sample_captions),
            "dataset": clips.name,
            "fingerprint": clips.fingerprint,
            "licence": clips.licence,
        }
        torch.manual_seed(recipe.seed)
        network = VideoDiT(video_dit_config(recipe, vocabulary.size))
        self.model = VideoDenoiser(network, recipe.sigma_data).to(device)

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)

    def _clean(self, batch: ClipBatch) -> Tensor:
        return torch.from_numpy(batch.clips).to(self._device).flatten(1, 2)

    def loss(self, step: int) -> Tensor:
        recipe, clips = self._recipe, self._clips
        rng = np.random.default_rng((recipe.seed, step))
        scenes = clips.scenes(recipe.batch, rng)
        batch = clips.batch(scenes, rng)
        words = self._words(batch.captions)
        drop_captions(words, recipe.caption_dropout, rng)
        clean = self._clean(batch)
        noise, sigma = noise_for(clean, recipe, rng)
        poses = torch.from_numpy(batch.poses).to(self._device)
        denoising, posing = self.model.losses(clean, noise, sigma, words, poses)
        return denoising.mean() + POSE_WEIGHT * posing.mean() + self._canvas_loss(batch, rng)

    def _canvas_loss(self, batch: ClipBatch, rng: np.random.Generator) -> Tensor:
        """The canvas of this batch's captions and of `canvas_batch` more, which cost little."""
        scenes = self._clips.scenes(self._recipe.canvas_batch, rng)
        captions = batch.captions + self._clips.captions(scenes, rng)
        shapes = np.concatenate((batch.shapes, self._clips.shapes(scenes)))
        drawn = self.model.network.draw_canvas(self._words(captions)).float()
        return CANVAS_WEIGHT * F.mse_loss(drawn, torch.from_numpy(shapes).to(self._device))

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM loss summed over six fixed noise levels, on the same clips every time.

        `seen_loss` is on trained pairs of icon and motion and of colours, `val_loss` on pairs
        held out; `pose_error` and `canvas_error` are on the latter, in pixels (how far the
        figure's centre is misjudged at σ = 1.5) and as root mean square of alpha.
        """
        assert isinstance(model, VideoDenoiser)
        count = EVALUATION_CLIPS * (4 if whole else 1)
        found = {}
        for name, held_out in (("seen_loss", False), ("val_loss", True)):
            rng = np.random.default_rng(0)
            batch = self._clips.batch(self._clips.scenes(count, rng, held_out), rng)
            words, clean = self._words(batch.captions), self._clean(batch)
            found[name] = denoising_error(model, clean, words, rng, machine, EVALUATION_SIGMAS)
        return found | self._figure_errors(model, machine, batch)

    def _figure_errors(
        self, model: VideoDenoiser, machine: Machine, batch: ClipBatch
    ) -> dict[str, float]:
        words, clean = self._words(batch.captions), self._clean(batch)
        rng = np.random.default_rng(1)
        noise = torch.from_numpy(rng.standard_normal((len(clean), CHANNELS, 32, 32), np.float32))
        noisy = clean + POSE_SIGMA * noise.to(self._device)
        level = torch.full((len(clean),), POSE_SIGMA, device=self._device).log() / 4
        c_in = (POSE_SIGMA**2 + model.sigma_data**2) ** -0.5
        with autocast(machine):
            seen = model.network.see(c_in * noisy, level, words)
        wanted = pose_numbers(torch.from_numpy(batch.poses).to(self._device))
        astray = (seen.poses[1] - wanted)[..., :2].float() * PLACE_UNIT
        shapes = torch.from_numpy(batch.shapes).to(self._device)
        return {
            "pose_error": float(astray.square().sum(-1).mean().sqrt()),
            "canvas_error": float((seen.canvas.float() - shapes).square().mean().sqrt()),
        }

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """Four frames of each clip as a sheet, and all of them in motion."""
        assert isinstance(model, VideoDenoiser)
        generator = DiffusionGenerator(model, self._vocabulary, machine, VideoMedium())
        captions = list(self._recipe.sample_captions)
        seeds = [self._recipe.seed + i for i in range(len(captions))]
        clips = to_clips(generator.denoised(captions, seeds, SAMPLE_SETTINGS))
        return (Sample(".png", sheet(clips)), Sample(".gif", animation(clips)))


def sheet(clips: np.ndarray, columns: int = 2) -> bytes:
    """A PNG of clips uint8 [N, 16, 32, 32, 3], each as four of its frames in a row."""
    frames = _whole_rows(clips, columns)[:, SHOWN_FRAMES]
    pictures = list(frames.reshape(-1, *frames.shape[2:]))
    return png(film.sheet(pictures, columns * len(SHOWN_FRAMES)))


def animation(clips: np.ndarray, columns: int = 4) -> bytes:
    """A GIF of clips uint8 [N, 16, 32, 32, 3] playing side by side, over and over."""
    whole = _whole_rows(clips, columns)
    frames = np.stack([film.sheet(list(pictures), columns) for pictures in whole.swapaxes(0, 1)])
    large = frames.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    first, *rest = (Image.fromarray(frame) for frame in large)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()


def _whole_rows(clips: np.ndarray, columns: int) -> np.ndarray:
    """As many clips as fill rows of so many; fewer than one row's are all kept."""
    return clips[: len(clips) - len(clips) % columns] if len(clips) > columns else clips
