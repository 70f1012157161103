"""The networks of classifiers: convolutions for images and spectrograms, n-grams for texts."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.data.speech import MELS
from genui.recipes.classifier import (
    ClassifierRecipe,
    ImageClassifierRecipe,
    SoundClassifierRecipe,
    TextClassifierRecipe,
)

# --- Images: a small residual convolutional network for 32×32 pixels --------------------------
# Strided convolutions (Springenberg et al. 2015) and pre-activation residuals (He et al. 2016).
# Group normalisation with one group (Wu & He 2018) keeps no running statistics, so the averaged
# weights need no calibration of their own. Sized for a processor: the first convolution halves
# the image, since everything at full size costs more there than it teaches.

STAGES = (1, 2, 4)  # times the width, at 16×16, 8×8 and 4×4


class Residual(nn.Module):
    """x + convolution of what is positive in x, [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.convolution.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution(F.relu(x))


class ConvNet(nn.Module):
    """Images float [B, 3, 32, 32] in -1 to 1 to logits [B, labels].

    With `figure` it is also shown what stands out from the ground, which says what a thing is
    whatever its colours are: of images in random colours it learns next to nothing without.
    """

    def __init__(self, labels: int, width: int, figure: bool = False) -> None:
        super().__init__()
        first, second, third = (times * width for times in STAGES)
        self.figure = figure
        self.body = nn.Sequential(
            nn.Conv2d(4 if figure else 3, first, 4, stride=2, padding=1),
            nn.GroupNorm(1, first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.GroupNorm(1, second),
            Residual(second),
            Residual(second),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.GroupNorm(1, third),
            Residual(third),
            nn.GroupNorm(1, third),
            nn.ReLU(),
        )
        self.head = nn.Linear(third, labels)

    def features(self, rgb: Tensor) -> Tensor:
        """The penultimate layer, averaged over places: [B, 4·width], never negative."""
        x = torch.cat((rgb, contrast_with_border(rgb)), dim=1) if self.figure else rgb
        return self.body(x).mean(dim=(2, 3))

    def forward(self, rgb: Tensor) -> Tensor:
        return self.head(self.features(rgb))


def contrast_with_border(rgb: Tensor) -> Tensor:
    """How far each pixel's colour is from the border's mean, [B, 1, H, W] in -1 to 1.

    1 is the farthest pixel of the image; one of a single colour is -1 everywhere.
    """
    sides = (rgb[:, :, 0], rgb[:, :, -1], rgb[:, :, :, 0], rgb[:, :, :, -1])
    border = torch.cat(sides, dim=2).mean(dim=2)[:, :, None, None]
    distance = (rgb - border).square().sum(dim=1, keepdim=True).sqrt()
    farthest = distance.amax(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    return 2 * distance / farthest - 1


# --- Sound: a small convolutional network for log-mel spectrograms ----------------------------
# As for images but for how it ends: what is said does not depend on when, so the features are
# averaged over time; it does depend on the frequency, so they are not averaged over mels.

STRIDE = 8  # of the three convolutions together


class SoundNet(nn.Module):
    """Spectrograms float [B, 1, 64, T] in -1 to 1 to logits [B, labels]."""

    def __init__(self, labels: int, width: int) -> None:
        super().__init__()
        first, second, third = width, 2 * width, 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2),
            nn.GroupNorm(1, first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.GroupNorm(1, second),
            Residual(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.GroupNorm(1, third),
            Residual(third),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(third * MELS // STRIDE, labels))

    def features(self, mels: Tensor) -> Tensor:
        """The penultimate layer, averaged over time: [B, 32·width], never negative."""
        return self.body(mels).mean(dim=3).flatten(1)

    def forward(self, mels: Tensor) -> Tensor:
        return self.head(self.features(mels))


# --- Texts: a linear classifier of bags of n-grams (fastText; Joulin et al. 2017) -------------
# Each n-gram has an embedding; their sum, divided by the root of their number, is the text's
# features, and a matrix turns those into labels. There is no hidden layer: with one it was right
# on 38 to 44 % of held-out speeches, without on 44 to 47 %.


class NGramClassifier(nn.Module):
    """Bags of n-grams in, logits [N, labels] out."""

    def __init__(self, labels: int, buckets: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.EmbeddingBag(buckets, width, mode="sum")
        self.head = nn.Linear(width, labels)
        nn.init.normal_(self.embedding.weight, std=0.03)
        nn.init.zeros_(self.head.bias)

    def features(self, bags: Sequence[np.ndarray]) -> Tensor:
        """Of bags int64 [n] each (at least one n-gram), float32 [N, width]."""
        sizes = torch.tensor([len(bag) for bag in bags])
        device = self.head.weight.device
        numbers = torch.from_numpy(np.concatenate(bags)).to(device)
        starts = (sizes.cumsum(0) - sizes).to(device)
        return self.embedding(numbers, starts) / sizes.to(device).sqrt()[:, None]

    def forward(self, bags: Sequence[np.ndarray]) -> Tensor:
        return self.head(F.dropout(self.features(bags), self.dropout, self.training))


# --- The network of a recipe ------------------------------------------------------------------


def build_classifier(recipe: ClassifierRecipe, labels: int) -> ConvNet | SoundNet | NGramClassifier:
    """The network that a recipe asks for, its weights drawn anew."""
    match recipe:
        case ImageClassifierRecipe():
            return ConvNet(labels, recipe.width, recipe.figure)
        case SoundClassifierRecipe():
            return SoundNet(labels, recipe.width)
        case TextClassifierRecipe():
            return NGramClassifier(labels, recipe.buckets, recipe.width, recipe.dropout)
    raise TypeError(f"no network for {type(recipe).__name__}")
