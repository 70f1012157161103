"""A captioned diffusion Transformer for 32×32 pictures, whole in one file.

Patches and caption words share one sequence (Esser et al. 2024), modulated by the noise
level and the pooled caption through one adaLN for all blocks (Peebles & Xie 2023; Chen et
al. 2024). The caption also draws a coarse picture, the *canvas*, which joins the input:
what to draw is learned in minutes there, how to draw it by diffusion.
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.data.speech import MEL_FRAMES, MELS
from genui.recipes import DiffusionRecipe
from genui.recipes.diffusion import VoiceRecipe

DIT_SIDE = 32  # pixels
CANVAS_SIDE = 16
CANVAS_CHANNELS = 4
NOISE_FEATURES = 64


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of the network. `words` counts the vocabulary, `caption_words` the longest caption."""

    words: int
    caption_words: int
    caption_width: int
    patch: int
    layers: int
    width: int
    heads: int
    canvas: bool = True


def dit_config(recipe: DiffusionRecipe, words: int) -> DiTConfig:
    """The network a recipe asks for, for a vocabulary of that many rows."""
    return DiTConfig(
        words=words,
        caption_words=recipe.caption_words,
        caption_width=recipe.caption_width,
        patch=recipe.patch,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
        canvas=recipe.canvas_batch > 0,
    )


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Full attention over short sequences: [B, T, 3C] to [B, T, C].

    Two batched products: below 128 tokens the fused CPU kernel's backward is slower.
    """
    B, T, C3 = qkv.shape
    q, k, v = qkv.view(B, T, 3, heads, C3 // 3 // heads).permute(2, 0, 3, 1, 4)
    q, k = F.rms_norm(q, q.shape[-1:]), F.rms_norm(k, k.shape[-1:])
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).reshape(B, T, C3 // 3)


class Block(nn.Module):
    """Attention and feed-forward, each modulated by shift, scale and gate [B, 1, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.offsets = nn.Parameter(torch.zeros(6 * width))  # this block's share of adaLN
        for matrix in (self.qkv, self.up):
            nn.init.normal_(matrix.weight, std=0.6 * width**-0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        parts = (modulation + self.offsets).unsqueeze(1).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts
        h = F.rms_norm(x, x.shape[-1:]) * (1 + scale_a) + shift_a
        x = x + (1 + gate_a) * self.out(attend(self.qkv(h), self.heads))
        h = F.rms_norm(x, x.shape[-1:]) * (1 + scale_f) + shift_f
        return x + (1 + gate_f) * self.down(F.relu(self.up(h)).square())


class CaptionEncoder(nn.Module):
    """Word numbers [B, L] to word vectors [B, L, W] and their pooled mean [B, W]."""

    def __init__(self, words: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.normal_(self.position, std=0.1)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(words) + self.position[: words.shape[1]]
        x = x + self.out(attend(self.qkv(F.rms_norm(x, x.shape[-1:])), heads=4))
        x = x + self.down(F.silu(self.up(F.rms_norm(x, x.shape[-1:]))))
        x = F.rms_norm(x, x.shape[-1:])
        there = (words > 0).unsqueeze(-1).to(x.dtype)
        return x, (x * there).sum(1) / there.sum(1).clamp(min=1)


class Network(nn.Module):
    """What a Denoiser wraps: x [B, C, H, W], ln σ / 4 [B] and words [B, L] to [B, C, H, W].

    Words that are all 0 mean "no caption" (for classifier-free guidance).
    """

    caption_words: int  # the longest caption that it reads, in words


class DiT(Network):
    """Noisy pictures [B, 3, 32, 32], ln σ / 4 [B] and word numbers [B, L] to [B, 3, 32, 32]."""

    EMBEDDING_RATE = 4.0  # rare words see few gradients: their vectors learn faster

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_words = config.caption_words
        width, patch = config.width, config.patch
        channels = 3 + (CANVAS_CHANNELS if config.canvas else 0)
        self.caption = CaptionEncoder(config.words, config.caption_words, config.caption_width)
        self.words_in = nn.Linear(config.caption_width, width)
        self.patches_in = nn.Linear(channels * patch * patch, width)
        self.place = nn.Parameter(torch.randn((DIT_SIDE // patch) ** 2, width) * 0.1)
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.caption_to_noise = nn.Linear(config.caption_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.patches_out = nn.Linear(width, 3 * patch * patch)
        nn.init.zeros_(self.patches_out.weight)
        nn.init.zeros_(self.patches_out.bias)
        if config.canvas:
            size = CANVAS_CHANNELS * CANVAS_SIDE * CANVAS_SIDE
            self.canvas = nn.Sequential(
                nn.Linear(config.caption_width, width), nn.SiLU(), nn.Linear(width, size)
            )

    def draw_canvas(self, words: Tensor) -> Tensor:
        """The coarse picture a caption alone draws: [B, 4, 16, 16], about -1 to 1."""
        _, pooled = self.caption(words)
        return self._canvas(pooled)

    def _canvas(self, pooled: Tensor) -> Tensor:
        return self.canvas(pooled).view(-1, CANVAS_CHANNELS, CANVAS_SIDE, CANVAS_SIDE)

    def forward(self, x: Tensor, noise_level: Tensor, words: Tensor) -> Tensor:
        patch = self.config.patch
        tokens, pooled = self.caption(words)
        if self.config.canvas:
            captioned = (words > 0).any(1).view(-1, 1, 1, 1)
            canvas = self._canvas(pooled) * captioned
            # It is half as fine as the picture, so it is doubled to join it.
            x = torch.cat((x, F.interpolate(canvas, scale_factor=2.0).to(x.dtype)), dim=1)
        patches = F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)
        h = self.patches_in(patches) + self.place
        count = h.shape[1]
        condition = self.noise(noise_features(noise_level)) + self.caption_to_noise(pooled)
        modulation = self.modulation(F.silu(condition))
        h = torch.cat((h, self.words_in(tokens)), dim=1)
        for block in self.blocks:
            h = block(h, modulation)
        h = F.rms_norm(h[:, :count], h.shape[-1:])
        out = self.patches_out(h).transpose(1, 2)
        side = DIT_SIDE // patch
        return F.pixel_shuffle(out.reshape(-1, 3 * patch * patch, side, side), patch)


def noise_features(level: Tensor) -> Tensor:
    """Sines and cosines of ln σ / 4 at octaves: [B] to [B, NOISE_FEATURES]."""
    octaves = torch.arange(NOISE_FEATURES // 2, device=level.device) / (NOISE_FEATURES // 2)
    angle = level[:, None] * (2 * math.pi * 2 ** (5 * octaves - 2))
    return torch.cat((angle.sin(), angle.cos()), dim=1)


N = TypeVar("N", bound=Network)


class Denoiser(nn.Module, Generic[N]):
    """EDM preconditioning (Karras et al. 2022, eq. 7 and table 1) around a network."""

    unguided_below = 0.0  # σ under which nothing is left for guidance to decide

    def __init__(self, network: N, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, x: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        """The expected clean array of x = clean + σ·noise; x [B, C, H, W], σ [B]."""
        c_skip, c_out, c_in = self._coefficients(sigma)
        return c_skip * x + c_out * self.network(c_in * x, sigma.log() / 4, words).float()

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        """EDM's weighted denoising error (eq. 8), one value an array [B]."""
        c_skip, c_out, c_in = self._coefficients(sigma)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        target = (clean - c_skip * noisy) / c_out
        found = self.network(c_in * noisy, sigma.log() / 4, words).float()
        return (found - target).square().mean(dim=(1, 2, 3))

    def _coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s, d = sigma.view(-1, 1, 1, 1), self.sigma_data
        total = (s**2 + d**2).sqrt()
        return d**2 / total**2, s * d / total, 1 / total


# --- A captioned diffusion Transformer for spectrograms: every token is a moment, all mels of it
# The blocks, the captions and the noise level are the picture network's; only what a token is
# differs. Neighbouring mels are not alike as neighbouring pixels are, moments are (Le et al. 2023
# take spectrogram frames as tokens too), and 40 tokens cost less than a picture's 64.


@dataclass(frozen=True)
class MelDiTConfig:
    """Sizes of the network. `words` counts the vocabulary, `caption_words` the longest caption."""

    words: int
    caption_words: int
    caption_width: int
    patch: int  # frames a token
    layers: int
    width: int
    heads: int


def mel_dit_config(recipe: VoiceRecipe, words: int) -> MelDiTConfig:
    """The network a recipe asks for, for a vocabulary of that many rows."""
    return MelDiTConfig(
        words=words,
        caption_words=recipe.caption_words,
        caption_width=recipe.caption_width,
        patch=recipe.patch,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
    )


class MelDiT(Network):
    """Noisy spectrograms [B, 1, 64, 80], ln σ / 4 [B] and word numbers [B, L] to [B, 1, 64, 80]."""

    EMBEDDING_RATE = 4.0  # rare words see few gradients: their vectors learn faster

    def __init__(self, config: MelDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_words = config.caption_words
        width, moment = config.width, MELS * config.patch
        self.caption = CaptionEncoder(config.words, config.caption_words, config.caption_width)
        self.words_in = nn.Linear(config.caption_width, width)
        self.moments_in = nn.Linear(moment, width)
        self.place = nn.Parameter(torch.randn(MEL_FRAMES // config.patch, width) * 0.1)
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.caption_to_noise = nn.Linear(config.caption_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.moments_out = nn.Linear(width, moment)
        nn.init.zeros_(self.moments_out.weight)
        nn.init.zeros_(self.moments_out.bias)

    def forward(self, x: Tensor, noise_level: Tensor, words: Tensor) -> Tensor:
        B, C, H, W = x.shape
        patch = self.config.patch
        tokens, pooled = self.caption(words)
        moments = x.view(B, H, W // patch, patch).permute(0, 2, 1, 3).flatten(2)
        h = self.moments_in(moments) + self.place
        condition = self.noise(noise_features(noise_level)) + self.caption_to_noise(pooled)
        modulation = self.modulation(F.silu(condition))
        h = torch.cat((h, self.words_in(tokens)), dim=1)
        for block in self.blocks:
            h = block(h, modulation)
        h = F.rms_norm(h[:, : W // patch], h.shape[-1:])
        out = self.moments_out(h).view(B, W // patch, H, patch)
        return out.permute(0, 2, 1, 3).reshape(B, C, H, W)
