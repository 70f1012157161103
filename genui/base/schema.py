"""Settings as data: the annotation of a field describes it.

A setting is one annotated field of a msgspec Struct or a dataclass:

    guidance: Annotated[
        float, Meta(ge=0, le=20), about("classifier-free guidance scale", step=0.5)
    ] = 2.0

`settings_of` reads the annotations. Shell options and their help, forms, Settings panels, `+` and
`-`, grid axes and errors are derived from them.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec
from msgspec import Meta, Struct

from genui.base.errors import MisuseError, did_you_mean
from genui.base.text import from_text

_ENDLESS = 1 << 62  # a bound from here on is not shown


class About(Struct, frozen=True, kw_only=True):
    """The description of a field, beside its type, title and text."""

    id: str = ""
    """Its name in `keys.toml`; by default the field's own."""
    step: float | tuple[float, ...] = 0
    """The step of `+` and `-`, or the values that they go through; 0 disables them."""
    wraps: bool = False
    """Whether the first of these values follows the last."""
    off: Any = None
    """The value that switches it off."""
    off_title: str = "off"
    """The text that shows the value, and that may be typed."""
    format: str = ""
    """A `str.format` template for a value in the inspector."""
    axis: str = ""
    """Example values, if it can be the axis of a grid."""
    source: str = ""
    """The paper or person that introduced it."""
    rare: bool = False
    """Whether it is shown only if it differs from the default."""
    choices: Mapping[Any, Any] | None = None
    """The allowed values, each with a title or an object that has a `title`."""
    known: Callable[[], Sequence[Any]] | None = None
    """What returns the values on this machine; `+` and `-` go through them, others may be typed."""


def about(description: str, title: str = "", **more: Any) -> Meta:
    """The annotation that describes a setting; `more` are fields of About."""
    return Meta(title=title or None, description=description, extra={"about": About(**more)})


class Setting(Struct, frozen=True, kw_only=True):
    """One field of a class of settings."""

    name: str
    hint: Any
    """Its type, with the annotations."""
    default: Any
    title: str
    description: str
    about: About
    type: str
    """"int", "float", "bool" or "str"; with an "s" for several values."""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: Mapping[Any, Any] | None = None
    read: Callable[[str], Any] | None = None
    """The function that parses typed text, if its type is not enough; raises MisuseError."""

    @property
    def adjustable(self) -> bool:
        """Whether it is in the Settings panel: it has a step, choices or known values."""
        return bool(self.about.step or self.about.known) or self.choices is not None

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        """The placeholder for a value in the help of its option."""
        if self.choices is not None:
            return "NAME"
        return {"int": "N", "float": "X", "ints": "N,N,…", "floats": "X,X,…"}.get(self.type, "TEXT")

    @property
    def range(self) -> str:
        """Its bounds in words: `0 to 20`, `above 0, up to 1`; "" without bounds."""
        low = None if self.ge is None else f"{self.ge:,.10g}"
        above = None if self.gt is None else f"above {self.gt:,.10g}"
        high = None if self.le is None or self.le >= _ENDLESS else f"{self.le:,.10g}"
        high = high if self.lt is None else f"below {self.lt:,.10g}"
        if low is not None:
            return f"{low} to {high}" if high else f"{low} or more"
        if above is not None:
            return f"{above}, up to {high}" if high else above
        return f"up to {high}" if high else ""

    @property
    def help(self) -> str:
        """Its description with its choices or bounds."""
        bounds = self.range if self.choices is None else ", ".join(map(str, self.choices))
        return f"{self.description} ({bounds})" if bounds else self.description

    @property
    def expected(self) -> str:
        """The condition on its value: `a number, 0 to 20`."""
        if self.choices is not None:
            return f"one of {', '.join(self.choices)}"
        words = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "ints": "whole numbers with commas between",
            "floats": "numbers with commas between",
        }.get(self.type, "text")
        words = f"{words}, {self.range}" if self.range else words
        return words if self.about.off_title == "off" else f"{words}, or {self.about.off_title}"

    def parse(self, text: str, label: str) -> Any:
        """Its value from text. Raises MisuseError, one line that begins with `label`."""
        if self.read is not None:
            shown = {self.show(value): value for value in self.choices or ()}
            return shown[text.strip()] if text.strip() in shown else self.read(text)
        if self.type != "str":  # the value may be typed as it is shown
            unit = self.about.format.rpartition("}")[2].strip()
            text = text.strip().removesuffix(unit).strip()
            if self.about.off is not None and text == self.about.off_title:
                return self.about.off
        if self.type == "int" and re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text):
            text = text.replace(",", "")
        if self.choices is not None and text not in self.choices:
            raise MisuseError(f"{label}: no such {self.title}; {did_you_mean(text, self.choices)}")
        parts = [part.strip() for part in text.split(",") if part.strip()]
        try:
            value = from_text(parts if self.type.endswith("s") else text, self.hint)
        except msgspec.ValidationError:
            raise MisuseError(f"{label}: expected {self.expected}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise MisuseError(f"{label}: expected {self.expected}")
        return value

    def nudge(self, value: Any, direction: int) -> Any:
        """The value one step up or down, within its range."""
        if self.choices is not None:
            return next_of([*self.choices], value, direction)
        if self.about.known is not None:
            return next_of([*self.about.known()] or [value], value, direction)
        step = self.about.step
        if not step or value is None:
            return value
        if isinstance(step, tuple):
            above = [s for s in step if s > value] or [step[0] if self.about.wraps else value * 2]
            below = [s for s in step if s < value] or [step[-1 if self.about.wraps else 0]]
            new = above[0] if direction > 0 else below[-1]
        else:
            new = round(value + direction * step, 6)
            lowest = self.gt + step if self.gt is not None else self.ge
            new = new if lowest is None else max(lowest, new)
        new = new if self.le is None else min(new, self.le)
        return int(new) if self.type == "int" else float(new)

    def show(self, value: Any) -> str:
        """A value as text for the user."""
        if self.choices is not None:
            choice = self.choices.get(value, value)
            return choice if isinstance(choice, str) else choice.title
        if self.about.off is not None and value == self.about.off:
            return self.about.off_title
        if self.about.format:
            return self.about.format.format(value)
        if isinstance(value, float):
            return f"{value:g}"
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value:,}"
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def next_of(values: Sequence[Any], current: Any, by: int) -> Any:
    """The value after the current one, or before it with -1, round the ends; a value that is not
    among them counts as the first."""
    at = values.index(current) if current in values else 0
    return values[(at + by) % len(values)]


