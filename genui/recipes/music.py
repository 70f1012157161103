"""Transformers that write four-voice music."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from genui.notes import parse_opening
from genui.recipes.base import Fraction, Positive, Recipe
from genui.recipes.transformer import even_heads


@dataclass(frozen=True, kw_only=True)
class MusicRecipe(Recipe):
    """A decoder-only Transformer on notes: a token a voice a sixteenth (see genui/notes.py)."""

    family: str = "transformer"
    medium: str = "music"
    layers: Annotated[int, Meta(ge=1, le=96)] = 4
    width: Annotated[int, Meta(ge=8, le=8192)] = 192
    heads: Annotated[int, Meta(ge=1, le=128)] = 3
    context: Annotated[int, Meta(ge=64, le=8192)] = 384  # tokens: 4 a sixteenth
    dropout: Fraction = 0.1
    sample_prompt: str = "G major, 4/4, upbeat"
    sample_tokens: Positive = 400

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("layers", "width", "heads")

    def check(self) -> None:
        even_heads(self.width, self.heads)
        parse_opening(self.sample_prompt)

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.sample_prompt, "G minor, 3/4, upbeat", "D major, 4/4")


RECIPES: tuple[Recipe, ...] = (
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
