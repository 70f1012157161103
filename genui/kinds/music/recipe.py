"""The recipe of four-voice music."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.base.schema import about
from genui.kinds.music.chorale import parse_opening
from genui.recipes.base import Recipe
from genui.recipes.transformer import (
    Dropout,
    Heads,
    Layers,
    SampleTokens,
    Width,
    check_rotary_heads,
)


@dataclass(frozen=True, kw_only=True)
class MusicRecipe(Recipe):
    """A decoder-only Transformer on notes: one token per voice and sixteenth (see
    `genui.kinds.music.chorale`)."""

    family: str = "transformer"
    medium: str = "music"
    layers: Layers = 4
    width: Width = 192
    heads: Heads = 3
    context: Annotated[
        int, Meta(ge=64, le=8192), about("longest sequence, in tokens, 4 per sixteenth")
    ] = 384
    dropout: Dropout = 0.1
    sample_prompt: Annotated[str, about("key and metre of a sample during training")] = (
        "G major, 4/4, upbeat"
    )
    sample_tokens: SampleTokens = 400

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("layers", "width", "heads")
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss", "val_note")

    def check(self) -> None:
        check_rotary_heads(self.width, self.heads)
        parse_opening(self.sample_prompt)

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.sample_prompt, "G minor, 3/4, upbeat", "D major, 4/4")


MUSIC_RECIPES: tuple[Recipe, ...] = (
    MusicRecipe(
        name="chorales",
        dataset="chorales",
        summary="four-voice chorales after Bach, sixteenth by sixteenth",
        steps=1500,
        batch=10,
        eval_every=150,
        sample_every=150,
        checkpoint_every=150,
        eval_batches=12,  # held-out chorales
    ),
)
