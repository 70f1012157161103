"""Training a captioned diffusion model to denoise (Karras et al. 2022)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.data.captions import in_one_word
from genui.engine.data.pictures import Pictures
from genui.engine.device import Machine
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.picture_medium import PictureMedium
from genui.engine.models.dit import Denoiser, DiT
from genui.engine.models.picture_denoiser import picture_denoiser
from genui.engine.train.augment import augment
from genui.engine.train.captioned import CaptionedPicturesTask
from genui.engine.train.contrast import Contrast, paired
from genui.engine.train.denoising import denoising_error, drop_captions, noise_for
from genui.engine.train.task import Sample, Side, png
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe
from genui.render.film import sheet

EVALUATION_PICTURES = 48
SAMPLE_SETTINGS = ImageSettings(steps=12)
COLUMNS = 4  # of the sample


class PictureTask(CaptionedPicturesTask[DiffusionRecipe]):
    """EDM's denoising loss, and beside it the canvas's squared error on further captions.

    Where the recipe names pictures that a model drew, their contrast takes the place of the former.
    """

    def __init__(
        self, recipe: DiffusionRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__(recipe, device, extra)
        if recipe.border and recipe.data:
            self.notes += (
                f"the outer {recipe.border} pixels of every picture are left black; "
                "--set border=0 draws them too",
            )
        self._contrast = Contrast(recipe, self._vocabulary, device) if recipe.against else None
        if self._contrast:
            self.notes += (f"against {self._contrast.told}",)
        torch.manual_seed(recipe.seed)
        self.model = picture_denoiser(recipe, self._vocabulary.size).to(device)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The whole model, and what there is to know of its contrast with what was drawn."""
        measured = self._contrast.measured if self._contrast else dict
        return (Side("", self.model, self.loss, measured),)

    def loss(self, step: int) -> Tensor:
        recipe, pictures = self._recipe, self._pictures
        rng = np.random.default_rng((recipe.seed, step))
        chosen = rng.choice(pictures.train, recipe.batch)
        batch = pictures.batch(chosen, rng)
        captions = self._said(batch.captions, chosen, rng)
        words = self._words(captions)
        drop_captions(words, recipe.caption_dropout, rng)
        clean = self._clean(batch.rgb)
        clean = augment(clean, rng, recipe.shift, recipe.zoom, recipe.flip)
        noise, sigma = noise_for(clean, recipe, rng)
        if self._contrast:
            drawn = self._drawn(self._contrast.pictures, rng)
            pairs = (torch.cat(pair) for pair in zip((clean, words), drawn, strict=True))
            loss = self._contrast.loss(self.model, *pairs, *map(paired, (noise, sigma)))
        else:
            loss = self.model.loss(clean, noise, sigma, words).mean()
        if recipe.canvas_batch:
            loss = loss + self._canvas_loss(captions, batch.canvas, rng)
        return loss

    def _drawn(self, pictures: Pictures, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As many pictures that a model drew as a step has real ones, and their words."""
        batch = pictures.batch(rng.choice(pictures.train, self._recipe.batch), rng)
        words = self._words(batch.captions)
        drop_captions(words, self._recipe.caption_dropout, rng)
        return self._clean(batch.rgb), words

    def _said(
        self, captions: list[str], indices: np.ndarray, rng: np.random.Generator
    ) -> list[str]:
        """The captions of these pictures, some of them with one word of a name for all of it."""
        if not self._recipe.one_word:
            return captions
        names = [self._pictures.captions[i] for i in indices]
        return in_one_word(captions, names, self._recipe.one_word, rng, self._pictures.names)

    def _clean(self, rgb: np.ndarray) -> Tensor:
        """Pictures [B, 3, 32, 32] as the network has them: [B, channels, 32, 32]."""
        clean = torch.from_numpy(rgb).to(self._device)
        return clean.mean(dim=1, keepdim=True) if self._recipe.channels == 1 else clean

    def _canvas_loss(
        self, captions: list[str], canvas: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        """The canvas of this batch's captions and of `canvas_batch` more, which cost little."""
        pictures, recipe = self._pictures, self._recipe
        chosen = rng.choice(pictures.train, recipe.canvas_batch)
        names, theirs = pictures.canvas_batch(chosen)
        more = self._said(names, chosen, rng)
        target = torch.from_numpy(np.concatenate((canvas, theirs))).to(self._device)
        network = self.model.network
        assert isinstance(network, DiT)  # the recipe's check says so
        drawn = network.draw_canvas(self._words(captions + more))
        return F.mse_loss(drawn.float(), target)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """EDM loss summed over six fixed noise levels, on the same pictures every time.

        `seen_loss` is on trained pictures, `val_loss` on those held out, where there are any.
        """
        pictures = self._pictures
        found = {}
        count = EVALUATION_PICTURES * (4 if whole else 1)
        for name, indices in (("seen_loss", pictures.train), ("val_loss", pictures.held_out)):
            if len(indices):
                found[name] = self._denoising_error(model, machine, indices, count)
        return found

    def _denoising_error(
        self, model: nn.Module, machine: Machine, indices: np.ndarray, count: int
    ) -> float:
        assert isinstance(model, Denoiser)
        rng = np.random.default_rng(0)
        batch = self._pictures.batch(rng.choice(indices, count), rng)
        words = self._words(batch.captions)
        return denoising_error(model, self._clean(batch.rgb), words, rng, machine)

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        assert isinstance(model, Denoiser)
        medium = PictureMedium(self._recipe)
        generator = DiffusionGenerator(model, self._vocabulary, machine, medium)
        seeds = [self._recipe.seed + i for i in range(len(self._captions))]
        rgb = generator.draw(list(self._captions), seeds, SAMPLE_SETTINGS)
        return (Sample(".png", png(sheet(list(rgb), COLUMNS))),)
