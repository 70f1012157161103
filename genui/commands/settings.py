"""Options of `genui generate` to the settings of a trace."""

from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from genui.errors import MisuseError, did_you_mean
from genui.protocol import SAMPLERS, ImageSettings, Seed, Settings, TextSettings

OPTIONS = ("tokens", "temperature", "top_k", "top_p", "steps", "sampler", "guidance")
"""Every setting the command line offers, as named in protocol.py."""


def settings_for(medium: str, model: str, given: Mapping[str, str]) -> Settings:
    """The settings of one medium from the options that were given.

    Raises MisuseError for an option of the other medium, a wrong type or a value out of range.
    """
    kind = ImageSettings if medium == "image" else TextSettings
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for name, text in given.items():
        option = _option(name)
        if name not in hints:
            makes = "draws pictures" if medium == "image" else "writes text"
            fits = ", ".join(_option(known) for known in OPTIONS if known in hints)
            raise MisuseError(f"{option}: {model} {makes}; it takes {fits}")
        if name == "sampler" and text not in SAMPLERS:
            raise MisuseError(f"{option} {text}: no such sampler; {did_you_mean(text, SAMPLERS)}")
        values[name] = _convert(option, text, hints[name])
    return kind(**values)


def seed_from(text: str) -> int:
    """A seed from the command line. Raises MisuseError where it is none."""
    return _convert("--seed", text, Seed)


def _convert(option: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "'")
        raise MisuseError(f"{option} {text}: {reason}") from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
