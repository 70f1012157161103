"""Options of `genui generate` to the settings of a trace."""

from collections.abc import Collection, Mapping
from typing import Any, get_type_hints

import msgspec

from genui.errors import MisuseError, did_you_mean
from genui.kinds import Kind
from genui.protocol import BASES, GRAMMARS, SAMPLERS, Seed, Settings
from genui.typed import from_text

OPTIONS = (
    "tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "dry",
    "dry_length",
    "grammar",
    "steps",
    "sampler",
    "guidance",
    "autoguidance",
    "eta",
    "sigma_min",
    "rho",
    "s_tmin",
    "direction",
    "basis",
    "reach",
    "to",
    "share",
    "blend",
    "truncation",
)
"""Every setting the command line offers, as `genui.protocol` names them."""

NAMED: Mapping[str, Collection[str]] = {"sampler": SAMPLERS, "basis": BASES, "grammar": GRAMMARS}
"""Settings that are one of a few names."""

LISTS = frozenset({"blend", "at"})
"""Settings that are several numbers with commas between."""


def settings_for(
    kind: Kind, model: str, given: Mapping[str, str], base: Settings | None = None
) -> Settings:
    """The settings of a kind of model: `base` (else the defaults) with the options given.

    Raises MisuseError for an option of another kind, a wrong type or a value out of range.
    """
    fields = kind.settings.__struct_fields__
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in fields:
            fits = ", ".join(option(known) for known in OPTIONS if known in fields)
            raise MisuseError(f"{option(name)}: {model} {kind.does}; it takes {fits}")
        values[name] = setting(kind.settings, name, text, f"{option(name)} {text}")
    begin = base if isinstance(base, kind.settings) else kind.defaults
    return msgspec.structs.replace(begin, **values)


def setting(kind: type[Settings], name: str, text: str, asked: str) -> Any:
    """One setting from its text. Raises MisuseError, which begins with `asked`."""
    if name in NAMED and text not in NAMED[name]:
        raise MisuseError(f"{asked}: no such {name}; {did_you_mean(text, NAMED[name])}")
    hint = get_type_hints(kind, include_extras=True)[name]
    value = _parts(text) if name in LISTS else text
    return _convert(asked, value, hint)


def seed_from(text: str, asked: str = "") -> int:
    """A seed from the command line. Raises MisuseError where it is none."""
    return _convert(asked or f"--seed {text}", text, Seed)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _convert(asked: str, text: str | list[str], kind: Any) -> Any:
    try:
        return from_text(text, kind)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "'")
        raise MisuseError(f"{asked}: {reason}") from None


def option(name: str) -> str:
    """A setting as the command line spells it."""
    return "--" + name.replace("_", "-")
