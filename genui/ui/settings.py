"""How the settings of a generation are shown, nudged and typed."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, get_type_hints

import msgspec
from textual.content import Content

from genui.errors import MisuseError
from genui.grids import grid_words
from genui.protocol import SAMPLERS, Axis, ImageSettings, LabSettings, LatentSettings, TextSettings
from genui.render.sanitise import clean_line
from genui.typed import from_text

S = TypeVar("S", TextSettings, ImageSettings, LatentSettings, LabSettings)

TOP_KS = (0, 1, 2, 3, 5, 10, 20, 40, 80, 160)  # what + and - walk through; 0 is off
BASIS_NAMES = {"sefa": "SeFa", "pca": "PCA"}


class Line(NamedTuple):
    """One setting as the inspector shows it; `name` is the field, "" where there is none."""

    key: str
    label: str
    value: str
    name: str = ""


HINTS = {
    "temperature": "0 to 10; 0 always takes the likeliest token, 1 is the model's own odds",
    "top_k": "keep only the k likeliest tokens; 0 is off",
    "top_p": "above 0, up to 1; keep the likeliest tokens that make up this share; 1 is off",
    "min_p": "0 to 1; drop tokens less likely than this share of the likeliest; 0 is off",
    "dry": "0 to 10; how much less likely a token is that repeats a run of tokens; 0 is off",
    "repetition_penalty": "1 to 10; how much less likely what was written becomes; 1 is off",
    "eta": "0 to 1; share of fresh noise a step; 0 is none, 1 is DDPM, or the SDE of DPM++",
    "tokens": "how many tokens to write, 1 to 100,000",
    "steps": "steps, 1 to 1000; more are finer and slower",
    "truncation": "0 to 2; below 1 nearer to the average picture, above 1 farther from it",
    "reach": "above 0, up to 20; standard deviations to either side of the seed's picture",
    "autoguidance": "0 to 20; how far from what its weaker copy would draw; 1 is not at all",
    "guidance": "0 to 20; how strongly the caption pulls; 1 is not at all",
    "learning_rate": "above 0, up to 1; usual here are 0.0005 to 0.01",
    "batch": "points a training step, 8 to 4096",
    "width": "of the hidden layers, 4 to 128; another begins again",
    "every": "training steps from one look at the plane to the next, 1 to 1000",
}

_NUDGES = {
    "temperature": 0.05, "top_p": 0.05, "min_p": 0.01, "repetition_penalty": 0.05, "dry": 0.1,
    "tokens": 50, "steps": 1, "guidance": 0.5, "autoguidance": 0.25, "eta": 0.1,
    "truncation": 0.1, "reach": 0.5,
}  # fmt: skip
_LOWEST = {"top_p": 0.05, "repetition_penalty": 1, "tokens": 1, "steps": 1, "reach": 0.5}
_HIGHEST = {"top_p": 1, "min_p": 1, "eta": 1}


def text_lines(settings: TextSettings, seed: int) -> list[Line]:
    """The Text pane's settings."""
    lines = token_lines(settings, seed)
    grammar = "Python" if settings.grammar == "python" else "off"
    lines.insert(-2, Line("g", "grammar", grammar))
    return lines


def token_lines(settings: TextSettings, seed: int) -> list[Line]:
    """The settings of whatever is written a token at a time."""
    return [
        Line("t", "temperature", f"{settings.temperature:.2f}", "temperature"),
        Line("k", "top-k", str(settings.top_k) if settings.top_k else "off", "top_k"),
        Line("p", "top-p", f"{settings.top_p:.2f}" if settings.top_p < 1 else "off", "top_p"),
        Line("u", "min-p", f"{settings.min_p:.2f}" if settings.min_p else "off", "min_p"),
        Line("y", "repetition", _penalty(settings), "repetition_penalty"),
        Line("d", "DRY", f"{settings.dry:.2f}" if settings.dry else "off", "dry"),
        Line("m", "tokens", f"{settings.tokens:,}", "tokens"),
        Line("r", "seed", str(seed)),
    ]


def image_lines(settings: ImageSettings, seed: int, caption: str) -> list[Line]:
    """The Canvas pane's settings."""
    return [
        Line("e", "caption", f"“{caption}”" if caption else "none"),
        Line("s", "sampler", SAMPLERS[settings.sampler].title),
        Line("d", "eta", _eta(settings), "eta"),
        Line("t", "steps", _steps(settings), "steps"),
        Line("g", "guidance", f"{settings.guidance:g}", "guidance"),
        Line("G", "autoguidance", f"{settings.autoguidance:g}", "autoguidance"),
        Line("r", "seed", str(seed)),
    ]


