"""The Transformer of discrete diffusion: it restores the noisy tokens of a block.

The position of each token predicts the token after it, as in a language model. What it sees differs
by position: before a block only what precedes it, within the block all (as in a prefix language
model, Raffel et al. 2020, turned around). So one network serves all block lengths: with blocks of
one token it is the autoregressive model, with one block a denoiser of the whole text (Arriola et
al. 2025).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genui.engine.models.config import config_from
from genui.engine.models.transformer import NgramEmbedding, Transformer, TransformerConfig
from genui.recipes.transformer import TextRecipe


class TextDenoiser(Transformer):
    """Token ids [B, T] to the logits [B, T, V] of the token after each; V is the mask's id.

    `first` int64 [B] is the position from which on all tokens are seen. The n-grams before a token
    have embeddings, and within a block also those after it.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.next_ngram_embedding = NgramEmbedding(config) if config.ngrams > 1 else None

    def hidden_states(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, ...]:
        """The residual stream of a causal network: no position sees what follows it."""
        return self.denoise_states(token_ids, torch.full((len(token_ids),), token_ids.shape[1]))

    def denoise_states(self, token_ids: Tensor, first: Tensor) -> tuple[Tensor, ...]:
        """The residual stream [B, T, C] at the input and after each block."""
        T = token_ids.shape[1]
        places = torch.arange(T, device=token_ids.device)
        sees_all = places >= first.to(token_ids.device)[:, None]
        visible = sees_all[:, None, :, None] | (places[:, None] >= places)
        x = self.embed(token_ids)
        if self.ngram_embedding is not None:
            x = self.ngram_embedding.add_to(x, token_ids)
        if self.next_ngram_embedding is not None:
            x = x + sees_all[..., None] * self._embed_next(token_ids, x)
        x = F.rms_norm(x, (self.config.width,))
        states = [F.dropout(x, self.config.dropout / 2, self.training)]
        for block in self.blocks:
            states.append(block(states[-1], self.cos[:T], self.sin[:T], visible=visible))
        return tuple(states)

    def _embed_next(self, token_ids: Tensor, like: Tensor) -> Tensor:
        """For each position the embeddings of the n-grams that begin after the token that it
        predicts, [B, T, C]."""
        assert self.next_ngram_embedding is not None
        backwards = self.next_ngram_embedding.add_to(torch.zeros_like(like), token_ids.flip(1))
        return F.pad(backwards.flip(1)[:, 2:], (0, 0, 0, 2))

    def denoise(self, token_ids: Tensor, first: Tensor) -> Tensor:
        """The logits fp32 [B, T, V] of the token after each position."""
        return self.read_out(self.denoise_states(token_ids, first)[-1])

    def read_out(self, x: Tensor) -> Tensor:
        """As in `LayeredModel`, without the mask, which no position predicts."""
        return super().read_out(x)[..., :-1]


def build_text_denoiser(recipe: TextRecipe, vocab_size: int) -> TextDenoiser:
    """Build the network of a recipe with new weights, for one token more than its context: the one
    before the first."""
    config = config_from(
        recipe, TransformerConfig, vocab_size=vocab_size + 1, context=recipe.context + 1
    )
    return TextDenoiser(config)
