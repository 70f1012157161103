"""Options of `genui generate`, and the settings made from them."""

import argparse
from collections.abc import Mapping
from typing import Any

import msgspec

from genui.base.errors import MisuseError
from genui.base.schema import Setting, ordered, settings_of
from genui.protocol.kinds import KINDS, Kind
from genui.protocol.settings import SEED, Settings

MAX_SAMPLES = 64  # samples of one command
MAX_IN_FOLDER = 1_000_000


def generated_with() -> tuple[type[Settings], ...]:
    """The types of settings of the kinds that `genui generate` runs."""
    kinds = (kind.settings for kind in KINDS.values() if kind.settings and kind.prints)
    return tuple(dict.fromkeys(kinds))


def setting_names() -> tuple[str, ...]:
    """The names of all settings of `genui generate`."""
    return tuple(dict.fromkeys(name for kind in generated_with() for name in settings_of(kind)))


def add_settings(parser: argparse.ArgumentParser, *kinds: type[Settings]) -> None:
    """Adds an option for each setting, in a group for each kind."""
    named: dict[str, list[Setting]] = {}
    for kind in kinds:
        for name, one in settings_of(kind).items():
            named.setdefault(name, []).append(one)
    for kind in kinds:
        group = parser.add_argument_group(kind.GROUP)
        for one in ordered(kind):
            ones = named.pop(one.name, [])
            if ones:
                text = "; or ".join(dict.fromkeys(each.help for each in ones)).replace("%", "%%")
                group.add_argument(one.option, metavar=one.metavar, help=text)


def settings_for(
    kind: Kind,
    model: str,
    given: Mapping[str, str],
    base: Settings | None = None,
    defaults: Settings | None = None,
) -> Settings:
    """The settings of a model: `base` (else the `defaults`, by default those of its kind) with the
    options given.

    Raises MisuseError for an option of another kind, a wrong type or a value out of range.
    """
    defaults = defaults or kind.defaults
    assert defaults is not None  # only classifiers have none, and they do not generate
    known = settings_of(type(defaults))
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            fits = ", ".join(one.option for one in ordered(type(defaults)))
            raise MisuseError(f"{option(name)}: {model} {kind.ability}; it takes {fits}")
        values[name] = known[name].parse(text, f"{option(name)} {text}")
    begin = base if isinstance(base, type(defaults)) else defaults
    return msgspec.structs.replace(begin, **values)


def seed_from(text: str, prefix: str = "") -> int:
    """A seed from the command line. Raises MisuseError if it is invalid."""
    return SEED.parse(text, prefix or f"--seed {text}")


def option(name: str) -> str:
    """A setting as an option."""
    return "--" + name.replace("_", "-")
