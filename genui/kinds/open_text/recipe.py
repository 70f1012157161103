"""The recipe of fine-tuning: a model that others trained is trained on."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.recipes.base import Count, Fraction, Positive, Rate, Recipe, Share, Skip, Strength

TARGETS = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a block that may have adapters."""


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe(Recipe):
    """Training on from somebody else's model: all of it, or low-rank adapters (Hu et al. 2021)."""

    family: str = "pretrained"
    medium: str = "text"
    dataset: Annotated[str, about("a dataset of texts; --data takes your own")] = ""
    base: Annotated[str, about("the base model: a name or a path")] = ""
    base_fingerprint: Annotated[str, about("fingerprint of the base model's weights")] = ""
    mode: Annotated[
        Literal["lora", "full"], about("lora trains adapters, full trains every weight")
    ] = "lora"
    rank: Annotated[int, Meta(ge=1, le=1024), about("rank of the adapters")] = 8
    alpha: Annotated[
        float, Meta(gt=0, le=10_000), about("the adapters are scaled by alpha / rank")
    ] = 16.0
    targets: Annotated[
        tuple[str, ...], about(f"the layers with adapters: some of {', '.join(TARGETS)}")
    ] = TARGETS
    context: Annotated[
        int, Meta(ge=8, le=131_072), about("longest example, in tokens; longer ones are cut")
    ] = 512
    skip: Skip = ""

    steps: Annotated[Positive, about("training steps")] = 100
    batch: Annotated[Positive, about("examples per step")] = 4
    learning_rate: Annotated[Rate, about("learning rate of AdamW, after the warm-up")] = 5e-4
    muon_rate: Annotated[
        Strength, about("learning rate of Muon, for the matrices inside blocks; 0 turns it off")
    ] = 0.0
    beta2: Annotated[Fraction, about("decay of AdamW's second moment")] = 0.999
    weight_decay: Annotated[
        Strength, about("weight decay: a step removes this × the learning rate")
    ] = 0.0
    warmup: Annotated[Count, about("steps of linear learning-rate warm-up")] = 5
    decay_from: Annotated[
        Share, about("share of the steps after which the learning rate falls linearly to zero")
    ] = 0.0
    ema: Annotated[Fraction, about("decay of the moving average of weights; 0 is off")] = 0.0

    eval_every: Annotated[Positive, about("steps between evaluations")] = 20
    sample_every: Annotated[Positive, about("steps between samples")] = 20
    checkpoint_every: Annotated[Positive, about("steps between checkpoints")] = 20
    eval_batches: Annotated[Positive, about("batches of held-out data in an evaluation")] = 2
    sample_prompt: Annotated[
        str, about("prompt of samples during training; empty takes two held-out ones")
    ] = ""
    sample_tokens: Annotated[Positive, about("tokens of a sample during training")] = 48

    ARCHITECTURE: ClassVar[tuple[str, ...]] = ("mode", "rank", "alpha", "targets")
    EVALUATED: ClassVar[tuple[str, ...]] = ("val_loss",)

    def check(self) -> None:
        unknown = [name for name in self.targets if name not in TARGETS]
        if unknown or not self.targets:
            raise MisuseError(
                f"targets={','.join(self.targets)}: give some of {', '.join(TARGETS)}"
            )

    @property
    def why_whole(self) -> str:
        if self.mode == "full":
            return ""
        return (
            "adapters are small, and the frozen model below them stays whole: leave it out, or "
            "train all weights with --set mode=full"
        )

    @property
    def widest(self) -> int:
        """Such models are wide, so the precision depends on the machine alone."""
        return 1024
