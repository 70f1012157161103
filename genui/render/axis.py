"""Chart axes: ticks at round numbers, their labels, and the x of each point of a series.

x is a step, a time in seconds, a number of tokens or a number of epochs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genui.base.numbers import count

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_SCIENTIFIC_FROM = 1e15  # numbers from here on are written with an exponent
_MIN_POWER, _MAX_POWER = -300, 308  # powers of ten between which a float has full precision


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


def choose_step(span: float, ticks: int) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that divides `span` in at most `ticks`."""
    rough = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


def list_multiples(low: float, high: float, step: float) -> list[float]:
    """List the multiples of `step` from `low` to `high` inclusive, allowing for rounding."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def choose_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Return about `most` ticks, at least one, from `low` to `high`."""
    if not high > low:
        return [Tick(low, format_labels([low], 0.0)[0])]
    positions: list[float] = []
    step = 0.0
    while not positions:
        step = choose_step(high - low, most)
        positions = list_multiples(low, high, step)
        most *= 2
    texts = format_labels(positions, step)
    return [Tick(at, text) for at, text in zip(positions, texts, strict=True)]


def choose_log_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Return at most `most` ticks of a log₁₀ axis: positions are logarithms, labels plain numbers.

    Ticks are at 1, 2 and 5 times powers of ten. If fewer than two of these are visible, they are
    at round numbers as on a linear axis.
    """
    ticks: list[Tick] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [
            Tick(position, _format_decade(factor, power))
            for power in range(math.floor(low), math.ceil(high) + 1)
            for factor in factors
            if low - 1e-9 <= (position := power + math.log10(factor)) <= high + 1e-9
        ]
        if len(ticks) <= most:
            break
    else:
        ticks = ticks[:: -(-len(ticks) // max(most, 1))]
    if len(ticks) < min(2, most) and _MIN_POWER <= low < high <= _MAX_POWER:
        linear = [tick for tick in choose_ticks(10.0**low, 10.0**high, most) if tick.position > 0]
        ticks = [Tick(math.log10(tick.position), tick.label) for tick in linear[:most]] or ticks
    return ticks or [Tick(high, _format_decade(10 ** (high % 1), math.floor(high)))]


def format_labels(numbers: Sequence[float], step: float) -> list[str]:
    """Format `numbers`, multiples of `step`, with just enough digits to tell them apart.

    With `step` 0 each number is formatted on its own.
    """
    size = max((abs(number) for number in numbers), default=0.0) or step
    if size >= _SCIENTIFIC_FROM or 0 < size < 9.995e-4:
        return [_format_scientific(number, step) for number in numbers]
    for scale, prefix in _PREFIXES:
        if size >= scale * (1 - 1e-9):
            decimals = _count_decimals(step / scale)
            return [f"{number / scale:.{decimals}f}{prefix}" if number else "0"
                    for number in numbers]  # fmt: skip
    if not step:
        return [f"{number:,.6g}" for number in numbers]
    decimals = _count_decimals(step)
    # Rounding may leave -0; adding zero turns it into 0.
    return [f"{round(number, decimals) + 0.0:,.{decimals}f}" if number else "0"
            for number in numbers]  # fmt: skip


def _count_decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 1


def _format_scientific(number: float, step: float) -> str:
    if not number:
        return "0"
    digits = 0
    if step:
        digits = math.floor(math.log10(abs(number)) + 1e-9) - math.floor(math.log10(step) + 1e-9)
    mantissa, exponent = f"{number:.{min(max(digits, 0), 6)}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _format_decade(factor: float, power: int) -> str:
    """Format `factor` × 10^`power`, even if it is out of the range of a float."""
    if -3 <= power < 6:
        return f"{round(factor * 10.0**power, 6 - power):,.6g}"
    return f"{factor:.3g}e{power}"


# --- The x axis: numbers with their units -------------------------------------------------

SECONDS, TOKENS, EPOCHS = "s", "token", "epoch"
_WORDS = frozenset({"step", TOKENS, EPOCHS, "game"})  # units with a plural

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# Distances between time ticks; below a second and above ten days they are round numbers.
_CLOCK_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10)),
)
_TOKEN_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def choose_x_ticks(low: float, high: float, most: int, unit: str, log: bool) -> list[Tick]:
    """Return about `most` ticks from `low` to `high`, labelled in `unit`.

    With `log`, both ends and the positions of the ticks are log₁₀ of x.
    """
    if log:
        ticks = choose_log_ticks(low, high, most)
        if unit not in (SECONDS, TOKENS):
            return ticks
        return [Tick(tick.position, _format_one(10.0**tick.position, unit)) for tick in ticks]
    if unit == SECONDS:
        return _choose_clock_ticks(low, high, most)
    if unit == "step" and high - low < most and (whole := list_multiples(low, high, 1.0)):
        texts = format_labels(whole, 1.0)
        return [Tick(at, text) for at, text in zip(whole, texts, strict=True)]
    ticks = choose_ticks(low, high, most)
    if unit != TOKENS:
        return ticks
    step = ticks[1].position - ticks[0].position if len(ticks) > 1 else 0.0
    return [Tick(tick.position, _format_tokens(tick.position, step)) for tick in ticks]


def format_amount(number: float, unit: str) -> str:
    """Format a quantity with its unit: `640 steps`, `12 s`, `1.2M tokens`, `0.05 epochs`; a unit
    that is the name of a metric stays as it is: `640 frames_seen`."""
    if unit == SECONDS:
        return f"{number:.2g} s" if number < 10 else format_duration(number)
    if unit == TOKENS and number >= 1000:
        return f"{_format_tokens(number, 0.0)} tokens"
    text = count(number) if number >= 9.5 else f"{number:.2g}"
    plural = unit in _WORDS and text != "1"
    return f"{text} {unit}{'s' if plural else ''}"


def format_place(x: float, unit: str) -> str:
    """Format an x with its unit: `step 1,240`, `3:20`, `1.2M tokens`, `epoch 2.5`."""
    if unit == SECONDS:
        return f"{x:.2f} s" if abs(x) < 10 and x != int(x) else format_duration(x)
    if unit == TOKENS:
        return f"{_format_tokens(x, 0.0)} tokens"
    whole = unit == "step" or x == int(x) or abs(x) >= 1000
    return f"{unit} {count(x) if whole else f'{x:.4g}'}"


def format_duration(seconds: float, step: float | None = None) -> str:
    """Format a duration: `12 s`, `3:20`, `2 h`, `1 h 30`, `1:02:45`, `2 d 6 h`.

    `step` is the distance between two labels in seconds; it sets the precision.
    """
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < _MINUTE and (step is None or step < _MINUTE):
        decimals = min(_count_decimals(step or 1), 9)
        return f"{sign}{seconds:.{decimals}f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    fine = bool(second) if step is None else step < _MINUTE
    if days:
        if fine:
            return f"{sign}{days} d {hour}:{minute:02}:{second:02}"
        tail = f" {hour}:{minute:02}" if minute else f" {hour} h" if hour else ""
        return f"{sign}{days} d{tail}"
    if hour:
        if fine:
            return f"{sign}{hour}:{minute:02}:{second:02}"
        return f"{sign}{hour} h {minute:02}" if minute else f"{sign}{hour} h"
    return f"{sign}{minute}:{second:02}"


def _choose_clock_ticks(low: float, high: float, most: int) -> list[Tick]:
    rough = (high - low) / max(most, 1)
    positions: list[float] = []
    if high > low and _CLOCK_STEPS[0] <= rough <= _CLOCK_STEPS[-1]:
        step = next(step for step in _CLOCK_STEPS if step >= rough)
        positions = list_multiples(low, high, step)
    positions = positions or [tick.position for tick in choose_ticks(low, high, most)]
    step = positions[1] - positions[0] if len(positions) > 1 else None
    return [Tick(at, format_duration(at, step) if at else "0") for at in positions]


def _format_one(number: float, unit: str) -> str:
    if unit == SECONDS:
        return format_duration(number, number if number < 1 else None)
    return _format_tokens(number, 0.0)


def _format_tokens(number: float, step: float) -> str:
    """Format a number of tokens with the usual suffix: `500k`, `1.2M`, `3B`."""
    for scale, prefix in _TOKEN_PREFIXES:
        if abs(number) >= scale * (1 - 1e-9):
            digits = f".{_count_decimals(step / scale)}f" if step else ".3g"
            return f"{number / scale:{digits}}{prefix}"
    return format_labels([number], step)[0]


# --- The x of each point: steps, seconds, tokens or epochs ------------------------------------

Axis = Literal["step", "time", "tokens", "epochs"]

AXES: tuple[Axis, ...] = ("step", "time", "tokens", "epochs")
UNITS: dict[Axis, str] = {"step": "step", "time": SECONDS, "tokens": TOKENS, "epochs": EPOCHS}
"""The unit of each axis, as `Curve.unit` takes it."""

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Steps int64 [N], ascending, values float64 [N], and unix times float64 [N], NaN if unknown."""

