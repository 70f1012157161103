"""Transformers that write: text, code."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.errors import MisuseError
from genui.recipes.base import Fraction, Positive, Recipe


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe(Recipe):
    """A decoder-only Transformer on tokens (Vaswani et al. 2017; Radford et al. 2019)."""

    family: str = "transformer"
    medium: str = "text"
    tokenizer: Literal["chars", "bytes", "bpe"] = "chars"
    vocab_size: Annotated[int, Meta(ge=256, le=65536)] = 2048  # for bpe
    layers: Annotated[int, Meta(ge=1, le=96)] = 6
    width: Annotated[int, Meta(ge=8, le=8192)] = 256
    heads: Annotated[int, Meta(ge=1, le=128)] = 4
    context: Annotated[int, Meta(ge=8, le=8192)] = 256  # tokens
    dropout: Fraction = 0.1
    sample_prompt: str = "\n"
    sample_tokens: Positive = 300

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        "tokenizer",
        "vocab_size",
        "layers",
        "width",
        "heads",
    )

    def check(self) -> None:
        whole_heads(self.width, self.heads)
        if (self.width // self.heads) % 2:
            raise MisuseError(
                f"width/heads={self.width // self.heads} is odd: rotary positions need it even"
            )

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.sample_prompt,)


def whole_heads(width: int, heads: int) -> None:
    """Raises MisuseError where the heads of attention do not share the width."""
    if width % heads:
        raise MisuseError(f"width={width} is not a multiple of heads={heads}: change one of them")


RECIPES: tuple[Recipe, ...] = (
    TransformerRecipe(
        name="shakespeare",
        dataset="shakespeare",
        summary="plays, a character at a time",
        steps=2400,
        eval_every=150,
        eval_batches=6,
        sample_prompt="ROMEO:\n",
    ),
    TransformerRecipe(
        name="python",
        medium="code",
        dataset="python",
        summary="Python source, BPE tokens",
        tokenizer="bpe",
        steps=1500,
        eval_every=200,
        eval_batches=6,
        dropout=0.0,
        sample_prompt="\n\ndef",
        sample_tokens=160,
    ),
    TransformerRecipe(
        name="prose",
        dataset="prose",
        summary="Python's own manual, BPE tokens",
        tokenizer="bpe",
        vocab_size=1024,
        steps=1200,
        layers=4,
        dropout=0.2,
        sample_prompt="The ",
        sample_tokens=120,
    ),
)
