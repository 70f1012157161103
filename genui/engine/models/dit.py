"""Captioned diffusion Transformers: the shared trunk, and the network for images.

Patches and caption words form one sequence (Esser et al. 2024). All blocks share one adaLN
modulation by the noise level and the pooled caption (Peebles & Xie 2023; Chen et al. 2024). Kinds
of other media have their own.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DIT_SIDE = 32  # pixels
CANVAS_CHANNELS = 4
NOISE_FEATURES = 64


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of a captioned Transformer of any medium."""

    vocab_size: int
    caption_words: int  # longest caption, in words
    caption_width: int
    patch: int  # side of a token in pixels; frames per token for spectrograms
    layers: int
    width: int
    heads: int
    canvas: bool = True  # whether a coarse image is predicted from the caption
    side: int = DIT_SIDE  # of images, or of the latents of images
    channels: int = 3
    canvas_channels: int = CANVAS_CHANNELS
    canvas_width: int = 0  # of the hidden layer that predicts it; 0 is the width of a token
    canvas_dropout: float = 0.0  # share of the examples that are trained without their canvas


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Bidirectional attention over short sequences: [B, T, 3C] to [B, T, C].

    Two batched matrix products: below 128 tokens the fused CPU kernel has a slower backward pass.
    """
    B, T, C3 = qkv.shape
    q, k, v = qkv.view(B, T, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4)  # [B, H, T, D]
    q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).reshape(B, T, C3 // 3)


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Normalise x [B, T, C], then scale and shift it by [B, 1, C] each."""
    return F.rms_norm(x, x.shape[-1:]) * (1 + scale) + shift


class Block(nn.Module):
    """Attention and feed-forward, each modulated by shift, scale and gate, [B, 1, C] each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.offsets = nn.Parameter(torch.zeros(6 * width))  # added to the shared modulation
        for matrix in (self.qkv, self.up):
            nn.init.normal_(matrix.weight, std=0.6 * width**-0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        parts = (modulation + self.offsets).unsqueeze(1).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts
        h = modulate(x, scale_a, shift_a)
        x = x + (1 + gate_a) * self.out(attend(self.qkv(h), self.heads))
        h = modulate(x, scale_f, shift_f)
        return x + (1 + gate_f) * self.down(F.relu(self.up(h)).square())


class CaptionEncoder(nn.Module):
    """Token ids [B, L] to word vectors [B, L, W] and their mean [B, W]."""

    def __init__(self, vocab_size: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.position, std=0.1)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(token_ids) + self.position[: token_ids.shape[1]]
        x = x + self.out(attend(self.qkv(F.rms_norm(x, x.shape[-1:])), heads=4))
        x = x + self.down(F.silu(self.up(F.rms_norm(x, x.shape[-1:]))))
        x = F.rms_norm(x, x.shape[-1:])
        is_word = (token_ids > 0).unsqueeze(-1).to(x.dtype)
        return x, (x * is_word).sum(1) / is_word.sum(1).clamp(min=1)


def noise_features(level: Tensor) -> Tensor:
    """Sines and cosines of ln σ / 4 at geometric frequencies: [B, …] to [B, …, NOISE_FEATURES]."""
    octaves = torch.arange(NOISE_FEATURES // 2, device=level.device) / (NOISE_FEATURES // 2)
    angle = level[..., None] * (2 * math.pi * 2 ** (5 * octaves - 2))
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


class Network(nn.Module):
    """The network inside EDM's preconditioning: scaled x [B, C, H, W], ln σ / 4 [B] and token ids
    [B, L] to [B, C, H, W]. Token ids that are all 0 mean no caption, for guidance."""

    caption_words: int  # longest caption, in words
    noise: nn.Module  # `noise_features` [B, NOISE_FEATURES] to an embedding [B, W]


class CaptionedTransformer(Network):
    """The trunk: a caption encoder, a noise embedding, and blocks over patches and words.

    A subclass adds the layers from arrays to patches and back. It calls `add_blocks` after its own
    input layers, because the order in which weights are initialised decides the bits of a training.
    """

    EMBEDDING_RATE = 4.0  # learning rate factor: rare words get few gradients

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_words = config.caption_words
        self.caption = CaptionEncoder(config.vocab_size, config.caption_words, config.caption_width)
        self.words_in = nn.Linear(config.caption_width, config.width)

    def add_blocks(self) -> None:
        """Add the noise embedding, the modulation and the blocks."""
        config = self.config
        width = config.width
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.caption_to_noise = nn.Linear(config.caption_width, width)
        self.modulation = zeroed(nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))

    def condition(self, noise_level: Tensor, pooled: Tensor) -> Tensor:
        """Embed the noise level [B] and the pooled caption [B, caption_width]: [B, W]."""
        return F.silu(self.noise(noise_features(noise_level)) + self.caption_to_noise(pooled))

    def transform(self, h: Tensor, words: Tensor, condition: Tensor) -> Tensor:
        """Apply all blocks to patches [B, N, W] and words [B, L, caption_width]: [B, N, W]."""
        modulation, count = self.modulation(condition), h.shape[1]
        h = torch.cat((h, self.words_in(words)), dim=1)
        for block in self.blocks:
            h = block(h, modulation)
        return F.rms_norm(h[:, :count], h.shape[-1:])


def zeroed(layer: nn.Linear) -> nn.Linear:
    """Set a layer's parameters to zero and return it."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# --- Images: a token is a square of pixels ----------------------------------------------------
