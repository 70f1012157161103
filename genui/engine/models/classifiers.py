"""Networks of classifiers: convolutional for images and spectrograms, n-gram bags for texts."""

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
# Group normalisation with one group (Wu & He 2018) has no running statistics, so averaged weights
# need no recalibration. Sized for a CPU: the first convolution halves the image, because layers at
# full size cost more than they improve.


class Residual(nn.Module):
    """x + conv(relu(x)), [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.convolution.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution(F.relu(x))


class ConvNet(nn.Module):
    """Images float [B, 3, 32, 32] in -1 to 1 to logits [B, labels].

    With `figure` there is a fourth input channel, `contrast_with_border`, which shows the shape
    independently of its colours. Without it little is learned from images in random colours.
    """

    def __init__(self, labels: int, width: int, figure: bool = False) -> None:
        super().__init__()
        first, second, third = width, 2 * width, 4 * width  # at 16×16, 8×8 and 4×4
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
        """The penultimate layer, averaged over positions: [B, 4·width], non-negative."""
        x = torch.cat((rgb, contrast_with_border(rgb)), dim=1) if self.figure else rgb
        return self.body(x).mean(dim=(2, 3))

    def forward(self, rgb: Tensor) -> Tensor:
        return self.head(self.features(rgb))


def contrast_with_border(rgb: Tensor) -> Tensor:
    """The distance of each pixel's colour from the mean of the border, [B, 1, H, W] in -1 to 1.

    The farthest pixel of an image is 1; an image of a single colour is -1 everywhere.
    """
    sides = (rgb[:, :, 0], rgb[:, :, -1], rgb[:, :, :, 0], rgb[:, :, :, -1])
    border = torch.cat(sides, dim=2).mean(dim=2)[:, :, None, None]
    distance = (rgb - border).square().sum(dim=1, keepdim=True).sqrt()
    farthest = distance.amax(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    return 2 * distance / farthest - 1


# --- Sound: a small convolutional network for log-mel spectrograms ----------------------------
# Features are averaged over time, since the label does not depend on when a word is said, but not
# over mels, since it does depend on frequency.

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
        """The penultimate layer, averaged over time: [B, 32·width], non-negative."""
        return self.body(mels).mean(dim=3).flatten(1)

    def forward(self, mels: Tensor) -> Tensor:
        return self.head(self.features(mels))


# --- Texts: a linear classifier of bags of n-grams (fastText; Joulin et al. 2017) -------------
# The features of a text are the sum of its n-grams' embeddings divided by the square root of their
# number. There is no hidden layer: accuracy on held-out speeches was 44–47 % without one and
# 38–44 % with one.


class NGramClassifier(nn.Module):
    """Bags of n-grams to logits [N, labels]."""

    def __init__(self, labels: int, buckets: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.EmbeddingBag(buckets, width, mode="sum")
        self.head = nn.Linear(width, labels)
        nn.init.normal_(self.embedding.weight, std=0.03)
        nn.init.zeros_(self.head.bias)

    def features(self, bags: Sequence[np.ndarray]) -> Tensor:
        """Features float32 [N, width] of N bags, int64 [n] with n ≥ 1."""
        sizes = torch.tensor([len(bag) for bag in bags])
        device = self.head.weight.device
        ngrams = torch.from_numpy(np.concatenate(bags)).to(device)
        offsets = (sizes.cumsum(0) - sizes).to(device)
        return self.embedding(ngrams, offsets) / sizes.to(device).sqrt()[:, None]

    def forward(self, bags: Sequence[np.ndarray]) -> Tensor:
        return self.head(F.dropout(self.features(bags), self.dropout, self.training))


def build_classifier(recipe: ClassifierRecipe, labels: int) -> ConvNet | SoundNet | NGramClassifier:
    """Build the network of a recipe with new weights."""
    match recipe:
        case ImageClassifierRecipe():
            return ConvNet(labels, recipe.width, recipe.figure)
        case SoundClassifierRecipe():
            return SoundNet(labels, recipe.width)
        case TextClassifierRecipe():
            return NGramClassifier(labels, recipe.buckets, recipe.width, recipe.dropout)
    raise TypeError(f"no network for {type(recipe).__name__}")
