"""The training of diffusion models of latents."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.engine.data.captions import use_one_word
from genui.engine.data.image_datasets import load_images
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.sample.media import to_rgb
from genui.engine.train.diffusion import (
    COLUMNS,
    Batch,
    DiffusionTask,
    More,
    Noisy,
    image_corpus,
)
from genui.engine.train.task import Sample, Share, png
from genui.formats import image
from genui.kinds.latent.data import build_vocabulary, vary
from genui.kinds.latent.denoiser_recipe import LatentRecipe
from genui.kinds.latent.medium import CHANNELS, LATENTS, LatentMedium, find_autoencoder
from genui.kinds.latent.network import LATENT_SIDE
from genui.kinds.latent.recipe import SIDE

HELD_OUT = 512  # examples of the held-out images

Draw = Callable[[int], tuple[str, NDArray[np.float32]]]
"""The number of an example to its caption and image [3, 128, 128] in -1 to 1."""


class LatentExamples:
    """Examples that are drawn and encoded when they are first needed, and kept in 16 bits."""

    def __init__(self, count: int, draw: Draw, encode: Callable[[Tensor], Tensor]) -> None:
        self._draw, self._encode = draw, encode
        self._captions = [""] * count
        self._latents = np.empty((count, CHANNELS, LATENT_SIDE, LATENT_SIDE), np.float16)
        self._known = np.zeros(count, bool)

    def take(self, count: int, rng: np.random.Generator) -> tuple[list[str], NDArray[np.float32]]:
        """Random examples: captions, and latents [count, 8, 16, 16]."""
        numbers = rng.integers(len(self._captions), size=count)
        missing = np.unique(numbers[~self._known[numbers]])
        if len(missing):
            captions, images = zip(*map(self._draw, missing.tolist()), strict=True)
            with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                self._latents[missing] = self._encode(torch.from_numpy(np.stack(images))).numpy()
            for number, caption in zip(missing.tolist(), captions, strict=True):
                self._captions[number] = caption
            self._known[missing] = True
        return [self._captions[i] for i in numbers], self._latents[numbers].astype(np.float32)


class LatentTask(DiffusionTask[LatentRecipe]):
    """Captioned latents: the denoising loss and, with a canvas, its squared error."""

    def __init__(
        self,
        recipe: LatentRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        _, fingerprint = find_autoencoder(recipe.autoencoder)
        images = load_images(recipe.dataset, recipe.data, preparation=preparation, side=SIDE)
        words = extra or {"words": build_vocabulary(images).words}
        corpus = image_corpus(recipe, recipe.caption_words, images, words)
        super().__init__(
            recipe, device, replace(corpus, extra={"autoencoder": fingerprint}), LATENTS
        )
        self._images = images
        encode = self._latent_medium.encode
        self._trained = LatentExamples(recipe.examples, self._draw_trained, encode)
        self._held_out = LatentExamples(HELD_OUT, self._draw_held_out, encode)

    @property
    def _latent_medium(self) -> LatentMedium:
        assert isinstance(self._medium, LatentMedium)
        return self._medium

    def _draw_trained(self, number: int) -> tuple[str, NDArray[np.float32]]:
        """A new image made of the training images; a share of the captions has one word of its
        name."""
        rng = np.random.default_rng((self._recipe.seed, number))
        varied = vary(self._images, rng.choice(self._images.train, 1), rng)
        batch = varied.batch(varied.train, rng)
        share, names = self._recipe.one_word, self._images.names
        (caption,) = use_one_word(batch.captions, varied.captions, share, rng, names)
        return caption, batch.rgb[0]

    def _draw_held_out(self, number: int) -> tuple[str, NDArray[np.float32]]:
        rng = np.random.default_rng((self._recipe.seed, number))
        batch = self._images.batch(rng.choice(self._images.held_out, 1), rng)
        return batch.captions[0], batch.rgb[0]

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        if held_out and not len(self._images.held_out):
            return None
        captions, latents = (self._held_out if held_out else self._trained).take(count, rng)
        return Batch(captions=captions, arrays=latents, canvas=to_canvas(latents))

    def _draw_more(self, rng: np.random.Generator) -> More:
        if not self._recipe.canvas:
            return More()
        captions, latents = self._trained.take(self._recipe.canvas_batch, rng)
        return More(captions, to_canvas(latents))

    def _objective(self, batch: Batch, noisy: Noisy, more: More, share: Share) -> Tensor:
        loss = super()._objective(batch, noisy, more, share)
        return loss + self._canvas_loss(batch, more, share) if self._recipe.canvas else loss

    def _picture(self, clean: Tensor) -> bytes:
        return png(to_rgb(self._latent_medium.decode(clean[None]))[0])

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        images = to_rgb(self._latent_medium.decode(arrays))
        return (Sample(".png", png(image.sheet(list(images), COLUMNS))),)


def to_canvas(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Latents [B, 8, 16, 16] as the target of the canvas, [B, 8, 8, 8]: means of squares."""
    return F.adaptive_avg_pool2d(torch.from_numpy(latents), LATENT_SIDE // 2).numpy()


def check_latents(recipe: LatentRecipe, preparation: Preparation = QUIET) -> str:
    """Load the autoencoder and the images of a recipe, and describe them in one line."""
    find_autoencoder(recipe.autoencoder)
    images = load_images(recipe.dataset, recipe.data, preparation=preparation, side=SIDE)
    return f"{images.name}: {len(images):,} images, in the latents of {recipe.autoencoder}"
