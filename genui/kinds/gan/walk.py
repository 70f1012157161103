"""The settings of a walk through latent space, and its variations."""

from typing import Annotated, Any, ClassVar, Literal, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from genui.base.schema import about
from genui.protocol.edits import Variation, VariationMethod, inputs_at
from genui.protocol.messages import ImageFrame, Start
from genui.protocol.settings import Seed, SetSettings, Settings

BasisName = Literal["sefa", "pca"]
BASES: tuple[BasisName, ...] = get_args(BasisName)
VARIATION_STEPS = 4  # of a walk to a variation


class LatentSettings(Settings, Struct, frozen=True, tag="latent", kw_only=True):
    """A walk through a generator's latent space in `steps` equal steps.

    Along a direction it goes from `-reach` to `+reach` around the seed's point, so the seed itself
    is in the middle. With `to` it goes from the seed's point to the point of another seed instead.
    Lengths are in standard deviations of the training latents.
    """

    GROUP: ClassVar[str] = "GANs: a walk through latent space"
    FIRST: ClassVar[tuple[str, ...]] = ("reach",)

    steps: Annotated[int, Meta(ge=1, le=1000), about("steps of the walk", step=1)] = 40
    direction: Annotated[
        int, Meta(ge=1, le=64), about("walk along this direction; 1 is the strongest")
    ] = 1
    basis: Annotated[
        BasisName,
        about("how directions are found", choices={"sefa": "SeFa", "pca": "PCA"}),
    ] = "sefa"
    reach: Annotated[
        float,
        Meta(gt=0, le=20),
        about(
            "how far the walk goes to either side of the seed's image, in standard deviations",
            step=0.5,
            format="±{:g} σ",
        ),
    ] = 3.0
    at: Annotated[
        tuple[float, ...],
        Meta(max_length=64),
        about("start offset along each direction, in standard deviations"),
    ] = ()
    to: Annotated[Seed | None, about("walk to this seed's image instead")] = None
    share: Annotated[
        float, Meta(gt=0, le=1), about("share of the way to the other seed; 1 is all of it")
    ] = 1.0
    blend: Annotated[
        tuple[Seed, ...], Meta(max_length=15), about("seeds blended with the seed in equal parts")
    ] = ()
    truncation: Annotated[
        float,
        Meta(ge=0, le=2),
        about("below 1: nearer the average image; above 1: farther from it", step=0.1),
    ] = 1.0

    @property
    def seed_step(self) -> int:
        """The step of a walk that shows the seed's own image: the middle of a walk along a
        direction, the first of a walk to another seed."""
        return self.steps // 2 if self.to is None else 0

    def offset(self, step: int) -> float:
        """The distance of a step of a walk along a direction from the seed's point, along it."""
        start = self.at[self.direction - 1] if len(self.at) >= self.direction else 0.0
        return round(start + (step - self.seed_step) * 2 * self.reach / self.steps, 6)

    def sample_step(self, last: int) -> int:
        return self.seed_step if self.to is None else last


class WalkFrame(ImageFrame, frozen=True, tag="walk_frame", kw_only=True, gc=False):
    """One step of a walk."""

    score: float  # the discriminator's logit for `denoised`
    along: tuple[float, ...]  # the position along each direction

    def facts(self) -> dict[str, Any]:
        """The position and the discriminator's score."""
        return {"step": self.step, "score": self.score, "along": self.along}


def _walk_towards(start: Start, step: int, share: float, seed: int) -> Variation:
    """A walk from here, a part of the way to another seed's latent, in a few steps."""
    settings = inputs_at(start, step)[2]
    steps = min(step + VARIATION_STEPS, 1000)
    walk = replace(settings, to=seed, share=share, steps=steps)
    return Variation(step, (SetSettings(walk),), f"{share:.0%} of the way to seed {seed}", seed)


VARIATION = VariationMethod(_walk_towards, "walk a part of the way to another seed")
