"""A small convolutional network that labels log-mel spectrograms.

As for pictures (`convnet`), but for how it ends: what is said does not depend on when, so the
features are averaged over time; it does depend on the frequency, so they are not over mels.
"""

from torch import Tensor, nn

from genui.engine.models.convnet import Residual
from genui.engine.sound.mel import MELS

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
