"""A captioned diffusion Transformer for spectrograms: every token is a moment, all mels of it.

The blocks, the captions and the noise level are the picture network's; only what a token is
differs. Neighbouring mels are not alike as neighbouring pixels are, moments are (Le et al. 2023
take spectrogram frames as tokens too), and 40 tokens cost less than a picture's 64.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.dit import (
    NOISE_FEATURES,
    Block,
    CaptionEncoder,
    Network,
    noise_features,
)
from genui.engine.sound.mel import FRAMES, MELS
from genui.recipes.voice import VoiceRecipe


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
        self.place = nn.Parameter(torch.randn(FRAMES // config.patch, width) * 0.1)
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
