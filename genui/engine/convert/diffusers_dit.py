"""The captioned diffusion Transformer of genui as a model of diffusers. Needs only torch and
diffusers.

Patches of the image and words of the caption form one sequence; all blocks share one modulation by
the noise level and the caption (Peebles & Xie 2023; Chen et al. 2024). A coarse image, the canvas,
is predicted from the caption alone and concatenated to the input.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

NOISE_FEATURES = 64
CANVAS_CHANNELS, CANVAS_SIDE = 4, 16


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
    """Token ids [B, L] to word vectors [B, L, W] and their mean [B, W]."""

    def __init__(self, vocab_size: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(token_ids) + self.position[: token_ids.shape[1]]
        x = x + self.out(attend(self.qkv(norm(x)), heads=4))
        x = norm(x + self.down(F.silu(self.up(norm(x)))))
        is_word = (token_ids > 0).unsqueeze(-1).to(x.dtype)
        return x, (x * is_word).sum(1) / is_word.sum(1).clamp(min=1)


class Block(nn.Module):
    """Attention and feed-forward, each modulated by shift, scale and gate."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.offsets = nn.Parameter(torch.zeros(6 * width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        parts = (modulation + self.offsets).unsqueeze(1).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts
        h = norm(x) * (1 + scale_a) + shift_a
        x = x + (1 + gate_a) * self.out(attend(self.qkv(h), self.heads))
        h = norm(x) * (1 + scale_f) + shift_f
        return x + (1 + gate_f) * self.down(F.relu(self.up(h)).square())


class GenuiNetwork(ModelMixin, ConfigMixin):
    """Scaled images [B, 3, S, S], ln σ / 4 [B] and token ids [B, L] to [B, 3, S, S]."""

    @register_to_config
    def __init__(
        self,
        words: list[str],
        caption_words: int,
        caption_width: int,
        layers: int,
        width: int,
        heads: int,
        patch: int = 4,
        has_canvas: bool = True,
        in_channels: int = 3,
        sample_size: int = 32,
        border: int = 0,
    ) -> None:
        super().__init__()
        self.patch, self.side, self.has_canvas = patch, sample_size // patch, has_canvas
        self.caption = CaptionEncoder(len(words) + 2, caption_words, caption_width)
        self.words_in = nn.Linear(caption_width, width)
        channels = 3 + (CANVAS_CHANNELS if has_canvas else 0)
        self.patches_in = nn.Linear(channels * patch * patch, width)
        self.place = nn.Parameter(torch.zeros(self.side**2, width))
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.caption_to_noise = nn.Linear(caption_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.patches_out = nn.Linear(width, 3 * patch * patch)
        if has_canvas:
            size = CANVAS_CHANNELS * CANVAS_SIDE * CANVAS_SIDE
            self.canvas = nn.Sequential(
                nn.Linear(caption_width, width), nn.SiLU(), nn.Linear(width, size)
            )

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        words, pooled = self.caption(token_ids)
        if self.has_canvas:
            canvas = self.canvas(pooled).view(-1, CANVAS_CHANNELS, CANVAS_SIDE, CANVAS_SIDE)
            canvas = canvas * (token_ids > 0).any(1).view(-1, 1, 1, 1)
            x = torch.cat((x, F.interpolate(canvas, scale_factor=2.0)), dim=1)
        condition = F.silu(self.noise(noise_features(noise_level)) + self.caption_to_noise(pooled))
        modulation = self.modulation(condition)
        h = F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)  # [B, N, C·patch²]
        h = self.patches_in(h) + self.place
        count = h.shape[1]
        h = torch.cat((h, self.words_in(words)), dim=1)
        for block in self.blocks:
            h = block(h, modulation)
        out = self.patches_out(norm(h[:, :count])).transpose(1, 2)
        out = out.reshape(len(x), -1, self.side, self.side)
        return F.pixel_shuffle(out, self.patch)
