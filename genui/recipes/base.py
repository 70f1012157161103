"""The base of all recipes: data, budget, optimiser and logging."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import Meta

from genui.base.schema import about

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0, le=10)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Strength = Annotated[float, Meta(ge=0, le=10)]  # 0 turns it off

MuonEvery = Annotated[
    int,
    Meta(ge=1, le=64),
    about("steps per Muon update; each update is that many times larger"),
]

Skip = Annotated[
    str,
    Meta(pattern=r"\A(\d{1,15}(-\d{1,15})?(,\d{1,15}(-\d{1,15})?)*)?\Z"),
    about(
        "examples to skip in the training data, as `genui why RUN --step N` names them: 17,204 or "
        "512-768; others are drawn instead"
    ),
]

# Augmentation of training images.
Shift = Annotated[float, Meta(ge=0, le=16), about("largest random shift, in pixels")]
Zoom = Annotated[Fraction, about("largest random change of size, as a share")]
Flip = Annotated[bool, about("mirror half the training images")]

PATH_FIELDS = ("data", "against")
"""Settings that are paths on the user's machine; not every recipe has them."""

SEVERAL_NETWORKS = "networks trained against each other cannot be sharded: leave it out"
"""Why `--shard` cannot share out their weights."""

LOGGING_FIELDS = (
    *("eval_every", "sample_every", "sample_first", "checkpoint_every", "states_gb", "norms"),
)
"""Settings that do not influence the weights."""


class Size(NamedTuple):
    """Settings for a training of some length."""

    least: int  # steps: with fewer a smaller size learns more in the same time
    settings: Mapping[str, str]


class Pace(NamedTuple):
    """Steps that take equally long."""

    first: int
    share: float  # of all steps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of every family. Sizes are counts; times are in steps unless a unit is named."""

    name: str
    family: str
    medium: str
    dataset: Annotated[
        str, about("the training data; `genui recipes` lists the datasets that ship with genui")
    ]
    summary: str = ""

    # budget
    steps: Annotated[Positive, about("training steps")] = 2000
    until: Annotated[
        str,
        about("stop at the first evaluation where this holds, e.g. val_loss<1.5; else at `steps`"),
    ] = ""
    minutes: Annotated[
        float,
        Meta(ge=0, le=525_600),
        about("training time; the number of steps adapts to it; 0: train for `steps`"),
    ] = 0.0
    batch: Annotated[Positive, about("examples per step")] = 16
    micro_batches: Annotated[
        Positive,
        about(
            "gradient accumulation: parts of each process's batch, computed in turn; more take "
            "less memory"
        ),
    ] = 1
    seed: Annotated[Count, about("seed of the initial weights and the order of the data")] = 1

    # optimiser: Muon for matrices inside blocks, AdamW for the rest
    learning_rate: Annotated[Rate, about("learning rate of AdamW, after the warm-up")] = 3e-3
    muon_rate: Annotated[
        Strength, about("learning rate of Muon, for the matrices inside blocks; 0 turns it off")
    ] = 0.02
    muon_every: MuonEvery = 1
    beta1: Annotated[Fraction, about("decay of AdamW's first moment")] = 0.9
    beta2: Annotated[Fraction, about("decay of AdamW's second moment")] = 0.95
    weight_decay: Annotated[
        Strength, about("weight decay: a step removes this × the learning rate")
    ] = 0.1
    warmup: Annotated[Count, about("steps of linear learning-rate warm-up")] = 50
    decay_from: Annotated[
        Share, about("share of the steps after which the learning rate falls linearly to zero")
    ] = 0.4
    grad_clip: Annotated[float, Meta(gt=0), about("maximum norm of the gradient")] = 1.0
    ema: Annotated[Fraction, about("decay of the moving average of weights; 0 is off")] = 0.998

    # what is written during training
    eval_every: Annotated[Positive, about("steps between evaluations")] = 100
    sample_every: Annotated[Positive, about("steps between samples")] = 100
    sample_first: Annotated[
        Count,
        about(
            "step of the first sample, then at twice the step each time up to `sample_every`; 0: "
            "no early samples"
        ),
    ] = 0
    checkpoint_every: Annotated[Positive, about("steps between checkpoints")] = 500
    states_gb: Annotated[
        float,
        Meta(ge=0),
        about(
            "most gigabytes of checkpoints kept with optimiser state, for `genui why RUN --step "
            "N`; the newest two always are"
        ),
    ] = 1.0
    norms: Annotated[
        str,
        Meta(pattern=r"\A(off|auto|[1-9][0-9]{0,5})\Z"),
        about(
            "steps between measurements of norms by layer; auto: often enough to take 2 % of the "
            "time; off: never"
        ),
    ] = "off"
    eval_batches: Annotated[Positive, about("batches of held-out data in an evaluation")] = 16

    # hardware
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        about("auto chooses the fastest; run.json records which"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        about("auto measures which is fastest; run.json records which"),
    ] = "auto"
    threads: Annotated[Count, about("CPU threads; 0 lets genui choose")] = 0
    checkpoint_activations: Annotated[
        bool, about("recompute each block's activations in the backward pass: less memory")
    ] = False

    data: Annotated[str, about("path of your own data, as with --data")] = ""

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ()
    """The settings that the shapes of the weights depend on, the most important first."""

    EVALUATED: ClassVar[tuple[str, ...]] = ()
    """The metrics that an evaluation gives; empty if they are not known before."""

    METADATA: ClassVar[Mapping[str, Any]] = {}
    """The fields that only its checkpoints have in their metadata, and the types of these."""

    READS_DIGITS: ClassVar[bool] = False
    """Whether a number in a caption is read digit by digit."""

    def check(self) -> None:
        """Raise MisuseError if fields contradict each other."""

    @property
    def first_samples(self) -> tuple[int, ...]:
        """The steps of samples before `sample_every`: 4, 8, 16 …"""
        steps: list[int] = []
        step = self.sample_first
        while 0 < step < self.sample_every:
            steps.append(step)
            step *= 2
        return tuple(steps)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The choices of `genui train --minutes`, the smallest first; empty if a budget sets the
        number of steps alone."""
        return ()

    def settings_for(self, epochs: float) -> Mapping[str, str]:
        """The settings of a size that depend on how often it reads the data."""
        return {}

    @property
    def paces(self) -> tuple[Pace, ...]:
        """The parts of the training whose steps differ in length."""
        return (Pace(0, 1.0),)

    @property
    def smallest_batch(self) -> int:
        """The examples of a step that has the fewest."""
        return self.batch

    @property
    def why_whole(self) -> str:
        """Why `--shard` cannot share out the weights over processes, and what to do, for a
        sentence; "" if it can."""
        return ""

    @property
    def widest(self) -> int:
        """The width of the largest matrix products, on which the choice of precision depends."""
        return int(getattr(self, "width", 0))

    @property
    def more_sizes(self) -> tuple[str, ...]:
        """A note on its size for lists, if the settings do not show it."""
        return ()

    @property
    def base_model(self) -> str:
        """The model that is trained on, whose chat template it keeps; "" if there is none."""
        return str(getattr(self, "base", ""))

    @property
    def prompts(self) -> tuple[str, ...]:
        """Suggested prompts."""
        return tuple(getattr(self, "sample_captions", ()))
