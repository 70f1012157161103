"""Conditions on a metric, such as `val_loss<1.5`."""

import math
import operator
import re
from collections.abc import Callable

from msgspec import Struct

from genui.base.errors import MisuseError

COMPARES: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*(?P<metric>.*?\S)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)")


_NUMBER = re.compile(
    r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)(k|M|G|B|T|%|s|min|h|d)?", re.IGNORECASE
)
_UNITS = {
    "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "%": 0.01,
    "s": 1, "min": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_NAMED = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


def parse_number(text: str) -> float | None:
    """The number that a text is: `1e-4`, `10k`, `2M`, `50%`, `nan`, `3h`; None if it is none."""
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    try:
        value = float(match[1].replace("_", ""))
    except ValueError:
        return None
    return value * _UNITS[match[2].lower()] if match[2] else value


class Condition(Struct, frozen=True):
    """A bound of a metric."""

    metric: str
    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value of the metric meets it; NaN never does."""
        return COMPARES[self.sign](value, self.bound)

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.bound:g}"


def parse_condition(text: str, label: str = "") -> Condition:
    """Parse `val_loss<1.5`. Raises MisuseError, one line that begins with `label`, for anything
    else."""
    if match := _CONDITION.fullmatch(text):
        bound = parse_number(match["bound"].strip())
        if bound is not None and not math.isnan(bound):
            return Condition(match["metric"], match["sign"], bound)
    raise MisuseError(f"{label}{text}: write a condition such as 'val_loss<1.5'")
