"""The training of autoencoders."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from genui.engine.data.images import CaptionedImages
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast, to_device
from genui.engine.sample.media import to_rgb
from genui.engine.train.task import WHOLE, PerStep, Sample, Share, png
from genui.formats.image import sheet
from genui.kinds.latent.data import load_sets, vary
from genui.kinds.latent.network import LATENT_SIDE, Autoencoder, autoencoder_config
from genui.kinds.latent.recipe import SIDE, AutoencoderRecipe
from genui.runs.recomputed import Example

EVALUATED = 32  # held-out images of each dataset; eight times as many on all held-out data
BATCH = 16  # images that are reconstructed at once
SHOWN = 4  # held-out images of each dataset in the sample
COMPONENTS_OF = 256  # images that the linear path begins with the components of


class ImagePair(NamedTuple):
    """Originals and their reconstructions, [N, 3, 128, 128] in -1 to 1."""

    original: Tensor
    reconstructed: Tensor


class AutoencoderTask:
    """L1 of pixels and of their differences to neighbours, on parts of images from latents with a
    little noise."""

    unit = "img"

    def __init__(
        self,
        recipe: AutoencoderRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._recipe, self._device = recipe, device
        self._sets = load_sets(recipe, preparation)
        self._step = PerStep(self._draw)
        self.notes = tuple(note for images in self._sets for note in images.notes)
        self.units_per_step = recipe.batch
        self.units_per_epoch = sum(len(images.train) for images in self._sets)
        self.data_line = "; ".join(images.line for images in self._sets)
        prints = "".join(images.fingerprint for images in self._sets)
        self.extra: dict[str, Any] = {
            "dataset": " + ".join(images.name for images in self._sets),
            "fingerprint": hashlib.sha256(prints.encode()).hexdigest()[:16],
            "licence": "; ".join(images.licence for images in self._sets),
        }
        torch.manual_seed(recipe.seed)
        model = Autoencoder(autoencoder_config(recipe))
        if not extra:
            rng = np.random.default_rng(recipe.seed)
            model.begin_linear(torch.from_numpy(self._examples(COMPONENTS_OF, rng)))
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        images, noise = (each[share.rows(self._recipe.batch)] for each in self._step(step))
        loss = reconstruction_loss(self.model(images, noise), images, self._recipe.edge)
        return share.scale(loss, len(images), self._recipe.batch)

    def examples(self, step: int) -> list[Example]:
        pictures = to_rgb(self._step(step)[0])
        name = self.extra["dataset"]
        return [Example(row=i, source=name, image=png(each)) for i, each in enumerate(pictures)]

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """The loss on held-out images without noise, and their mean signal-to-noise ratio in dB:
        of all datasets and of each."""
        assert isinstance(model, Autoencoder)
        count = EVALUATED * (8 if whole else 1)
        losses, by_set = [], {}
        for images in self._sets:
            pair = reconstruct(model, held_out_images(images, count), machine)
            loss = reconstruction_loss(pair.reconstructed, pair.original, self._recipe.edge)
            losses.append(float(loss))
            by_set[f"psnr_{images.name}"] = float(peak_ratios(pair).mean())
        means = {"val_loss": losses, "psnr": list(by_set.values())}
        return {name: float(np.mean(each)) for name, each in means.items()} | by_set

    @torch.inference_mode()
    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """Held-out images of each dataset, each above its reconstruction."""
        assert isinstance(model, Autoencoder)
        rows = []
        for images in self._sets:
            pair = reconstruct(model, held_out_images(images, SHOWN), machine)
            rows += [*to_rgb(pair.original), *to_rgb(pair.reconstructed)]
        return (Sample(".png", png(sheet(rows, SHOWN)), 0),)

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Parts of images [B, 3, crop, crop] and the noise of their latents."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step))
        crop = recipe.crop
        corners = rng.integers(0, SIDE - crop + 1, (recipe.batch, 2))
        whole = self._examples(recipe.batch, rng)
        parts = [
            image[:, y : y + crop, x : x + crop]
            for image, (y, x) in zip(whole, corners, strict=True)
        ]
        side = crop * LATENT_SIDE // SIDE
        noise = rng.standard_normal((recipe.batch, recipe.latent, side, side), np.float32)
        return (
            to_device(np.stack(parts), self._device).contiguous(memory_format=torch.channels_last),
            to_device(recipe.noise * noise, self._device),
        )

    def _examples(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """New images [B, 3, 128, 128] in -1 to 1, of each dataset as often."""
        examples = []
        for which in rng.integers(len(self._sets), size=count):
            images = self._sets[which]
            varied = vary(images, rng.choice(images.train, 1), rng)
            examples.append(varied.batch(varied.train, rng).rgb)
        return np.concatenate(examples)


def held_out_images(images: CaptionedImages, count: int) -> Tensor:
    """Up to `count` held-out images, always the same, [N, 3, 128, 128] in -1 to 1."""
    rng = np.random.default_rng(0)
    indices = rng.permutation(images.held_out)[:count]
    return torch.from_numpy(images.batch(indices, rng).rgb)


@torch.inference_mode()
def reconstruct(model: Autoencoder, images: Tensor, machine: Machine) -> ImagePair:
    """Images beside what the autoencoder makes of them."""
    device = model.mean.device
    parts = []
    for part in images.split(BATCH):
        with autocast(machine):
            parts.append(model.decode(model.encode(part.to(device))).float().clamp(-1, 1).cpu())
    return ImagePair(images, torch.cat(parts))


def reconstruction_loss(reconstructed: Tensor, images: Tensor, edge: float) -> Tensor:
    """The mean absolute error, and `edge` times that of the differences between neighbours."""
    error = reconstructed.float() - images
    return error.abs().mean() + edge * sum(error.diff(dim=at).abs().mean() for at in (2, 3))


def peak_ratios(pair: ImagePair) -> Tensor:
    """The peak signal-to-noise ratio of each image [N], in dB."""
    return -10 * torch.log10(square_errors(pair))


def square_errors(pair: ImagePair) -> Tensor:
    """The mean squared error of each image [N], of values from 0 to 1."""
    return ((pair.reconstructed - pair.original) / 2).square().mean(dim=(1, 2, 3)).clamp(min=1e-10)
