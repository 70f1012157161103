"""The captioned U-Net of genui as a model of diffusers. Needs only torch and diffusers.

Residual convolutions at half and a quarter of the image's side, with self-attention at the quarter
(Ronneberger et al. 2015; Ho et al. 2020), modulated by the noise level and the caption.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

NOISE_FEATURES = 64
FOLD = 2  # FOLD × FOLD pixels become channels


def norm(x: Tensor) -> Tensor:
    """RMSNorm of the last dimension, without weights."""
    return F.rms_norm(x, x.shape[-1:])


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Bidirectional attention with normalised queries and keys: [B, T, 3C] to [B, T, C]."""
    B, T, C3 = qkv.shape
    q, k, v = qkv.view(B, T, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(norm(q), norm(k), v)
    return out.transpose(1, 2).reshape(B, T, C3 // 3)


def noise_features(level: Tensor) -> Tensor:
    """Sines and cosines of ln σ / 4 at geometric frequencies: [B] to [B, NOISE_FEATURES]."""
    octaves = torch.arange(NOISE_FEATURES // 2, device=level.device) / (NOISE_FEATURES // 2)
    angle = level[:, None] * (2 * math.pi * 2 ** (5 * octaves - 2))
    return torch.cat((angle.sin(), angle.cos()), dim=1)


class CaptionEncoder(nn.Module):
    """Token ids [B, L] to the mean of their word vectors, [B, W]."""

    def __init__(self, vocab_size: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, token_ids: Tensor) -> Tensor:
        x = self.embedding(token_ids) + self.position[: token_ids.shape[1]]
        x = x + self.out(attend(self.qkv(norm(x)), heads=4))
        x = norm(x + self.down(F.silu(self.up(norm(x)))))
        is_word = (token_ids > 0).unsqueeze(-1).to(x.dtype)
        return (x * is_word).sum(1) / is_word.sum(1).clamp(min=1)


class Conv(nn.Module):
    """A convolution whose kernel is stored as a matrix [out, in·k·k]."""

    def __init__(self, in_channels: int, out: int, kernel: int = 3) -> None:
        super().__init__()
        self.shape = (out, in_channels, kernel, kernel)
        self.weight = nn.Parameter(torch.zeros(out, in_channels * kernel**2))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.view(self.shape), self.bias, padding=self.shape[-1] // 2)


class Block(nn.Module):
    """Two residual convolutions, between them scaled and shifted by the condition [B, W]."""

    def __init__(self, in_channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, in_channels)
        self.first = Conv(in_channels, out)
        self.modulation = nn.Linear(condition, 2 * out)
        self.second = Conv(out, out)
        self.skip = nn.Identity() if in_channels == out else Conv(in_channels, out, 1)

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

    def forward(self, x: Tensor) -> Tensor:
        tokens = norm(x.flatten(2).transpose(1, 2))  # [B, H·W, C]
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
        self.attention_blocks = nn.ModuleList([Attention(out, heads)] if heads else [])

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        for attention in self.attention_blocks:
            x = attention(x)
        return x


class GenuiNetwork(ModelMixin, ConfigMixin):
    """Scaled images [B, C, S, S], ln σ / 4 [B] and token ids [B, L] to [B, C, S, S]."""

    @register_to_config
    def __init__(
        self,
        words: list[str],
        caption_words: int,
        caption_width: int,
        layers: int,
        width: int,
        heads: int,
        in_channels: int = 3,
        sample_size: int = 32,
        border: int = 0,
    ) -> None:
        super().__init__()
        fine, coarse, condition = width, 3 * width, 4 * width
        folded = FOLD * FOLD
        self.caption = CaptionEncoder(len(words) + 2, caption_words, caption_width)
        self.caption_to_condition = nn.Linear(caption_width, condition)
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.picture_in = Conv(in_channels * folded, fine)
        self.down_fine = Stage(fine, fine, layers, condition)
        self.to_coarse = Conv(fine * folded, coarse, 1)
        self.down_coarse = Stage(coarse, coarse, layers, condition, heads)
        self.up_coarse = Stage(coarse, coarse, layers, condition, heads)
        self.to_fine = Conv(coarse, fine * folded, 1)
        self.up_fine = Stage(2 * fine, fine, layers, condition)
        self.picture_out = Conv(fine, in_channels * folded)

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        pooled = self.caption(token_ids)
        condition = self.noise(noise_features(noise_level)) + self.caption_to_condition(pooled)
        condition = F.silu(condition)
        fine = self.down_fine(self.picture_in(F.pixel_unshuffle(x, FOLD)), condition)
        h = self.down_coarse(self.to_coarse(F.pixel_unshuffle(fine, FOLD)), condition)
        h = F.pixel_shuffle(self.to_fine(self.up_coarse(h, condition)), FOLD)
        h = self.up_fine(torch.cat((h, fine), dim=1), condition)
        return F.pixel_shuffle(self.picture_out(F.silu(h)), FOLD)
