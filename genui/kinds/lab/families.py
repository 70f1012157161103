"""The families that the Lab trains: their names, and their appearance in its pane."""

from collections.abc import Mapping

from msgspec import Struct


class LabFamily(Struct, frozen=True, kw_only=True):
    """How a family learns points, and how the pane shows it."""

    title: str
    surface: str
    """The quantity that the surface shows."""
    arrows: str = ""
    """The quantity that the arrows show; "" without arrows."""
    divergence: str = "Jensen–Shannon"
    """The measure of its distance from the true density."""
    noisy: bool = False
    """Whether it has noise levels."""
    samples: bool = True
    """Whether it generates points."""


FAMILIES: Mapping[str, LabFamily] = {
    "gan": LabFamily(title="GAN", surface="the discriminator's score", arrows="its gradient"),
    "diffusion": LabFamily(title="diffusion", surface="density", arrows="flow to data", noisy=True),
    "flow": LabFamily(title="flow matching", surface="density", arrows="flow to data", noisy=True),
    "meanflow": LabFamily(
        title="mean flow", surface="density", arrows="flow now, ⇒ over the whole way", noisy=True
    ),
    "autoregressive": LabFamily(title="autoregressive", surface="p(x) p(y | x)"),
    "classifier": LabFamily(
        title="classifier",
        surface="p(class | x, y)",
        divergence="KL from the true p(class | x, y)",
        samples=False,
    ),
}

_PREFIX = "lab:"


def ref_of(family: str) -> str:
    """The name of a family as a model, which has no file."""
    return _PREFIX + family


def family_of(ref: str) -> str:
    """The family of such a name."""
    return ref.removeprefix(_PREFIX)
