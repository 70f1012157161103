"""What every recipe has: the data, the budget, the optimiser, what is written on the way."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.schema import about

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0, le=10)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Strength = Annotated[float, Meta(ge=0, le=10)]  # of what 0 turns off


PATHS = ("data", "against")
"""The settings, where a recipe has them, that are paths of whoever trains."""

WATCHING = ("eval_every", "sample_every", "checkpoint_every")
"""What of a recipe changes nothing of the weights."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every family shares. Sizes are counts; times are steps unless a unit is named."""

    name: str
    family: str
    medium: str
    dataset: Annotated[
        str, about("what it is trained on; `genui recipes` lists the data sets that ship")
    ]
    summary: str = ""

    # budget
    steps: Annotated[Positive, about("training steps")] = 2000
    batch: Annotated[Positive, about("examples a step")] = 16
    seed: Annotated[Count, about("of the first weights and the order of the data")] = 1

    # optimiser: Muon on matrices inside blocks (0 turns it off), AdamW on the rest
    learning_rate: Annotated[Rate, about("AdamW's step, after the warm-up")] = 3e-3
    muon_rate: Annotated[
        Strength, about("the step of Muon, for the matrices inside blocks; 0 turns it off")
    ] = 0.02
    beta1: Annotated[Fraction, about("how slowly AdamW's mean of the gradient changes")] = 0.9
    beta2: Annotated[Fraction, about("how slowly AdamW's mean of its square changes")] = 0.95
    weight_decay: Annotated[
        Strength,
        about("the share of the weights that is taken away a step, times the learning rate"),
    ] = 0.1
    warmup: Annotated[Count, about("steps in which the learning rate rises to its value")] = 50
    decay_from: Annotated[
        Share, about("share of the steps after which the learning rate falls linearly to zero")
    ] = 0.4
    grad_clip: Annotated[
        float, Meta(gt=0), about("the longest gradient; a longer one is shortened to it")
    ] = 1.0
    ema: Annotated[
        Fraction, about("how slowly the average of the weights changes; 0 turns it off")
    ] = 0.998

    # what is written while it trains
    eval_every: Annotated[Positive, about("steps from one evaluation to the next")] = 100
    sample_every: Annotated[Positive, about("steps from one sample to the next")] = 100
    checkpoint_every: Annotated[Positive, about("steps from one checkpoint to the next")] = 500
    eval_batches: Annotated[
        Positive, about("batches of held-out data that an evaluation looks at")
    ] = 16

    # the machine; "auto" measures and chooses, run.json records what was chosen
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        about("auto chooses the fastest; run.json records which"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        about("auto measures which is fastest; run.json records which"),
    ] = "auto"
    threads: Annotated[Count, about("of the processor; 0 lets genui choose")] = 0

    # the user's own data, from --data
    data: Annotated[str, about("your own data, as --data names it")] = ""

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ()
    """The settings that the weights are made for, largest matter first."""

    def check(self) -> None:
        """Raises MisuseError where two fields contradict each other."""

    @property
    def widest(self) -> int:
        """How wide the products are that a step spends its time in; precision goes by it."""
        return int(getattr(self, "width", 0))

    @property
    def prompts(self) -> tuple[str, ...]:
        """Prompts to try first."""
        return tuple(getattr(self, "sample_captions", ()))
