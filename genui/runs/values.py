"""What scripts log, made into what metrics.jsonl holds: names, steps and numbers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from genui.runs.writer import RESERVED, json_number

BEYOND = 2**63
"""The first integer that neither a step nor a JSON reader holds."""

_MOST_NAMES = 10_000
_LONGEST_NAME = 200
_DEEPEST = 8


class Names:
    """The metric's name for every key a script uses, worked out once."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        """`say` gets (about, line) where a key cannot be the name."""
        self.known: dict[Any, str] = {}
        self._say = say

    def __getitem__(self, key: str) -> str:
        name = self.known.get(key)
        if name is None:
            name = self._name(key)
            if len(self.known) < _MOST_NAMES:
                self.known[key] = name
        return name

    def _name(self, key: str) -> str:
        name = key[:_LONGEST_NAME].encode(errors="replace").decode()
        if name in RESERVED:
            self._say(f"name {name}", f"a metric may not be called '{name}': it is 'logged/{name}'")
            return f"logged/{name}"
        return name


def flat(values: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value under its path: {"val": {"loss": 1}} gives ("val/loss", 1)."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from flat(value, f"{name}/", depth + 1)
        else:
            yield name, value


def number(value: Any) -> float | int | str | None:
    """As it is spelled in JSON; None for what is no number.

    Anything with `.item()`, such as a numpy scalar or a tensor of one number, is asked for it,
    and anything else that float() takes without parsing a text.
    """
    if not isinstance(value, int | float):
        try:
            value = value.item() if hasattr(value, "item") else value.__float__()
        except Exception:
            return None
    if isinstance(value, int):  # bools are 0 and 1: a curve is drawn of them
        whole = int(value)
        if -BEYOND <= whole < BEYOND:
            return whole
        try:
            value = float(whole)
        except OverflowError:
            return None
    return json_number(float(value)) if isinstance(value, float) else None


def as_step(value: object) -> int | None:
    """A step counts from 0; None for what is none."""
    found = number(value)
    if isinstance(found, str) or found is None or not 0 <= found < BEYOND:
        return None
    return int(found)
