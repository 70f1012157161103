"""The captioned diffusion Transformer of spectrograms: a token is a few frames with all their mels.

Spectrograms are shift-invariant in time but not in frequency (Le et al. 2023 also use frames as
tokens), and 40 tokens cost less than the 64 of an image.
"""

import torch
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import CaptionedTransformer, DiTConfig, zeroed
from genui.kinds.speech.data import MEL_FRAMES, MELS
from genui.kinds.speech.recipe import VoiceRecipe


class MelDiT(CaptionedTransformer):
    """Noisy spectrograms [B, 1, 64, 80], ln σ / 4 [B] and token ids [B, L] to [B, 1, 64, 80]."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__(config)
        width, values = config.width, MELS * config.patch
        self.moments_in = nn.Linear(values, width)
        self.place = nn.Parameter(torch.empty(MEL_FRAMES // config.patch, width))
        nn.init.normal_(self.place, std=0.1)
        self.add_blocks()
        self.moments_out = zeroed(nn.Linear(width, values))

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        B, C, H, W = x.shape
        patch = self.config.patch
        words, pooled = self.caption(token_ids)
        frames = x.view(B, H, W // patch, patch).permute(0, 2, 1, 3).flatten(2)  # [B, N, H·patch]
        h = self.moments_in(frames) + self.place
        h = self.transform(h, words, self.condition(noise_level, pooled))
        out = self.moments_out(h).view(B, W // patch, H, patch)
        return out.permute(0, 2, 1, 3).reshape(B, C, H, W)


def build_voice_denoiser(recipe: VoiceRecipe, vocab_size: int) -> EDMDenoiser[MelDiT]:
    """Build the denoiser of spectrograms with new weights."""
    config = config_from(recipe, DiTConfig, vocab_size=vocab_size)
    return EDMDenoiser(MelDiT(config), recipe.sigma_data)
