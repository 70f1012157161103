"""The Transformer that writes four-voice music: it reads whose a token is, and what comes next.

The grid of a piece has a voice and a beat at every position (see `genui.notes`). Told both,
the network need not count: each position is the sum of what the token is, whose it is, and
the place of the slot that is asked for next.
"""

from torch import Tensor, nn

from genui import notes
from genui.engine.models.transformer import Transformer, TransformerConfig
from genui.recipes import MusicRecipe


class ChoraleTransformer(Transformer):
    """Numbers of `notes.seen` [B, T] in, logits of tokens [B, T, notes.SIZE] out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(notes.INPUTS, config.width)
        self.voice_embedding = nn.Embedding(len(notes.VOICES) + 1, config.width)
        self.place_embedding = nn.Embedding(notes.PLACES, config.width)
        for embedding in (self.embedding, self.voice_embedding, self.place_embedding):
            nn.init.normal_(embedding.weight, std=0.7)

    def embed(self, token_ids: Tensor) -> Tensor:
        voices, token = token_ids // notes.INPUTS, token_ids % notes.INPUTS
        places = voices // (len(notes.VOICES) + 1)
        return (
            self.embedding(token)
            + self.voice_embedding(voices % (len(notes.VOICES) + 1))
            + self.place_embedding(places)
        )


def chorale_config(recipe: MusicRecipe) -> TransformerConfig:
    """The network a recipe asks for."""
    return TransformerConfig(
        vocab_size=notes.SIZE,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
        context=recipe.context,
        dropout=recipe.dropout,
    )
