"""What `genui inspect --until` waits for."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genui.errors import MisuseError
from genui.render.numbers import count, value

if TYPE_CHECKING:
    from genui.commands.follow import Look

_COMPARES: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*(?P<metric>.*?\S)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)")


@dataclass(frozen=True)
class Until:
    """A step to be reached, a bound for a metric to pass, or, with neither, the end."""

    text: str
    step: int | None = None
    metric: str = ""
    sign: str = ""
    bound: float = math.nan

    def reached(self, look: "Look") -> str | None:
        """The line that says so, where one of the look's records fulfils it."""
        for record in look.records:
            step = record.get("step")
            at = step if isinstance(step, int | float) else 0
            if self.step is not None and at >= self.step:
                return f"step {count(at)} reached"  # not the newest, which may be far beyond
            number = record.get(self.metric) if self.metric else None
            if isinstance(number, int | float) and _COMPARES[self.sign](number, self.bound):
                return f"{self.metric} is {value(number)} at step {count(at)}"
        if self.step is not None and look.step >= self.step:
            return f"step {count(look.step)} reached"
        return None

    @property
    def is_end(self) -> bool:
        """Whether it waits for the end of the run alone."""
        return self.step is None and not self.metric


def parse_until(text: str) -> Until:
    """`done`, a step such as `5000`, or a condition such as `val_loss<1.5`. Raises MisuseError."""
    word = text.strip()
    if word == "done":
        return Until(word)
    digits = word.replace(",", "").replace("_", "")
    if digits.isascii() and digits.isdecimal() and len(digits) < 16:
        return Until(word, step=int(digits))
    match = _CONDITION.fullmatch(word)
    if match:
        try:
            bound = float(match["bound"])
        except ValueError:
            bound = math.nan
        if not math.isnan(bound):
            return Until(word, metric=match["metric"], sign=match["sign"], bound=bound)
    raise MisuseError(
        f"--until {text}: write done, a step such as 5000, or a condition such as 'val_loss<1.5'"
    )
