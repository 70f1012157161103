"""An autoencoder of 128×128 images: what latent diffusion denoises, and how it becomes an image.

A linear path codes patches of 8×8 pixels and begins as their principal components, so that a
training begins where components end. Beside it are residual convolutions without normalisation, at
32×32 and 16×16; the decoder ends with a narrow stage at 64×64. Latents are bounded, so that no
value is far from the others, and standardised by channel, so that a diffusion model finds all at
one scale.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.kinds.latent.recipe import SIDE, AutoencoderRecipe

FOLD = 4  # FOLD × FOLD pixels become channels of the convolutions
PATCH = 8  # side of a patch of the linear path: one latent
LATENT_SIDE = SIDE // PATCH
BEGIN_SPREAD = 0.35  # deviation of the latents at the beginning, of values between -1 and 1
RATE = 0.01  # of the running mean and deviation of the latents


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes: `width` channels at 32×32 and three times as many at 16×16, with `blocks` residual
    blocks at the former and `deep_blocks` at the latter, each way; `latent` channels of a latent.
    """

    width: int
    blocks: int
    deep_blocks: int
    latent: int


def autoencoder_config(recipe: AutoencoderRecipe) -> AutoencoderConfig:
    """The sizes in a recipe."""
    return AutoencoderConfig(
        width=recipe.width,
        blocks=recipe.blocks,
        deep_blocks=recipe.deep_blocks,
        latent=recipe.latent,
    )


class Bottleneck(nn.Module):
    """A residual block: 1×1 convolution to half the channels, 3×3, and 1×1 back, which starts at 0
    in place of a normalisation (Zhang et al. 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.narrow = nn.Conv2d(width, half, 1)
        self.mix = nn.Conv2d(half, half, 3, padding=1)
        self.widen = nn.Conv2d(half, width, 1)
        nn.init.zeros_(self.widen.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.mix(F.silu(self.narrow(F.silu(x)))))
        return x + self.widen(h)


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(width) for _ in range(count)))


def _begin_at_zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Autoencoder(nn.Module):
    """Images [N, 3, 128, 128] in -1 to 1 to latents [N, 8, 16, 16], and back.

    It takes images of any side that is a multiple of PATCH.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        width, deep, latent = config.width, 3 * config.width, config.latent
        self.code = nn.Conv2d(3, latent, PATCH, stride=PATCH)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(FOLD),
            nn.Conv2d(3 * FOLD * FOLD, width, 3, padding=1),
            _blocks(width, config.blocks),
            nn.Conv2d(width, deep, 2, stride=2),
            _blocks(deep, config.deep_blocks),
            _begin_at_zero(nn.Conv2d(deep, latent, 1)),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, deep, 3, padding=1),
            _blocks(deep, config.deep_blocks),
            nn.Conv2d(deep, 4 * width, 1),
            nn.PixelShuffle(2),
            _blocks(width, config.blocks),
            nn.Conv2d(width, 2 * width, 1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            _begin_at_zero(nn.Conv2d(width // 2, 3 * 4, 3, padding=1)),
            nn.PixelShuffle(2),
        )
        self.patch = nn.ConvTranspose2d(latent, 3, PATCH, stride=PATCH)
        # Of the bounded latents by channel. Parameters without a gradient: like the weights they
        # are averaged and kept.
        self.mean = nn.Parameter(torch.zeros(latent), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(latent), requires_grad=False)

    def encode(self, images: Tensor) -> Tensor:
        """Images [N, 3, 128, 128] in -1 to 1 to latents [N, 8, 16, 16]: mean 0 and deviation 1 by
        channel over the training data."""
        return (self._bounded(images) - _row(self.mean)) / _row(self.deviation)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [N, 8, 16, 16] to images [N, 3, 128, 128], about -1 to 1."""
        return self._unbounded(latents * _row(self.deviation) + _row(self.mean))

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Reconstructions of images [N, 3, S, S] from latents with `noise` [N, 8, S/8, S/8] in
        their deviations. In training, mean and deviation follow the latents."""
        bounded = self._bounded(images)
        if self.training:
            self._follow(bounded.detach().float())
        return self._unbounded(bounded + noise * _row(self.deviation))

    @torch.no_grad()
    def begin_linear(self, images: Tensor) -> None:
        """Begin the linear path as the principal components of the patches of images
        [N, 3, S, S]."""
        patches = F.unfold(images, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
        mean = patches.mean(dim=0)
        variances, vectors = torch.linalg.eigh(torch.cov(patches.T))
        count = self.config.latent
        components = vectors[:, -count:].T.flip(0)  # [latent, 3 · PATCH²]
        scale = BEGIN_SPREAD / variances[-count:].flip(0).sqrt()
        shape = self.code.weight.shape
        assert self.code.bias is not None
        assert self.patch.bias is not None
        self.code.weight.copy_((components * scale[:, None]).view(shape))
        self.code.bias.copy_(-scale * (components @ mean))
        self.patch.weight.copy_((components / scale[:, None]).view(shape))
        self.patch.bias.copy_(mean.view(3, -1).mean(dim=1))
        self.deviation.fill_(BEGIN_SPREAD)

    def _bounded(self, images: Tensor) -> Tensor:
        """The latents between -1 and 1."""
        return torch.tanh(self.code(images) + self.encoder(images))

    def _unbounded(self, bounded: Tensor) -> Tensor:
        return self.patch(bounded) + self.decoder(bounded)

    @torch.no_grad()
    def _follow(self, latents: Tensor) -> None:
        """Move mean and deviation towards those of a batch."""
        around = (latents - _row(self.mean)).square().mean(dim=(0, 2, 3)).sqrt()
        self.mean.lerp_(latents.mean(dim=(0, 2, 3)), RATE)
        self.deviation.lerp_(around, RATE)


def _row(channels: Tensor) -> Tensor:
    return channels.detach()[:, None, None]
