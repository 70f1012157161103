"""The training of captioned clips."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast
from genui.engine.train.diffusion import Batch, Corpus, DiffusionTask, More, Noisy
from genui.engine.train.task import Sample, Share, png
from genui.formats import image
from genui.kinds.video.data import FPS, describe, load_clips, vocabulary_captions
from genui.kinds.video.medium import CLIPS, to_clips
from genui.kinds.video.network import CHANNELS, PLACE_UNIT, VideoDenoiser, pose_numbers
from genui.kinds.video.recipe import VideoRecipe

SHOWN_FRAMES = (0, 5, 10, 15)  # of each clip, on the sheet
POSE_SIGMA = 1.5  # noise level at which the poses are evaluated
ENLARGED = 3  # factor of the animation's size

CANVAS_WEIGHT = 4.0  # of its squared error on alphas from 0 to 1
POSE_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class ClipBatch(Batch):
    """B clips."""

    poses: np.ndarray  # [B, 16, 4]


class VideoTask(DiffusionTask[VideoRecipe]):
    """Captioned clips: the denoising loss, and the squared errors of the canvas and the poses."""

    unit = "clip"
    evaluated = 24
    sigmas = (0.2, 0.6, 1.5, 4.0, 10.0, 25.0)

    def __init__(
        self,
        recipe: VideoRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._clips = clips = load_clips()
        corpus = Corpus(
            name=clips.name,
            fingerprint=clips.fingerprint,
            licence=clips.licence,
            vocabulary=(
                Vocabulary(tuple(extra["words"]))
                if extra
                else Vocabulary.build(vocabulary_captions())
            ),
            words=recipe.caption_words,
            captions=recipe.sample_captions,
            data_line=describe(clips),
            # Positions and speeds are random: an epoch is every trained pair once.
            examples=len(clips.trained),
        )
        super().__init__(recipe, device, corpus, CLIPS)

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> ClipBatch:
        batch = self._clips.batch(self._clips.scenes(count, rng, held_out), rng)
        return ClipBatch(
            captions=batch.captions, arrays=batch.clips, canvas=batch.shapes, poses=batch.poses
        )

    def _clean(self, batch: Batch) -> Tensor:
        """Clips as [B, 48, 32, 32]."""
        return super()._clean(batch).flatten(1, 2)

    def _draw_more(self, rng: np.random.Generator) -> More:
        scenes = self._clips.scenes(self._recipe.canvas_batch, rng)
        return More(self._clips.captions(scenes, rng), self._clips.shapes(scenes))

    def _objective(self, batch: Batch, noisy: Noisy, more: More, share: Share) -> Tensor:
        assert isinstance(self.model, VideoDenoiser)
        assert isinstance(batch, ClipBatch)
        poses = self._tensor(batch.poses)
        denoising, posing = self.model.losses(*noisy, poses)
        canvas = CANVAS_WEIGHT * self._canvas_loss(batch, more, share)
        return self._mean(denoising, share) + POSE_WEIGHT * self._mean(posing, share) + canvas

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """The losses of every medium and, on held-out clips, the root mean square `pose_error` (of
        the figure's centre in pixels, at σ = 1.5) and `canvas_error` (of alpha)."""
        metrics = super().evaluate(model, machine, whole)
        count = self.evaluated * (4 if whole else 1)
        batch = self._batch(count, True, np.random.default_rng(0))
        return metrics | self._figure_errors(model, machine, batch)

    def _figure_errors(
        self, model: nn.Module, machine: Machine, batch: ClipBatch
    ) -> dict[str, float]:
        assert isinstance(model, VideoDenoiser)
        assert batch.canvas is not None
        clean, token_ids = self._clean(batch), self._token_ids(batch.captions)
        rng = np.random.default_rng(1)
        noise = self._tensor(rng.standard_normal((len(clean), CHANNELS, 32, 32), np.float32))
        with autocast(machine):
            prediction = model.predict(clean + POSE_SIGMA * noise, POSE_SIGMA, token_ids)
        true = pose_numbers(self._tensor(batch.poses))
        errors = (prediction.poses[1] - true)[..., :2].float() * PLACE_UNIT
        canvas = self._tensor(batch.canvas)
        return {
            "pose_error": float(errors.square().sum(-1).mean().sqrt()),
            "canvas_error": float((prediction.canvas.float() - canvas).square().mean().sqrt()),
        }

    def _picture(self, clean: Tensor) -> bytes:
        return clip_sheet(to_clips(clean[None]))

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        """Four frames of each clip as a sheet, and an animation."""
        clips = to_clips(arrays)
        return (Sample(".png", clip_sheet(clips)), Sample(".gif", animation(clips)))


def clip_sheet(clips: np.ndarray, columns: int = 2) -> bytes:
    """A PNG of clips uint8 [N, 16, 32, 32, 3], each shown as four frames in a row."""
    frames = _whole_rows(clips, columns)[:, SHOWN_FRAMES]
    images = list(frames.reshape(-1, *frames.shape[2:]))
    return png(image.sheet(images, columns * len(SHOWN_FRAMES)))


def animation(clips: np.ndarray, columns: int = 4) -> bytes:
    """A looping GIF of clips uint8 [N, 16, 32, 32, 3] side by side."""
    clips = _whole_rows(clips, columns)
    frames = np.stack([image.sheet(list(images), columns) for images in clips.swapaxes(0, 1)])
    large = frames.repeat(ENLARGED, 1).repeat(ENLARGED, 2)
    first, *rest = (Image.fromarray(frame) for frame in large)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()


def _whole_rows(clips: np.ndarray, columns: int) -> np.ndarray:
    """Drop the clips of an incomplete last row, unless it is the only row."""
    return clips[: len(clips) - len(clips) % columns] if len(clips) > columns else clips
