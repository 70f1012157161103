"""The settings of one run or several as lines: what differs, and what is the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genui.render.sanitise import clean_line

MOST = 2000
"""Settings of a run that are shown; a configuration with more is not one to read."""

_DEEPEST = 12
_LONGEST = 2000  # characters of a value


@dataclass(frozen=True)
class Setting:
    """One key, and what each of the runs has for it; "" where it has none."""

    key: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings by dotted keys, as text: `{"model": {"width": 256}}` is `model.width`."""
    found: dict[str, str] = {}
    for key, value in _leaves(config, "", 0):
        if len(found) >= MOST:
            break
        found[key] = value
    return found


def _leaves(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for name, inner in value.items():
            word = clean_line(str(name), 80)
            yield from _leaves(inner, f"{key}.{word}" if key else word, depth + 1)
    elif key:
        yield key, _text(value)


def _text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    elif isinstance(value, float):
        text = f"{value:g}" if value == float(f"{value:g}") else repr(value)
    elif isinstance(value, list | tuple):
        text = ", ".join(_text(one) for one in value[:100]) or "none"
    else:
        # A text may be of spaces or new lines alone, as a prompt can be.
        text = value if isinstance(value, str) else str(value)[:_LONGEST]
        if isinstance(value, str) and (not text.strip() or "\n" in text or text != text.strip()):
            text = repr(text[:_LONGEST])
    return clean_line(text[:_LONGEST])


def settings(configs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Of every run, in the order of the first that has them; those that differ come first."""
    tables = [flat(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    every = [Setting(key, tuple(table.get(key, "") for table in tables)) for key in keys]
    return sorted(every, key=lambda one: not one.differs)
