"""The recipes of discrete diffusion on text."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import Recipe, Share
from genui.recipes.transformer import (
    Heads,
    NgramDropout,
    NgramRate,
    NgramRows,
    Ngrams,
    NgramWidth,
    TextRecipe,
    check_rotary_heads,
)

Noise = Literal["mask", "uniform"]


@dataclass(frozen=True, kw_only=True)
class TextDiffusionRecipe(TextRecipe):
    """A Transformer that restores tokens of a text, with both sides of each in sight."""

    family: str = "discrete-diffusion"
    noise: Annotated[
        Noise, about("what noise replaces a token by: a mask, or any token of the vocabulary")
    ] = "mask"
    block_rate: Annotated[
        Share,
        about(
            "share of training windows that end in a block of random length, with the text before "
            "it learned token by token; the others are one block"
        ),
    ] = 0.5
    heads: Heads = 4
    ngrams: Ngrams = 4
    ngram_rows: NgramRows = 16384
    ngram_width: NgramWidth = 64
    ngram_dropout: NgramDropout = 0.2
    ngram_rate: NgramRate = 0.01

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *TextRecipe.ARCHITECTURE,
        "heads",
        "ngrams",
        "ngram_rows",
        "ngram_width",
        "noise",
    )
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss", "val_bpc", "val_loss_block_1")

    def check(self) -> None:
        check_rotary_heads(self.width, self.heads)
        super().check()
        if self.fim_rate or self.canaries:
            name = "fim_rate" if self.fim_rate else "canaries"
            raise MisuseError(f"{name}: a model that sees both sides has none; leave it out")


_MASKED = TextDiffusionRecipe(
    name="masked-shakespeare",
    dataset="shakespeare",
    summary="plays, in any order",
    steps=2200,
    layers=6,
    width=192,
    context_start=64,
    context_full=0.6,
    dropout=0.0,
    muon_rate=0.02,
    muon_every=2,
    beta1=0.8,
    weight_decay=0.0,
    warmup=20,
    decay_from=0.4,
    ema=0.998,
    block_rate=0.3,
    checkpoint_every=100,
    eval_batches=6,
    sample_prompt="ROMEO:\n",
    sample_tokens=240,
)
TEXT_DIFFUSION_RECIPES: tuple[Recipe, ...] = (
    _MASKED,
    replace(
        _MASKED,
        name="uniform-shakespeare",
        summary="plays, from random characters",
        noise="uniform",
    ),
    replace(
        _MASKED,
        name="masked-python",
        medium="code",
        dataset="python",
        summary="Python source, BPE tokens, in any order",
        tokenizer="bpe",
        sample_prompt="\n\ndef",
        sample_tokens=120,
    ),
)
