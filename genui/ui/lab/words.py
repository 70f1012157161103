"""What the Lab's families and data are called, and its settings in words."""

from pathlib import Path

from genui.errors import MisuseError, did_you_mean
from genui.kinds import KINDS
from genui.points import is_points
from genui.protocol import LAB, LabSettings
from genui.runs.catalog import ModelInfo
from genui.ui.settings import Line

FAMILIES: tuple[str, ...] = tuple(family for family, medium in KINDS if medium == "points")
TITLES = {
    "gan": "GAN",
    "diffusion": "diffusion",
    "flow": "flow matching",
    "autoregressive": "autoregressive",
    "classifier": "classifier",
}
DATA = ("two moons", "eight Gaussians", "spirals", "checkerboard")
OWN = "your points"
NOISY = frozenset({"diffusion", "flow"})
"""Families that go through noise levels."""

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The noise levels that `t` goes round."""

LAYERS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "samples": ("surface", "chances", "arrows"),
    "surface": ("samples", "arrows"),
    "arrows": ("samples", "surface", "chances"),
}
"""What `g` goes round: a name, and which parts of a scene it leaves out."""

SURFACES = {
    "gan": "the discriminator's score",
    "diffusion": "density",
    "flow": "density",
    "autoregressive": "p(x) p(y | x)",
    "classifier": "p(class | x, y)",
}
ARROWS = {
    "gan": "its gradient",
    "diffusion": "flow to data",
    "flow": "flow to data",
}


def family_model(family: str) -> ModelInfo:
    """A family as the panes know models; it has no file."""
    return ModelInfo(
        ref=LAB + family,
        name=TITLES[family],
        family=family,
        medium="points",
        dataset="",
        parameters=0,
        step=0,
        summary="",
        path=Path(),
        source="shipped",
    )


def family_named(ref: str) -> ModelInfo:
    """`lab:gan` as the panes know models. Raises MisuseError where there is no such family."""
    family = ref.removeprefix(LAB)
    if family not in TITLES:
        raise MisuseError(f"the Lab has no family '{family[:40]}': {did_you_mean(family, TITLES)}")
    return family_model(family)


def divergence_words(family: str, floor: float | None) -> str:
    """What the divergence is of, and what samples of the truth itself come to."""
    if family == "classifier":
        return "KL from the true p(class | x, y)"
    least = "" if floor is None else f" · truth itself {floor:.3f}"
    return f"Jensen–Shannon{least}"


def data_name(prompt: str) -> str:
    """The name of data, or how many points of one's own they are."""
    if not is_points(prompt):
        return prompt
    return f"{prompt.count(chr(10))} {OWN}"


def setting_lines(
    family: str, data: str, settings: LabSettings, seed: int, noise: float, layers: str
) -> list[Line]:
    """The Lab's settings."""
    lines = [
        Line("m", "family", TITLES[family]),
        Line("d", "data", data_name(data)),
        Line("a", "rate", f"{settings.learning_rate:g}", "learning_rate"),
        Line("c", "batch", f"{settings.batch}", "batch"),
        Line("u", "width", f"3 × {settings.width}", "width"),
        Line("s", "steps", f"{settings.steps:,}", "steps"),
        Line("i", "look every", f"{settings.every} steps", "every"),
        Line("r", "seed", str(seed)),
        Line("g", "drawn", layers),
    ]
    if family in NOISY:
        lines.append(Line("t", "noise", f"{noise:g}"))
    return lines
