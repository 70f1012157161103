"""The Transformer of four-voice music.

Every position of a piece's grid has a voice and a beat (see `genui.kinds.music.chorale`). They are
embedded, so that the network need not count: the input is the sum of the embeddings of the token,
of its voice, and of the beat position of the next slot.
"""

from typing import Any

from torch import nn

from genui.engine.models.config import config_from
from genui.engine.models.fast_decoding import TransformerDecoder
from genui.engine.models.transformer import Transformer, TransformerConfig
from genui.kinds.music import chorale
from genui.kinds.music.recipe import MusicRecipe


class ChoraleTransformer(Transformer):
    """Input ids of `chorale.input_id` [B, T] to logits of tokens [B, T, chorale.SIZE]."""

    decoder = TransformerDecoder

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(chorale.INPUTS, config.width)
        self.voice_embedding = nn.Embedding(len(chorale.VOICES) + 1, config.width)
        self.place_embedding = nn.Embedding(chorale.PLACES, config.width)
        for embedding in (self.embedding, self.voice_embedding, self.place_embedding):
            nn.init.normal_(embedding.weight, std=0.7)

    def lookups(self, token_ids: Any) -> list[tuple[nn.Embedding, Any]]:
        rest, token = token_ids // chorale.INPUTS, token_ids % chorale.INPUTS
        places, voice = rest // (len(chorale.VOICES) + 1), rest % (len(chorale.VOICES) + 1)
        return [
            (self.embedding, token),
            (self.voice_embedding, voice),
            (self.place_embedding, places),
        ]


def chorale_config(recipe: MusicRecipe) -> TransformerConfig:
    """The sizes that a recipe of music asks for."""
    return config_from(recipe, TransformerConfig, vocab_size=chorale.SIZE)
