"""A grid of pictures as it is typed, one line a side: `seed 1..6`, `guidance 1, 2, 4, 8`."""

import math
import re
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

import msgspec

from genui.errors import MisuseError, did_you_mean
from genui.protocol import SAMPLERS, Axis, ImageSettings, Seed
from genui.typed import from_text

NAMES: tuple[str, ...] = get_args(get_type_hints(Axis)["name"])
MOST_VALUES = 16  # along one side
MOST_CELLS = 64
_RANGE = re.compile(r"(\d{1,19})\s*\.\.\s*(\d{1,19})")
NUMBERS: dict[str, Any] = {"seed": Seed} | {
    name: get_type_hints(ImageSettings, include_extras=True)[name] for name in ("guidance", "eta")
}


def parse_axes(along_x: str, along_y: str) -> tuple[Axis, ...]:
    """Both sides; none at all where both lines are empty or `none`.

    Raises MisuseError, one line, for what cannot be.
    """
    axes = tuple(axis for axis in (parse_axis(along_x), parse_axis(along_y)) if axis is not None)
    if len(axes) == 2 and axes[0].name == axes[1].name:
        raise MisuseError(f"{axes[0].name} is along both sides: vary two different things")
    cells = math.prod(len(axis.values) for axis in axes)
    if cells > MOST_CELLS:
        raise MisuseError(f"{cells} pictures: at most {MOST_CELLS} are drawn at once")
    return axes


def parse_axis(text: str) -> Axis | None:
    """One side; captions stand between semicolons, all else between commas."""
    name, _, rest = text.strip().partition(" ")
    name = name.lower()
    if name in ("", "none"):
        return None
    if name not in NAMES:
        raise MisuseError(f"no setting '{name}': {did_you_mean(name, (*NAMES, 'none'))}")
    values = _values(name, rest.strip())
    if len(values) > MOST_VALUES:
        raise MisuseError(f"{name}: {len(values)} values; at most {MOST_VALUES} along one side")
    for value in values:
        _check(name, value)
    return Axis(name=name, values=values)  # type: ignore[arg-type] - one of NAMES


def axis_text(axis: Axis) -> str:
    """The line that `parse_axis` reads as this axis."""
    values = axis.values
    if axis.name == "seed" and len(values) > 2:
        first = int(values[0])
        if values == tuple(str(first + i) for i in range(len(values))):
            return f"seed {first}..{values[-1]}"
    return f"{axis.name} {('; ' if axis.name == 'caption' else ', ').join(values)}"


def grid_words(axes: Sequence[Axis], with_values: bool) -> str:
    """Which setting varies along which side: `seed → · guidance ↓`, or with its values."""
    sides = zip(axes, "→↓", strict=False)
    return " · ".join(
        f"{axis_text(axis) if with_values else axis.name} {arrow}" for axis, arrow in sides
    )


def _values(name: str, text: str) -> tuple[str, ...]:
    found = _RANGE.fullmatch(text) if name == "seed" else None
    if found is not None:
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < MOST_VALUES:
            raise MisuseError(f"seed {text}: give 1 to {MOST_VALUES} seeds, the lowest first")
        return tuple(str(seed) for seed in range(first, last + 1))
    parts = text.split(";" if name == "caption" else ",")
    values = tuple(part.strip() for part in parts if part.strip())
    if not values:
        raise MisuseError(f"{name}: give its values, as in {_EXAMPLES[name]}")
    return values


_EXAMPLES = {
    "seed": "seed 1..6",
    "caption": "caption red heart; blue star",
    "guidance": "guidance 1, 2, 4, 8",
    "eta": "eta 0, 0.5, 1",
    "sampler": "sampler heun, ddpm",
}


def _check(name: str, value: str) -> None:
    """Raises MisuseError for a value that the setting cannot have."""
    if name == "sampler" and value not in SAMPLERS:
        raise MisuseError(f"no sampler '{value}': {did_you_mean(value, SAMPLERS)}")
    if name in NUMBERS:
        try:
            from_text(value, NUMBERS[name])
        except msgspec.ValidationError:
            ranges = {"seed": "a whole number", "guidance": "a number, 0 to 20",
                      "eta": "a number, 0 to 1"}  # fmt: skip
            raise MisuseError(f"{name} '{value}': expected {ranges[name]}") from None
