"""Recipes of language models, Transformers and recurrent networks, of text and code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.numbers import parameters
from genui.base.schema import about
from genui.recipes.base import Count, Fraction, Pace, Positive, Rate, Recipe, Share, Size, Skip

# Settings of all networks of tokens.
Layers = Annotated[int, Meta(ge=1, le=96), about("blocks of the network")]
Width = Annotated[int, Meta(ge=8, le=8192), about("features of a token")]
Heads = Annotated[int, Meta(ge=1, le=128), about("attention heads, which share the width")]
Dropout = Annotated[Fraction, about("dropout rate of the features")]
SampleTokens = Annotated[Positive, about("tokens of a sample during training")]

# Settings of embeddings of n-grams.
Ngrams = Annotated[
    int,
    Meta(ge=1, le=8),
    about("longest n-grams whose embeddings are added to the token's; 1: none"),
]
NgramRows = Annotated[
    int,
    Meta(ge=256, le=1 << 24),
    about("rows of the table for each n-gram length; n-grams are hashed into them"),
]
NgramWidth = Annotated[
    Count, about("columns of the n-gram tables, at most the width; 0: the width")
]
NgramDropout = Annotated[Fraction, about("share of training positions without n-gram embeddings")]
NgramRate = Annotated[Rate, about("learning rate of the n-gram embeddings")]


class Stage(NamedTuple):
    """A part of a training: its first step, and the size of its batches in windows and tokens."""

    first: int
    context: int
    batch: int


@dataclass(frozen=True, kw_only=True)
class TextRecipe(Recipe):
    """A model of the next token of a text, with any network."""

    medium: str = "text"
    tokenizer: Annotated[
        Literal["chars", "bytes", "bpe"],
        about("a token is a character, a byte, or a part of a word (BPE)"),
    ] = "chars"
    vocab_size: Annotated[int, Meta(ge=256, le=65536), about("tokens of a BPE tokenizer")] = 2048
    layers: Layers = 6
    width: Width = 256
    context: Annotated[int, Meta(ge=8, le=8192), about("longest sequence, in tokens")] = 256
    context_start: Annotated[
        int,
        Meta(ge=0, le=8192),
        about("initial context, which doubles up to `context`; 0: always `context`"),
    ] = 0
    context_full: Annotated[
        Share, about("with context_start: share of the steps until the full context")
    ] = 0.75
    batch_start: Annotated[
        Count,
        about("with context_start: initial batch; 0: as many tokens as a final batch"),
    ] = 0
    dropout: Dropout = 0.1
    fim_rate: Annotated[
        Share, about("share of the training windows with a gap to fill; needs tokenizer=bpe")
    ] = 0.0
    near_duplicates: Annotated[
        Share,
        about(
            "remove documents (paragraphs of a single text) this similar to an earlier one "
            "(Jaccard index; 0.7 is usual); 0: keep all"
        ),
    ] = 0.0
    canaries: Annotated[
        Count,
        about(
            "seed of random lines planted 1, 4, 16 and 64 times in the training text, to measure "
            "memorisation; 0: none"
        ),
    ] = 0
    skip: Skip = ""
    sample_prompt: Annotated[str, about("prompt of a sample during training")] = "\n"
    sample_tokens: SampleTokens = 300

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("tokenizer", "vocab_size", "layers", "width")
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss", "val_bpc")

    def check(self) -> None:
        if self.fim_rate and self.tokenizer != "bpe":
            raise MisuseError(
                f"fim_rate={self.fim_rate} needs tokenizer=bpe: no other marks the gaps to fill"
            )

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.sample_prompt,)

    @property
    def smallest_batch(self) -> int:
        return min(stage.batch for stage in self.stages)

    @property
    def paces(self) -> tuple[Pace, ...]:
        stages = self.stages
        ends = [*(stage.first for stage in stages[1:]), self.steps]
        return tuple(
            Pace(stage.first, (end - stage.first) / self.steps)
            for stage, end in zip(stages, ends, strict=True)
            if end > stage.first
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of the training, with contexts that double (Li et al. 2022)."""
        contexts = [self.context]
        while self.context_start and contexts[0] > max(8, self.context_start):
            contexts.insert(0, max(8, self.context_start, contexts[0] // 2))
        last = max(1, len(contexts) - 1)
        stages = []
        for i, context in enumerate(contexts):
            batch = self.batch * self.context / context
            if self.batch_start:
                batch = self.batch_start * (self.batch / self.batch_start) ** (i / last)
            first = round(self.steps * self.context_full * i / last)
            stages.append(Stage(first, context, max(1, round(batch))))
        return tuple(stages)


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe(TextRecipe):
    """A decoder-only Transformer on tokens (Vaswani et al. 2017; Radford et al. 2019)."""

    family: str = "transformer"
    heads: Heads = 4
    ngrams: Ngrams = 1
    ngram_rows: NgramRows = 32768
    ngram_width: NgramWidth = 0
    ngram_dropout: NgramDropout = 0.0
    ngram_rate: NgramRate = 0.01

    ARCHITECTURE: ClassVar[tuple[str, ...]] = (
        *TextRecipe.ARCHITECTURE,
        "heads",
        "ngrams",
        "ngram_rows",
        "ngram_width",
    )

    def check(self) -> None:
        check_rotary_heads(self.width, self.heads)
        super().check()

    @property
    def sizes(self) -> tuple[Size, ...]:
        if self.tokenizer == "chars":
            return SIZES
        # Few n-grams of longer tokens come again. Only tried for half a minute.
        return tuple(
            size
            if size.settings["ngrams"] == "1"
            else Size(size.least, {**size.settings, "ngrams": "3", "ngram_rows": "131072"})
            for size in SIZES
        )

    def settings_for(self, epochs: float) -> Mapping[str, str]:
        return {
            "ngram_dropout": f"{min(0.4, max(0.0, 0.12 * (epochs - 0.5))):.1f}",
            "dropout": "0.1" if epochs >= 4 else "0",
        }

    @property
    def more_sizes(self) -> tuple[str, ...]:
        if self.ngrams == 1:
            return ()
        columns = min(self.ngram_width or self.width, self.width)
        most = (self.ngrams - 1) * self.ngram_rows * columns  # a small vocabulary needs fewer
        return (f"up to {parameters(most)} in n-grams",)


_FAST: Mapping[str, float | str] = {
    "context_start": 64,
    "ngram_width": 64,
    "muon_rate": 0.015,
    "muon_every": 2,
    "beta1": 0.8,
    "weight_decay": 0,
    "decay_from": 0.3,
}
_SHORT = _FAST | {
    "width": 128,
    "heads": 4,
    "context": 128,
    "context_full": 0.5,
    "batch": 8,
    "batch_start": 0,
    "ngrams": 5,
    "ngram_rate": 0.02,
    "warmup": 10,
    "ema": 0,
    "eval_batches": 4,
}
_LONGER = {"context": 256, "context_full": 0.75, "ngrams": 4, "warmup": 20}
_LARGE = {
    "context_start": 64,
    "context_full": 0.6,
    "muon_every": 2,
    "layers": 6,
    "width": 256,
    "heads": 4,
    "context": 256,
    "batch": 16,
    "batch_start": 0,
    "ngrams": 1,
    "warmup": 50,
    "ema": 0.998,
    "eval_batches": 6,
}

SIZES = tuple(
    Size(least, {key: str(value) for key, value in settings.items()})
    for least, settings in (
        (0, _SHORT | {"layers": 1}),
        (1200, _SHORT | {"layers": 2}),
        (2200, _SHORT | _LONGER | {"layers": 2, "batch": 4, "context_full": 0.6}),
        (1200, _SHORT | _LONGER | {"layers": 4, "batch": 16, "batch_start": 32}),
        (1300, _LARGE),
    )
)
"""Sizes of models of characters. `python -m tests.bench text --budgets 1,3,10,30` prints what they
reach. In processor time of one thread of an AMD EPYC, on the last tenth of the training text: after
60 s one layer 1.487 nats (2,320 steps), two 1.475 (1,390); after 170 s two layers with a context of
256 1.452 (3,570), four 1.464 (740). On the validation split: after 510 s four layers 1.465 (2,410),
after 1,870 s the largest 1.425 (1,700); six layers of width 192 with n-grams memorise the text and
stood at 1.464 after half an hour. In the largest, n-grams would do so, too."""


@dataclass(frozen=True, kw_only=True)
class RecurrentRecipe(TextRecipe):
    """A minGRU on tokens (Feng et al. 2024), whose state has a fixed size."""

    family: str = "recurrent"


def check_heads(width: int, heads: int) -> None:
    """Raise MisuseError if the width is not a multiple of the attention heads."""
    if width % heads:
        raise MisuseError(f"width={width} is not a multiple of heads={heads}: change one of them")


def check_rotary_heads(width: int, heads: int) -> None:
    """`check_heads`, and that heads have an even width, for rotary positions (Su et al. 2021)."""
    check_heads(width, heads)
    if (width // heads) % 2:
        raise MisuseError(
            f"width={width} with heads={heads}: each head is {width // heads} wide, and rotary "
            f"positions need an even number: take a multiple of {2 * heads} as the width"
        )


TEXT_RECIPES: tuple[Recipe, ...] = (
    # The default of the New run form: no download, and readable after ten seconds on one core. One
    # layer: with n-grams two learn less in the half minute that this takes.
    TransformerRecipe(
        name="shakespeare-quick",
        dataset="shakespeare",
        summary="plays, a small first training",
        steps=1500,
        layers=1,
        width=128,
        context=128,
        batch=8,
        dropout=0.0,
        ngrams=5,
        ngram_width=64,
        ngram_dropout=0.1,
        ngram_rate=0.02,
        muon_rate=0.015,
        muon_every=2,
        beta1=0.8,
        weight_decay=0.0,
        warmup=10,
        decay_from=0.3,
        ema=0.0,
        eval_every=50,
        sample_every=100,
        sample_first=8,
        checkpoint_every=500,
        eval_batches=4,
        sample_prompt="ROMEO:\n",
        sample_tokens=240,
    ),
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
        name="shakespeare-ngram",
        dataset="shakespeare",
        summary="plays, a character at a time, with n-grams",
        steps=2600,
        width=192,
        heads=6,
        context=512,
        context_start=64,
        context_full=0.8,
        batch=8,
        batch_start=32,
        ngrams=4,
        ngram_width=64,
        ngram_dropout=0.4,
        muon_rate=0.015,
        muon_every=2,
        beta1=0.8,
        weight_decay=0.0,
        warmup=20,
        decay_from=0.3,
        eval_every=100,
        eval_batches=6,
        sample_prompt="ROMEO:\n",
    ),
    TransformerRecipe(
        name="python",
        medium="code",
        dataset="python",
        summary="Python source, BPE tokens; fills gaps",
        tokenizer="bpe",
        fim_rate=0.5,
        steps=3000,
        eval_every=200,
        eval_batches=6,
        dropout=0.0,
        sample_prompt="\n\ndef",
        sample_tokens=160,
    ),
    TransformerRecipe(
        name="prose",
        dataset="prose",
        summary="Python's manual and docstrings, BPE tokens",
        tokenizer="bpe",
        steps=1200,
        layers=4,
        sample_prompt="The ",
        sample_tokens=120,
    ),
    RecurrentRecipe(
        name="shakespeare-gru",
        dataset="shakespeare",
        summary="plays, by a recurrent network",
        steps=2400,
        layers=4,
        eval_every=150,
        eval_batches=6,
        sample_prompt="ROMEO:\n",
    ),
)
