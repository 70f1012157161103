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
        try:
            bound = float(match["bound"])
        except ValueError:
            bound = math.nan
        if not math.isnan(bound):
            return Condition(match["metric"], match["sign"], bound)
    raise MisuseError(f"{label}{text}: write a condition such as 'val_loss<1.5'")
