"""Networks of classifiers: convolutional for images, n-gram bags for texts."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.recipes.classifier import ImageClassifierRecipe, TextClassifierRecipe


class ClassifierNetwork(nn.Module):
    """Examples to logits [N, labels]."""

    @classmethod
    @abstractmethod
    def of(cls, recipe: Any, labels: int) -> Self:
        """The network of a recipe with new weights."""

    @abstractmethod
    def features(self, examples: Any, /) -> Tensor:
        """The penultimate layer, [N, D]."""


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


class ConvNet(ClassifierNetwork):
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

    @classmethod
    def of(cls, recipe: ImageClassifierRecipe, labels: int) -> Self:
        return cls(labels, recipe.width, recipe.figure)

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


# --- Texts: a linear classifier of bags of n-grams (fastText; Joulin et al. 2017) -------------
# The features of a text are the sum of its n-grams' embeddings divided by the square root of their
# number. There is no hidden layer: accuracy on held-out speeches was 44–47 % without one and
# 38–44 % with one.


class NGramClassifier(ClassifierNetwork):
    """Bags of n-grams to logits [N, labels]."""

    def __init__(self, labels: int, buckets: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.EmbeddingBag(buckets, width, mode="sum")
        self.head = nn.Linear(width, labels)
        nn.init.normal_(self.embedding.weight, std=0.03)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def of(cls, recipe: TextClassifierRecipe, labels: int) -> Self:
        return cls(labels, recipe.buckets, recipe.width, recipe.dropout)

    def features(self, bags: Sequence[np.ndarray]) -> Tensor:
        """Features float32 [N, width] of N bags, int64 [n] with n ≥ 1."""
        sizes = torch.tensor([len(bag) for bag in bags])
        device = self.head.weight.device
        ngrams = torch.from_numpy(np.concatenate(bags)).to(device)
        offsets = (sizes.cumsum(0) - sizes).to(device)
        return self.embedding(ngrams, offsets) / sizes.to(device).sqrt()[:, None]

    def forward(self, bags: Sequence[np.ndarray]) -> Tensor:
        return self.head(F.dropout(self.features(bags), self.dropout, self.training))