def latent_lines(
    settings: LatentSettings, seed: int, caption: str, grid: Sequence[Axis]
) -> list[Line]:
    """The Walk pane's settings."""
    way = f"to seed {settings.to}" if settings.to is not None else f"{settings.direction}"
    lines = [
        Line("e", "caption", f"“{caption}”" if caption else "none"),
        Line("d", "direction", way),
        Line("p", "found by", BASIS_NAMES[settings.basis]),
        Line("a", "reach", f"±{settings.reach:g} σ", "reach"),
        Line("s", "steps", str(settings.steps), "steps"),
        Line("t", "truncation", f"{settings.truncation:g}", "truncation"),
        Line("r", "seed", str(seed)),
    ]
    if settings.blend:
        lines.append(Line("m", "blended with", ", ".join(map(str, settings.blend))))
    if grid:
        lines.append(Line("w", "grid", grid_words(grid, with_values=False)))
    return lines


def _penalty(settings: TextSettings) -> str:
    penalty = settings.repetition_penalty
    return f"penalty {penalty:.2f}" if penalty > 1 else "free"


def _eta(settings: ImageSettings) -> str:
    """Not every sampler has the choice."""
    if SAMPLERS[settings.sampler].noise != "eta":
        return "of DPM++ and DDIM"
    above = f" above σ {settings.s_tmin:g}" if settings.s_tmin else ""
    return f"{settings.eta:g}{above}"


def _steps(settings: ImageSettings) -> str:
    """How many, and where they lie if that was chosen, which is the shell's to choose."""
    usual = ImageSettings()
    parts = [str(settings.steps)]
    if settings.lowest_sigma != ImageSettings(steps=settings.steps).lowest_sigma:
        parts.append(f"σ ≥ {settings.lowest_sigma:g}")
    if settings.rho != usual.rho:
        parts.append(f"ρ {settings.rho:g}")
    return ", ".join(parts)


def typed(settings: S, name: str, text: str) -> S:
    """The settings with one field as typed. Raises MisuseError, one line, where it cannot be."""
    try:
        hint = get_type_hints(type(settings), include_extras=True)[name]
        return msgspec.structs.replace(settings, **{name: from_text(text.strip(), hint)})
    except msgspec.ValidationError as error:
        label = name.replace("_", "-")
        raise MisuseError(f"{label} {text.strip()!r}: {_plainly(str(error))}") from None


def _plainly(reason: str) -> str:
    """A validator's words for a person: `expected a number`, `expected a whole number >= 1`."""
    reason = reason.split(" - at")[0].split(", got")[0]
    for type_name, words in (("`int`", "a whole number"), ("`float`", "a number")):
        reason = reason.replace(type_name, words)
    return f"{reason[0].lower()}{reason[1:]}"


def nudged(settings: S, name: str, direction: int) -> S:
    """The settings with one field a step up or down; at the end of its range it stays."""
    value = getattr(settings, name)
    if name == "top_k":
        higher = [k for k in TOP_KS if k > value] or [value * 2]
        lower = [k for k in TOP_KS if k < value] or [0]
        new: float = higher[0] if direction > 0 else lower[-1]
    else:
        step = _NUDGES[name]
        new = round(value + direction * step, 2)
        new = max(_LOWEST.get(name, 0), min(new, _HIGHEST.get(name, new)))
    try:
        return typed(settings, name, str(new))
    except MisuseError:
        return settings


def changed_label(old: S, new: S, joint: str = "-") -> str:
    """What differs, in few words: "temperature 0.9"; `joint` is in names of several words."""
    before = msgspec.structs.asdict(old)
    changed = [
        f"{name.replace('_', joint)} {value:g}"
        if isinstance(value, int | float)
        else f"no {name}"
        if value in (None, "none")
        else f"{value}"
        for name, value in msgspec.structs.asdict(new).items()
        if before.get(name) != value
    ]
    return ", ".join(changed) or "the same settings"


def settings_content(lines: list[Line], touched: str) -> Content:
    """The lines of an inspector; the setting that + and - change is marked."""
    parts: list[str | tuple[str, str]] = []
    for line in lines:
        marked = bool(line.name) and line.name == touched
        parts += [
            (f"{line.key} ", "bold $primary"),
            (f"{line.label:<13}", "$text-muted"),
            (clean_line(line.value), "bold $foreground" if marked else "$foreground"),
            ("  − +" if marked else "", "$primary"),
            "\n",
        ]
    return Content.assemble(*parts[:-1])
