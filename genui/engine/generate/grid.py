"""Which pictures a trace draws at once: one, or a grid with a setting along either side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from genui.errors import MisuseError, did_you_mean
from genui.grids import MOST_CELLS, NUMBERS
from genui.protocol import (
    SAMPLERS,
    Axis,
    ImageSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
)
from genui.render.sanitise import clean
from genui.typed import from_text

_SHOWN = 40  # characters of a value that does not fit


@dataclass(frozen=True)
class Row:
    """What one picture of a batch is drawn from."""

    caption: str
    seed: int
    settings: ImageSettings
    part: int = 0  # which part of a request this is, where it is drawn in several

    def value(self, name: str) -> str | int | float:
        """What it has of the thing an axis of that name varies."""
        return getattr(self if name in ("caption", "seed") else self.settings, name)

    def with_value(self, name: str, value: str | int | float) -> "Row":
        """The same row but for that."""
        if name in ("caption", "seed"):
            return replace(self, **{name: value})
        return replace(self, settings=msgspec.structs.replace(self.settings, **{name: value}))

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "Row":
        """With what the edit sets. Raises MisuseError for settings that are not pictures'."""
        match edit:
            case SetSeed(seed=seed):
                return replace(self, seed=seed)
            case SetPrompt(prompt=prompt):
                return replace(self, caption=clean(prompt))
            case SetSettings(settings=settings):
                return replace(self, settings=picture_settings(settings))


@dataclass(frozen=True)
class Grid:
    """The pictures of a trace: `base` as it was asked for, varied along the axes.

    Raises MisuseError naming the axis, and the value of it, that does not fit.
    """

    base: Row
    axes: tuple[Axis, ...] = ()  # along x, along y

    def __post_init__(self) -> None:
        check_axes(self.axes)

    @property
    def columns(self) -> int:
        return len(self.axes[0].values) if self.axes else 1

    def rows(self) -> tuple[Row, ...]:
        """One a picture, in the order of reading: left to right, then down."""
        rows = [self.base]
        for axis in self.axes:
            values = [parsed(axis.name, text) for text in axis.values]
            rows = [row.with_value(axis.name, value) for value in values for row in rows]
        return tuple(rows)

    def edited(self, edit: SetSettings | SetSeed | SetPrompt) -> "Grid":
        """The same axes around another base.

        Raises MisuseError where the edit would set what varies along one.
        """
        base = self.base.edited(edit)
        for axis in self.axes:
            if base.value(axis.name) != self.base.value(axis.name):
                raise MisuseError(f"{axis.name} varies along this grid; fork it without that axis")
        return Grid(base, self.axes)


def check_axes(axes: Sequence[Axis]) -> None:
    """Raises MisuseError where they do not go together, or are of too many pictures."""
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise MisuseError(f"grid: {names[0]} is along both sides; vary two different things")
    if len(axes) > 2:
        raise MisuseError(f"grid: {len(names)} axes ({', '.join(names)}); at most 2 fit")
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        raise MisuseError(f"grid: {count} pictures; at most {MOST_CELLS} are drawn at once")


def picture_settings(settings: Settings) -> ImageSettings:
    """The settings, which must be those of pictures (else MisuseError)."""
    if not isinstance(settings, ImageSettings):
        raise MisuseError("a picture model needs picture settings")
    return settings


def parsed(name: str, text: str) -> str | int | float:
    """A value as it is typed. Raises MisuseError where the setting cannot be that."""
    text = clean(text)
    if name == "caption":
        return text
    shown = f"grid: {name} {text[:_SHOWN]!r}"
    if name == "sampler":
        if text not in SAMPLERS:
            raise MisuseError(f"{shown}: no such sampler; {did_you_mean(text, SAMPLERS)}")
        return text
    try:
        value = from_text(text.strip(), NUMBERS[name])
        if not math.isfinite(value):
            raise ValueError
    except msgspec.ValidationError as error:
        raise MisuseError(f"{shown}: {str(error).lower().replace('`', '')}") from None
    except ValueError:
        raise MisuseError(f"{shown}: not a finite number") from None
    return value
