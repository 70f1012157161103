"""What every recipe has: the data, the budget, the optimiser, what is written on the way."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

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
    dataset: str
    summary: str = ""

    # budget
    steps: Positive = 2000
    batch: Positive = 16  # sequences or pictures a step
    seed: Count = 1

    # optimiser: Muon on matrices inside blocks (0 turns it off), AdamW on the rest
    learning_rate: Rate = 3e-3
    muon_rate: Strength = 0.02
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    weight_decay: Strength = 0.1
    warmup: Count = 50
    decay_from: Share = 0.4  # share of the budget after which the rate falls linearly to zero
    grad_clip: Annotated[float, Meta(gt=0)] = 1.0
    ema: Fraction = 0.998  # 0 turns it off

    # what is written while it trains
    eval_every: Positive = 100
    sample_every: Positive = 100
    checkpoint_every: Positive = 500
    eval_batches: Positive = 16

    # the machine; "auto" measures and chooses, run.json records what was chosen
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Count = 0  # 0: all cores but one, or all: runs.launch.TRAIN_ON_ALL_CORES

    # the user's own data, from --data
    data: str = ""

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
        """What a model of this recipe is best asked first."""
        return ()