@lru_cache
def settings_of(kind: type) -> Mapping[str, Setting]:
    """The fields of a Struct or dataclass by name.

    A field that a subclass annotates again without a description keeps the parent's description.
    """
    hints = get_type_hints(kind, include_extras=True)
    above = [get_type_hints(base, include_extras=True) for base in kind.__mro__[1:-1]]
    settings = {}
    for name, default in _defaults(kind).items():
        one = setting(name, hints[name], default)
        for inherited in above:
            if one.description or name not in inherited:
                break
            described = setting(name, inherited[name], default)
            one = msgspec.structs.replace(
                one,
                title=described.title,
                description=described.description,
                about=described.about,
            )
        settings[name] = one
    return settings


def ordered(kind: type) -> list[Setting]:
    """The fields in display order: those that `kind.FIRST` names, then the others."""
    known = settings_of(kind)
    first = [known[name] for name in getattr(kind, "FIRST", ())]
    return first + [one for one in known.values() if one not in first]


def markdown_table(kind: type) -> str:
    """The fields as a table of the manual: option, key, values and description."""
    lines = ["| option | values | |", "|---|---|---|"]
    for one in settings_of(kind).values():
        names = ", ".join(f"`{name}`" for name in one.choices or ())
        does = one.description + (f" ({one.about.source})" if one.about.source else "")
        lines.append(f"| `{one.option} {one.metavar}` | {names or one.range} | {does} |")
    return "\n".join(lines)


def _defaults(kind: type) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind):
        return {field.name: field.default for field in dataclasses.fields(kind)}
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


def setting(name: str, hint: Any, default: Any = None) -> Setting:
    """The setting that an annotated type describes."""
    info = msgspec.inspect.type_info(hint)
    words: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(info, msgspec.inspect.Metadata | msgspec.inspect.UnionType):
        if isinstance(info, msgspec.inspect.Metadata):
            words = (info.extra_json_schema or {}) | words
            extra = (info.extra or {}) | extra
            info = info.type
        else:
            info = next(t for t in info.types if not isinstance(t, msgspec.inspect.NoneType))
    more: About = extra.get("about", About())
    several = isinstance(info, msgspec.inspect.VarTupleType)
    item: Any = info.item_type if several else info  # type: ignore[union-attr] - it is the tuple's
    while isinstance(item, msgspec.inspect.Metadata):
        item = item.type
    choices = more.choices
    if choices is None and isinstance(item, msgspec.inspect.LiteralType):
        choices = {str(value): str(value) for value in item.values}
    word = {"IntType": "int", "FloatType": "float", "BoolType": "bool"}.get(type(item).__name__)
    return Setting(
        name=name,
        hint=hint,
        default=default,
        title=words.get("title", name.replace("_", " ")),
        description=words.get("description", ""),
        about=more,
        type=(word or "str") + ("s" if several else ""),
        ge=getattr(item, "ge", None),
        gt=getattr(item, "gt", None),
        le=getattr(item, "le", None),
        lt=getattr(item, "lt", None),
        choices=choices,
    )
