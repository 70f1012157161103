"""Training a captioned diffusion model to denoise (Karras et al. 2022)."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genui.engine.data.captions import Vocabulary
from genui.engine.data.pictures import load_pictures
from genui.engine.device import Machine, autocast
from genui.engine.generate.diffusion import DiffusionGenerator
from genui.engine.generate.picture_medium import PictureMedium
from genui.engine.models.dit import Denoiser, DiT
from genui.engine.models.picture_denoiser import picture_denoiser
from genui.engine.train.augment import augment
from genui.engine.train.task import Sample
from genui.protocol import ImageSettings
from genui.recipes import DiffusionRecipe

EVALUATION_SIGMAS = (0.1, 0.25, 0.6, 1.5, 4.0, 10.0)
EVALUATION_PICTURES = 48
SAMPLE_SETTINGS = ImageSettings(steps=12)


def left_out(vocabulary: Vocabulary, captions: Sequence[str]) -> tuple[str, ...]:
    """A note on the words a vocabulary made for other data does not know, where there are any."""
    unknown = sorted({word for caption in captions for word in vocabulary.unknown(caption)})
    if not unknown:
        return ()
    return (
        f"{len(unknown)} words of these captions are not in the vocabulary the model came with "
        f"and all count as one: {', '.join(unknown[:8])}",
    )


class PictureTask:
    """EDM's denoising loss, and beside it the canvas's squared error on further captions."""

    unit = "img"

    def __init__(
        self, recipe: DiffusionRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        pictures = load_pictures(recipe.dataset, recipe.data)
        vocabulary = (
            Vocabulary(tuple(extra["words"])) if extra else Vocabulary.build(pictures.captions)
        )
        self._recipe, self._device = recipe, device
        self._pictures, self._vocabulary = pictures, vocabulary
        self.data_line = (
            f"{pictures.name}: {len(pictures.train):,} pictures to train on, "
            f"{len(pictures.held_out):,} held out, {len(vocabulary.words):,} words"
        )
        self.notes = pictures.notes + (left_out(vocabulary, pictures.captions) if extra else ())
        if recipe.border and recipe.data:
            self.notes += (
                f"the outer {recipe.border} pixels of every picture are left black; "
                "--set border=0 draws them too",
            )
        self.units_per_step = recipe.batch
        self.units_per_epoch = len(pictures.train)  # drawn at random: seen once on average
        captions = recipe.sample_captions if not recipe.data else ()
        self._captions = captions or tuple(pictures.captions[i] for i in pictures.train[:8])
        self.extra = {
            "words": list(vocabulary.words),
            "captions": list(self._captions),
            "dataset": pictures.name,
            "fingerprint": pictures.fingerprint,
            "licence": pictures.licence,
        }
        torch.manual_seed(recipe.seed)
        self.model = picture_denoiser(recipe, vocabulary.size).to(device)

    def _words(self, captions: list[str]) -> Tensor:
        words = self._vocabulary.encode(captions, self._recipe.caption_words)
        return torch.from_numpy(words).to(self._device)

    def loss(self, step: int) -> Tensor:
        recipe, pictures = self._recipe, self._pictures
        rng = np.random.default_rng((recipe.seed, step))
        batch = pictures.batch(rng.choice(pictures.train, recipe.batch), rng)
        words = self._words(batch.captions)
        words[torch.from_numpy(rng.random(recipe.batch) < recipe.caption_dropout)] = 0
        clean = self._clean(batch.rgb)
        clean = augment(clean, rng, recipe.shift, recipe.zoom, recipe.flip)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        log_sigma = recipe.log_sigma_mean + recipe.log_sigma_std * rng.standard_normal(recipe.batch)
        sigma = torch.from_numpy(np.exp(log_sigma).astype(np.float32)).to(self._device)
        loss = self.model.loss(clean, noise.to(self._device), sigma, words).mean()
        if recipe.canvas_batch:
            loss = loss + self._canvas_loss(batch.captions, batch.canvas, rng)
        return loss

    def _clean(self, rgb: np.ndarray) -> Tensor:
        """Pictures [B, 3, 32, 32] as the network has them: [B, channels, 32, 32]."""
        clean = torch.from_numpy(rgb).to(self._device)
        return clean.mean(dim=1, keepdim=True) if self._recipe.channels == 1 else clean

    def _canvas_loss(
        self, captions: list[str], canvas: np.ndarray, rng: np.random.Generator
    ) -> Tensor:
        """The canvas of this batch's captions and of `canvas_batch` more, which cost little."""
        pictures, recipe = self._pictures, self._recipe
        more, theirs = pictures.canvas_batch(rng.choice(pictures.train, recipe.canvas_batch))
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
        clean = self._clean(batch.rgb)
        total = 0.0
        for sigma in EVALUATION_SIGMAS:
            noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
            level = torch.full((count,), sigma, device=self._device)
            with autocast(machine):
                total += float(model.loss(clean, noise.to(self._device), level, words).mean())
        return total

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        assert isinstance(model, Denoiser)
        medium = PictureMedium(self._recipe)
        generator = DiffusionGenerator(model, self._vocabulary, machine, medium)
        seeds = [self._recipe.seed + i for i in range(len(self._captions))]
        rgb = generator.draw(list(self._captions), seeds, SAMPLE_SETTINGS)
        file = io.BytesIO()
        Image.fromarray(grid(rgb)).save(file, "PNG")
        return (Sample(".png", file.getvalue()),)


def grid(rgb: np.ndarray, columns: int = 4) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3] side by side in rows, as one uint8 picture."""
    count, height, width, _ = rgb.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(rgb):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = picture
    return sheet
