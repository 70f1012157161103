"""The training of diffusion models of latents."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.engine.data.captions import use_one_word
from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import CANVAS
from genui.engine.data.images import Batch as ImageBatch
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
from genui.kinds.latent.medium import (
    CANVAS_SHAPE,
    CHANNELS,
    LATENTS,
    LatentMedium,
    find_autoencoder,
)
from genui.kinds.latent.network import LATENT_SIDE
from genui.kinds.latent.recipe import SIDE

HELD_OUT = 512  # examples of the held-out images

Draw = Callable[[int], ImageBatch]
"""The number of an example to a batch of it alone, of 128×128."""


class LatentExamples:
    """Examples that are drawn and encoded when they are first needed, and kept in 16 bits."""

    def __init__(self, count: int, draw: Draw, encode: Callable[[Tensor], Tensor]) -> None:
        self._draw, self._encode = draw, encode
        self._captions = [""] * count
        self._latents = np.empty((count, CHANNELS, LATENT_SIDE, LATENT_SIDE), np.float16)
        self._canvases = np.empty((count, *CANVAS_SHAPE), np.float16)
        self._known = np.zeros(count, bool)

    def take(self, count: int, rng: np.random.Generator) -> Batch:
        """Random examples, their arrays the latents [count, 8, 16, 16]."""
        numbers = rng.integers(len(self._captions), size=count)
        missing = np.unique(numbers[~self._known[numbers]])
        if len(missing):
            drawn = [self._draw(number) for number in missing.tolist()]
            rgb = torch.from_numpy(np.concatenate([each.rgb for each in drawn]))
            with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
                self._latents[missing] = self._encode(rgb).numpy()
            self._canvases[missing] = to_canvas(np.concatenate([each.canvas for each in drawn]))
            for number, each in zip(missing.tolist(), drawn, strict=True):
                (self._captions[number],) = each.captions
            self._known[missing] = True
        return Batch(
            captions=[self._captions[i] for i in numbers],
            arrays=self._latents[numbers].astype(np.float32),
            canvas=self._canvases[numbers].astype(np.float32),
        )


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

    def _draw_trained(self, number: int) -> ImageBatch:
        """A new image made of the training images."""
        rng = np.random.default_rng((self._recipe.seed, number))
        varied = vary(self._images, rng.choice(self._images.train, 1), rng)
        batch = varied.batch(varied.train, rng)
        return batch._replace(captions=self._shorten(batch.captions, varied.captions, rng))

    def _draw_held_out(self, number: int) -> ImageBatch:
        rng = np.random.default_rng((self._recipe.seed, number))
        return self._images.batch(rng.choice(self._images.held_out, 1), rng)

    def _shorten(
        self, captions: list[str], names: Sequence[str], rng: np.random.Generator
    ) -> list[str]:
        """Replace the name in some of the captions by one of its words."""
        return use_one_word(captions, names, self._recipe.one_word, rng, self._images.names)

    def _batch(self, count: int, held_out: bool, rng: np.random.Generator) -> Batch | None:
        if held_out and not len(self._images.held_out):
            return None
        return (self._held_out if held_out else self._trained).take(count, rng)

    def _draw_more(self, rng: np.random.Generator) -> More:
        if not self._recipe.canvas:
            return More()
        drawn = rng.choice(self._images.train, self._recipe.canvas_batch)
        captions, canvas = self._images.canvas_batch(drawn, rng)
        names = [self._images.captions[i] for i in drawn]
        return More(self._shorten(captions, names, rng), to_canvas(canvas))

    def _objective(self, batch: Batch, noisy: Noisy, more: More, share: Share) -> Tensor:
        loss = super()._objective(batch, noisy, more, share)
        return loss + self._canvas_loss(batch, more, share) if self._recipe.canvas else loss

    def _picture(self, clean: Tensor) -> bytes:
        return png(to_rgb(self._latent_medium.decode(clean[None]))[0])

    def _sample_files(self, arrays: Tensor, parts: list[int]) -> tuple[Sample, ...]:
        rgb = to_rgb(self._latent_medium.decode(arrays))
        return (Sample(".png", png(image.sheet(list(rgb), COLUMNS))),)


def to_canvas(canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """The canvases of images [B, 4, 16, 16] as CANVAS_SHAPE, each 2×2 folded into channels."""
    return F.pixel_unshuffle(torch.from_numpy(canvas), CANVAS // CANVAS_SHAPE[-1]).numpy()


def check_latents(recipe: LatentRecipe, preparation: Preparation = QUIET) -> str:
    """Load the autoencoder and the images of a recipe, and describe them in one line."""
    find_autoencoder(recipe.autoencoder)
    images = load_images(recipe.dataset, recipe.data, preparation=preparation, side=SIDE)
    return f"{images.name}: {len(images):,} images, in the latents of {recipe.autoencoder}"
