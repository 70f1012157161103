"""A captioned GAN for 32×32 images: generator and discriminator.

Residual networks without normalisation, after R3GAN (Huang et al. 2024, "The GAN is dead; long
live the GAN!"). They are leaner: a bottleneck of dense convolutions instead of a wide grouped one,
which is faster on a CPU, and images folded 2×2 into channels, so that nothing runs at 32×32.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.kinds.gan.recipe import GanRecipe

SIDE = 32  # pixels
FOLD = 2  # FOLD × FOLD pixels become channels
SMALLEST = 4  # side of the smallest feature maps: the generator's first, the discriminator's last
LEAK = 0.2  # of the leaky ReLU
GAIN = (2 / (1 + LEAK**2)) ** 0.5  # for the leaky ReLU (He et al. 2015)


@dataclass(frozen=True)
class GANConfig:
    """Sizes of both networks.

    `widths` are the channels at 4×4, 8×8 and 16×16, `blocks` the residual blocks at each;
    `channels` is 1 for grey images and 3 for coloured ones.
    """

    vocab_size: int
    latent: int
    caption_width: int
    widths: tuple[int, ...]
    blocks: int
    channels: int


def gan_config(recipe: GanRecipe, vocab_size: int) -> GANConfig:
    return GANConfig(
        vocab_size=vocab_size,
        latent=recipe.latent,
        caption_width=recipe.caption_width,
        widths=(4 * recipe.width, 2 * recipe.width, recipe.width),
        blocks=recipe.blocks,
        channels=recipe.channels,
    )


class Captions(nn.Module):
    """Token ids [B, L] to the mean of their embeddings [B, W], 0 for no words."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        is_word = (token_ids > 0).unsqueeze(-1).to(self.embedding.weight.dtype)
        return (self.embedding(token_ids) * is_word).sum(1) / is_word.sum(1).clamp(min=1)


class Block(nn.Module):
    """A residual bottleneck: 1×1 convolution to half the channels, 3×3, and 1×1 back.

    Fixup initialisation (Zhang et al. 2019) replaces normalisation: the last convolution starts at
    0, and the others are smaller the more blocks there are.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        half = width // 2
        self.narrow = nn.Conv2d(width, half, 1)
        self.mix = nn.Conv2d(half, half, 3, padding=1)
        self.widen = nn.Conv2d(half, width, 1, bias=False)
        for conv in (self.narrow, self.mix):
            init_scaled(conv, GAIN * depth**-0.25)
        nn.init.zeros_(self.widen.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.narrow(F.leaky_relu(x, LEAK)), LEAK)
        return x + self.widen(F.leaky_relu(self.mix(h), LEAK))


def init_scaled(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> None:
    """Initialise weights so that outputs have `gain` times the standard deviation of the inputs,
    and biases with 0."""
    nn.init.normal_(layer.weight, std=gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def build_stages(widths: tuple[int, ...], blocks: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """A stage of residual blocks for each width, and the 1×1 convolutions between their widths."""
    stages, resized = nn.ModuleList(), nn.ModuleList()
    depth = len(widths) * blocks
    for previous, width in zip((widths[0], *widths), widths, strict=False):
        resize = nn.Conv2d(previous, width, 1, bias=False)
        init_scaled(resize)
        resized.append(resize if width != previous else nn.Identity())
        stages.append(nn.Sequential(*(Block(width, depth) for _ in range(blocks))))
    return stages, resized


class Generator(nn.Module):
    """Latents [B, Z] and token ids [B, L] to images [B, channels, 32, 32], about -1 to 1."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        first, *_, last = config.widths
        self.caption = Captions(config.vocab_size, config.caption_width)
        self.first = nn.Linear(
            config.latent + config.caption_width, first * SMALLEST * SMALLEST, bias=False
        )
        self.base = nn.Parameter(torch.empty(first, SMALLEST, SMALLEST))
        nn.init.normal_(self.base)
        init_scaled(self.first)
        self.stages, self.resized = build_stages(config.widths, config.blocks)
        self.out = nn.Conv2d(last, config.channels * FOLD * FOLD, 3, padding=1)
        init_scaled(self.out, 0.5)
        with torch.no_grad():  # the pixels of a fold start equal, to avoid checkerboard artefacts
            equal = self.out.weight[:: FOLD * FOLD].repeat_interleave(FOLD * FOLD, dim=0)
            self.out.weight.copy_(equal)

    def first_stage(self, latent: Tensor, token_ids: Tensor) -> Tensor:
        """Features after the first stage, [B, C, 4, 4]."""
        inputs = torch.cat((latent, self.caption(token_ids)), dim=1)
        return self.stages[0](self.first(inputs).view(-1, *self.base.shape) + self.base)

    def forward(self, latent: Tensor, token_ids: Tensor) -> Tensor:
        h = self.first_stage(latent, token_ids)
        for resize, stage in zip(self.resized[1:], self.stages[1:], strict=True):
            h = F.interpolate(resize(h), scale_factor=2, mode="bilinear", align_corners=False)
            h = stage(h)
        return F.pixel_shuffle(self.out(F.leaky_relu(h, LEAK)), FOLD)


class Discriminator(nn.Module):
    """Images [B, channels, 32, 32] and token ids [B, L] to scores [B]; higher is more real.

    Conditioned on the caption by projection (Miyato & Koyama 2018).
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        last, *_, first = config.widths
        self.folded_in = nn.Conv2d(config.channels * FOLD * FOLD, first, 3, padding=1)
        init_scaled(self.folded_in)
        self.stages, self.resized = build_stages(config.widths[::-1], config.blocks)
        self.pooled = nn.Linear(last * SMALLEST * SMALLEST, last)
        self.score = nn.Linear(last, 1)
        self.caption = Captions(config.vocab_size, config.caption_width)
        self.asked = nn.Linear(config.caption_width, last, bias=False)
        init_scaled(self.pooled, GAIN)
        init_scaled(self.score)
        init_scaled(self.asked)

    def forward(self, images: Tensor, token_ids: Tensor) -> Tensor:
        h = self.folded_in(F.pixel_unshuffle(images, FOLD))
        for i, (resize, stage) in enumerate(zip(self.resized, self.stages, strict=True)):
            if i:
                h = resize(F.avg_pool2d(h, 2))
            h = stage(h)
        h = F.leaky_relu(self.pooled(F.leaky_relu(h, LEAK).flatten(1)), LEAK)
        caption = self.asked(self.caption(token_ids))
        return self.score(h).squeeze(1) + (h * caption).sum(1) * h.shape[1] ** -0.5


class GAN(nn.Module):
    """Generator and discriminator, as a checkpoint holds them."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
