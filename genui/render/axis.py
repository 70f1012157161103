"""Ticks at numbers a person would choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_WITH_EXPONENT = 1e15  # from here on a number is written with its power of ten
_LEAST_POWER, _GREATEST_POWER = -300, 308  # of ten, between which a float has all its digits


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


def multiples(low: float, high: float, step: float) -> list[float]:
    """The multiples of `step` from `low` to `high`, both included, give or take rounding."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def ticks(low: float, high: float, most: int) -> list[Tick]:
    """About `most` ticks, one at least, inside `low` to `high`, with the decimals they need."""
    if not high > low:
        return [Tick(low, labels([low], 0.0)[0])]
    found: list[float] = []
    step = 0.0
    while not found:
        step = nice_step(high - low, most)
        found = multiples(low, high, step)
        most *= 2
    texts = labels(found, step)
    return [Tick(at, text) for at, text in zip(found, texts, strict=True)]


def log_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Ticks for an axis of log₁₀: positions are logarithms, labels the numbers themselves.

    Where no two of 1, 2, 5 and their tens are in sight, round numbers as on a linear axis.
    """
    found: list[Tick] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [
            Tick(position, _decade(factor, power))
            for power in range(math.floor(low), math.ceil(high) + 1)
            for factor in factors
            if low - 1e-9 <= (position := power + math.log10(factor)) <= high + 1e-9
        ]
        if len(found) <= most:
            break
    else:
        found = found[:: -(-len(found) // max(most, 1))]
    if len(found) < min(2, most) and _LEAST_POWER <= low < high <= _GREATEST_POWER:
        linear = [tick for tick in ticks(10.0**low, 10.0**high, most) if tick.position > 0]
        found = [Tick(math.log10(tick.position), tick.label) for tick in linear[:most]] or found
    return found or [Tick(high, _decade(10 ** (high % 1), math.floor(high)))]


def labels(numbers: Sequence[float], step: float) -> list[str]:
    """`numbers`, multiples of `step` (0: each by itself), with the digits that tell them apart."""
    size = max((abs(number) for number in numbers), default=0.0) or step
    if size >= _WITH_EXPONENT or 0 < size < 9.995e-4:
        return [_scientific(number, step) for number in numbers]
    for scale, prefix in _PREFIXES:
        if size >= scale * (1 - 1e-9):
            decimals = _decimals(step / scale)
            return [f"{number / scale:.{decimals}f}{prefix}" if number else "0"
                    for number in numbers]  # fmt: skip
    if not step:
        return [f"{number:,.6g}" for number in numbers]
    decimals = _decimals(step)
    # Adding zero turns the -0 that rounding leaves into 0.
    return [f"{round(number, decimals) + 0.0:,.{decimals}f}" if number else "0"
            for number in numbers]  # fmt: skip


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 1


def _scientific(number: float, step: float) -> str:
    if not number:
        return "0"
    digits = 0
    if step:
        digits = math.floor(math.log10(abs(number)) + 1e-9) - math.floor(math.log10(step) + 1e-9)
    mantissa, exponent = f"{number:.{min(max(digits, 0), 6)}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _decade(factor: float, power: int) -> str:
    """`factor` × 10^`power`, also where that is too small or too great for a float."""
    if -3 <= power < 6:
        return f"{round(factor * 10.0**power, 6 - power):,.6g}"
    return f"{factor:.3g}e{power}"
