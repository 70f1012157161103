"""Ticks at numbers a person would choose."""

import math
from dataclasses import dataclass

from genui.render.numbers import count, short


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


def nice_step(span: float, ticks: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that cuts `span` into at most `ticks` parts."""
    rough = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


def ticks(low: float, high: float, most: int) -> list[Tick]:
    """About `most` ticks, one at least, inside `low` to `high`, with the decimals they need."""
    if not high > low:
        return [Tick(low, _label(low, 0.0))]
    found: list[Tick] = []
    while not found:
        step = nice_step(high - low, most)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        found = [Tick(n * step, _label(n * step, step)) for n in range(first, last + 1)]
        most *= 2
    return found


def log_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Ticks for an axis of log₁₀: positions are logarithms, labels the numbers themselves.

    Where no two of 1, 2, 5 and their tens are in sight, round numbers as on a linear axis.
    """
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [
            Tick(position, _label(factor * 10.0**power, 0.0))
            for power in range(math.floor(low), math.ceil(high) + 1)
            for factor in factors
            if low - 1e-9 <= (position := power + math.log10(factor)) <= high + 1e-9
        ]
        if len(found) <= most:
            break
    else:
        found = found[:: -(-len(found) // max(most, 1))]
    if len(found) < min(2, most) and high > low:
        linear = ticks(10.0**low, 10.0**high, most)
        found = [Tick(math.log10(tick.position), tick.label) for tick in linear[:most]]
    return found or [Tick(high, _label(10.0**high, 0.0))]


def _label(number: float, step: float) -> str:
    size = max(abs(number), step)
    if size >= 1e6:
        return short(number)
    if size < 1e-3 and size > 0:
        return f"{number:.0e}".replace("e-0", "e-") if number else "0"
    if step:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{number:,.{decimals}f}" if decimals else count(number)
    return f"{number:,.6g}"
