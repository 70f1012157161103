"""A small captioned U-Net for small images.

Residual convolutions at half and a quarter of the image's side, with self-attention at the quarter
(Ronneberger et al. 2015; Ho et al. 2020), modulated by the noise level and the caption. Blocks have
one norm and one activation, and nothing runs at full size, because these dominate the time on a
CPU. It learns local texture from fewer images than a Transformer of patches.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.dit import NOISE_FEATURES, CaptionEncoder, Network, attend, noise_features

FOLD = 2  # FOLD × FOLD pixels become channels


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the network. `width` is the channels at half the side, tripled at a quarter."""

    vocab_size: int
    caption_words: int
    caption_width: int
    layers: int  # residual blocks at each size, on the way down and on the way up
    width: int
    heads: int
    channels: int


class Conv(nn.Module):
    """A convolution whose kernel is stored as a matrix [out, in·k·k], so that Muon can train it."""

    def __init__(self, in_channels: int, out: int, kernel: int = 3, gain: float = 1.0) -> None:
        super().__init__()
        self.shape = (out, in_channels, kernel, kernel)
        self.weight = nn.Parameter(torch.empty(out, in_channels * kernel**2))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.normal_(self.weight, std=gain * (in_channels * kernel**2) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.view(self.shape), self.bias, padding=self.shape[-1] // 2)


class Block(nn.Module):
    """Two residual convolutions, between them scaled and shifted by the condition [B, W]."""

    def __init__(self, in_channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, in_channels)
        self.first = Conv(in_channels, out)
        self.modulation = nn.Linear(condition, 2 * out)
        self.second = Conv(out, out, gain=0)
        self.skip = nn.Identity() if in_channels == out else Conv(in_channels, out, 1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.first(self.norm(x)) * (1 + scale) + shift)
        return self.skip(x) + self.second(h)


class Attention(nn.Module):
    """Residual self-attention between the pixels of [B, C, H, W]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # [B, H·W, C]
        tokens = F.rms_norm(tokens, tokens.shape[-1:])
        attended = self.out(attend(self.qkv(tokens), self.heads))
        return x + attended.transpose(1, 2).reshape(x.shape)


class Stage(nn.Module):
    """Blocks at one size, followed by attention if `heads` is not 0."""

    def __init__(
        self, in_channels: int, out: int, layers: int, condition: int, heads: int = 0
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(in_channels if i == 0 else out, out, condition) for i in range(layers)
        )
        # "blocks" in the name, so that Muon trains its matrices too.
        self.attention_blocks = nn.ModuleList([Attention(out, heads)] if heads else [])

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        for attention in self.attention_blocks:
            x = attention(x)
        return x


class UNet(Network):
    """Noisy images [B, C, S, S], ln σ / 4 [B] and token ids [B, L] to [B, C, S, S].

    S is a multiple of 4.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_words = config.caption_words
        fine, coarse, condition = config.width, 3 * config.width, 4 * config.width  # channels
        folded = FOLD * FOLD
        layers, heads = config.layers, config.heads
        self.caption = CaptionEncoder(config.vocab_size, config.caption_words, config.caption_width)
        self.caption_to_condition = nn.Linear(config.caption_width, condition)
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.picture_in = Conv(config.channels * folded, fine)
        self.down_fine = Stage(fine, fine, layers, condition)
        self.to_coarse = Conv(fine * folded, coarse, 1)
        self.down_coarse = Stage(coarse, coarse, layers, condition, heads)
        self.up_coarse = Stage(coarse, coarse, layers, condition, heads)
        self.to_fine = Conv(coarse, fine * folded, 1)
        self.up_fine = Stage(2 * fine, fine, layers, condition)
        self.picture_out = Conv(fine, config.channels * folded, gain=0)

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        _, pooled = self.caption(token_ids)
        condition = self.noise(noise_features(noise_level)) + self.caption_to_condition(pooled)
        condition = F.silu(condition)
        fine = self.down_fine(self.picture_in(F.pixel_unshuffle(x, FOLD)), condition)
        h = self.down_coarse(self.to_coarse(F.pixel_unshuffle(fine, FOLD)), condition)
        h = F.pixel_shuffle(self.to_fine(self.up_coarse(h, condition)), FOLD)
        h = self.up_fine(torch.cat((h, fine), dim=1), condition)
        return F.pixel_shuffle(self.picture_out(F.silu(h)), FOLD)


NETWORK, CONFIG = UNet, UNetConfig
"""The network of `network=unet` in a recipe of images."""
