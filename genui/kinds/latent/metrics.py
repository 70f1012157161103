"""Metrics of autoencoders: what a reconstruction loses, for each dataset."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.engine.data.images import as_pixels
from genui.engine.metrics.classifiers import ImageClassifier
from genui.engine.metrics.distance import frechet_distance
from genui.kinds.latent.data import load_sets
from genui.kinds.latent.recipe import SIDE, AutoencoderRecipe
from genui.kinds.latent.sample import AutoencoderGenerator
from genui.kinds.latent.task import (
    ImagePair,
    held_out_images,
    peak_ratios,
    reconstruct,
    square_errors,
)

MOST = 400  # held-out images of each dataset
JUDGE = "emoji-labels"  # the shipped classifier whose features the distances are measured in
TILE = 32  # pixels: the side of its images

WINDOW, WINDOW_DEVIATION = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2
_GREY = (0.299, 0.587, 0.114)


def measure_autoencoder(
    generator: AutoencoderGenerator, recipe: AutoencoderRecipe
) -> dict[str, str]:
    """Of each dataset's held-out images: signal-to-noise ratios, similarity, and the distance of
    the features of their parts."""
    judge = ImageClassifier.load(JUDGE)
    metrics = {}
    for images in load_sets(recipe):
        originals = held_out_images(images, MOST)
        pair = reconstruct(generator.model, originals, generator.machine)
        metrics |= {f"{images.name} {label}": text for label, text in _measure(pair, judge).items()}
    return metrics


def _measure(pair: ImagePair, judge: ImageClassifier) -> dict[str, str]:
    ratios = peak_ratios(pair).sort().values
    worst = ratios[: max(1, len(ratios) // 10)]
    of_mean = -10 * float(square_errors(pair).mean().log10())
    real, decoded = (judge.features(tiles(each)) for each in pair)
    half = len(real) // 2
    rng = np.random.default_rng(0).permutation(len(real))
    apart = frechet_distance(real[rng[:half]], real[rng[half:]])
    return {
        "PSNR": (
            f"{ratios.mean():.2f} dB of {len(ratios)} held-out images, {worst.mean():.2f} of the "
            "worst tenth"
        ),
        "PSNR of the mean error": f"{of_mean:.2f} dB",
        "SSIM": f"{similarity(pair).mean():.4f} (grey, window 11)",
        "Fréchet distance": (
            f"{frechet_distance(real, decoded):.3f} between {len(real):,} parts of 32×32 and "
            f"theirs (features of {JUDGE}); between halves of the originals {apart:.3f}"
        ),
    }


def similarity(pair: ImagePair) -> Tensor:
    """The structural similarity of each image [N], at most 1, of grey values (Wang et al. 2004,
    eq. 13, with their Gaussian window)."""
    at = torch.arange(WINDOW) - WINDOW // 2
    line = torch.exp(-(at**2) / (2 * WINDOW_DEVIATION**2))
    window = torch.outer(line, line)[None, None] / line.sum() ** 2
    grey = torch.tensor(_GREY)[:, None, None]
    x, y = (((each + 1) / 2 * grey).sum(dim=1, keepdim=True) for each in pair)
    mean_x, mean_y, xx, yy, xy = (F.conv2d(each, window) for each in (x, y, x * x, y * y, x * y))
    xx, yy, xy = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * xy + C2)
    return (alike / ((mean_x**2 + mean_y**2 + C1) * (xx + yy + C2))).mean(dim=(1, 2, 3))


def tiles(images: Tensor) -> NDArray[np.uint8]:
    """The parts of images [N, 3, 128, 128], uint8 [16 · N, 32, 32, 3], at full size: shrunk, a
    blurred image would look like its original."""
    count = SIDE // TILE
    parts = images.view(-1, 3, count, TILE, count, TILE).permute(0, 2, 4, 1, 3, 5)
    return as_pixels(parts.reshape(-1, 3, TILE, TILE).numpy())