# A coarse image, the *canvas*, is predicted from the caption alone and concatenated to the input.
# It learns within minutes what to draw; diffusion learns how to draw it.


class DiT(CaptionedTransformer):
    """Noisy images [B, C, H, W], ln σ / 4 [B] and token ids [B, L] to [B, C, H, W]: RGB images of
    32×32, or other channels of another side."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        width, patch = config.width, config.patch
        channels = config.channels + (config.canvas_channels if config.canvas else 0)
        self.patches_in = nn.Linear(channels * patch * patch, width)
        self.place = nn.Parameter(torch.empty((config.side // patch) ** 2, width))
        nn.init.normal_(self.place, std=0.1)
        self.add_blocks()
        self.patches_out = zeroed(nn.Linear(width, config.channels * patch * patch))
        self.canvas_share = 1.0  # of the canvas that is read; 0 draws without it
        if config.canvas:
            size = config.canvas_channels * (config.side // 2) ** 2
            hidden = config.canvas_width or width
            self.canvas = nn.Sequential(
                nn.Linear(config.caption_width, hidden), nn.SiLU(), nn.Linear(hidden, size)
            )

    def draw_canvas(self, token_ids: Tensor) -> Tensor:
        """The coarse image predicted from captions alone, of half the side: [B, 4, 16, 16], about
        -1 to 1."""
        return self._canvas(self.caption(token_ids)[1])

    def _canvas(self, pooled: Tensor) -> Tensor:
        side = self.config.side // 2
        return self.canvas(pooled).view(-1, self.config.canvas_channels, side, side)

    def _reads_canvas(self, token_ids: Tensor) -> Tensor:
        """The share of its canvas that each example reads, [B, 1, 1, 1]: none without a caption,
        and in training at random all or none."""
        reads = (token_ids > 0).any(1) * self.canvas_share
        if self.training and self.config.canvas_dropout:
            reads *= (torch.rand(len(reads)) >= self.config.canvas_dropout).to(reads.device)
        return reads.view(-1, 1, 1, 1)

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        patch = self.config.patch
        words, pooled = self.caption(token_ids)
        if self.config.canvas:
            canvas = self._canvas(pooled) * self._reads_canvas(token_ids)
            x = torch.cat((x, F.interpolate(canvas, scale_factor=2.0).to(x.dtype)), dim=1)
        patches = F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)  # [B, N, C·patch²]
        h = self.patches_in(patches) + self.place
        h = self.transform(h, words, self.condition(noise_level, pooled))
        out = self.patches_out(h).transpose(1, 2)
        side = self.config.side // patch
        return F.pixel_shuffle(out.reshape(len(x), -1, side, side), patch)


NETWORK, CONFIG = DiT, DiTConfig
"""The network of `network=dit` in a recipe of images."""