_MAX_TIME = 1e11  # seconds; a unix time after the year 5000 counts as unknown
_MAX_COUNT = 1e18  # tokens or epochs; greater numbers are ignored


def compute_x(
    points: Points,
    axis: Axis,
    *,
    since: float | None = None,
    per_step: float | None = None,
    counts: Points | None = None,
) -> NDArray[np.float64] | None:
    """Compute the x of each of `points` on `axis`: float64 [N], ascending and finite.

    step: the step itself.
    time: seconds since `since`, a unix time, by default the first known time. If the clock was
        set back, the last value is repeated; a pause remains a gap; an unknown time is
        interpolated between its neighbours by step.
    tokens, epochs: interpolated from `counts`, the points of a metric that counts them, and
        extrapolated at its average rate; without `counts`, `per_step` times the step.

    Returns None if x is unknown: no time is known, or neither `counts` nor `per_step` is given.
    """
    steps, _, times = points
    if axis == "step":
        return steps.astype(np.float64)
    if axis == "time":
        return _measure_seconds(steps, times, since)
    if counts is not None:
        x = _interpolate_counts(steps, counts)
        if x is not None:
            return x
    return steps * float(per_step) if per_step is not None and per_step > 0 else None


def _measure_seconds(
    steps: np.ndarray, times: np.ndarray, since: float | None
) -> NDArray[np.float64] | None:
    known = np.abs(times) < _MAX_TIME
    if not known.any():
        return np.empty(0) if not len(steps) else None
    if not known.all():
        times = np.interp(steps, steps[known], times[known])
    start = float(times[0]) if since is None else since
    return np.maximum.accumulate(times - start)


def _interpolate_counts(steps: np.ndarray, counts: Points) -> NDArray[np.float64] | None:
    """Interpolate the count at each of `steps`; None if the metric has no usable value."""
    usable = np.abs(counts[1]) < _MAX_COUNT
    known, totals = counts[0][usable], counts[1][usable]
    if not len(known):
        return None
    totals = np.maximum.accumulate(totals)
    x = np.interp(steps, known, totals)
    first, last = float(known[0]), float(known[-1])
    rate = float(totals[-1] - totals[0]) / (last - first) if last > first else 0.0
    if not rate and last > 0:
        rate = float(totals[-1]) / last  # one known point: assume 0 at step 0
    # Extrapolate at both ends, but not below 0.
    x = np.where(steps > last, totals[-1] + (steps - last) * rate, x)
    x = np.where(steps < first, np.maximum(totals[0] - (first - steps) * rate, 0.0), x)
    return np.maximum.accumulate(x)
