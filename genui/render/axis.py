"""Axes of charts: ticks at round numbers, their labels, and the x of each point of a series.

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
_WITH_EXPONENT = 1e15  # from here on a number is written with its power of ten
_LEAST_POWER, _GREATEST_POWER = -300, 308  # of ten, between which a float has all its digits


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


def choose_step(span: float, ticks: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that cuts `span` into at most `ticks` parts."""
    rough = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


def list_multiples(low: float, high: float, step: float) -> list[float]:
    """The multiples of `step` from `low` to `high`, both included, give or take rounding."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def choose_ticks(low: float, high: float, most: int) -> list[Tick]:
    """About `most` ticks, one at least, inside `low` to `high`, with the decimals they need."""
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
    """Ticks for an axis of log₁₀: positions are logarithms, labels the numbers themselves.

    Where no two of 1, 2, 5 and their tens are in sight, round numbers as on a linear axis.
    """
    chosen: list[Tick] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        chosen = [
            Tick(position, _format_decade(factor, power))
            for power in range(math.floor(low), math.ceil(high) + 1)
            for factor in factors
            if low - 1e-9 <= (position := power + math.log10(factor)) <= high + 1e-9
        ]
        if len(chosen) <= most:
            break
    else:
        chosen = chosen[:: -(-len(chosen) // max(most, 1))]
    if len(chosen) < min(2, most) and _LEAST_POWER <= low < high <= _GREATEST_POWER:
        linear = [tick for tick in choose_ticks(10.0**low, 10.0**high, most) if tick.position > 0]
        chosen = [Tick(math.log10(tick.position), tick.label) for tick in linear[:most]] or chosen
    return chosen or [Tick(high, _format_decade(10 ** (high % 1), math.floor(high)))]


def format_labels(numbers: Sequence[float], step: float) -> list[str]:
    """`numbers`, multiples of `step` (0: each by itself), with the digits that tell them apart."""
    size = max((abs(number) for number in numbers), default=0.0) or step
    if size >= _WITH_EXPONENT or 0 < size < 9.995e-4:
        return [_format_scientific(number, step) for number in numbers]
    for scale, prefix in _PREFIXES:
        if size >= scale * (1 - 1e-9):
            decimals = _count_decimals(step / scale)
            return [f"{number / scale:.{decimals}f}{prefix}" if number else "0"
                    for number in numbers]  # fmt: skip
    if not step:
        return [f"{number:,.6g}" for number in numbers]
    decimals = _count_decimals(step)
    # Adding zero turns the -0 that rounding leaves into 0.
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
    """`factor` × 10^`power`, also where that is too small or too great for a float."""
    if -3 <= power < 6:
        return f"{round(factor * 10.0**power, 6 - power):,.6g}"
    return f"{factor:.3g}e{power}"


# --- Numbers on the x axis with their units -------------------------------------------------

SECONDS, TOKENS, EPOCHS = "s", "token", "epoch"

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# Tick distances in units of clock time; below a second and above ten days, round numbers.
_CLOCK = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10)),
)
_TOKEN_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def choose_x_ticks(low: float, high: float, most: int, unit: str, log: bool) -> list[Tick]:
    """About `most` ticks from `low` to `high`, labelled in `unit`.

    Positions are those of the axis: of log₁₀ where `log`, and then both ends are logarithms.
    """
    if log:
        chosen = choose_log_ticks(low, high, most)
        if unit not in (SECONDS, TOKENS):
            return chosen
        return [Tick(tick.position, _format_one(10.0**tick.position, unit)) for tick in chosen]
    if unit == SECONDS:
        return _choose_clock_ticks(low, high, most)
    chosen = choose_ticks(low, high, most)
    if unit != TOKENS:
        return chosen
    step = chosen[1].position - chosen[0].position if len(chosen) > 1 else 0.0
    return [Tick(tick.position, _format_tokens(tick.position, step)) for tick in chosen]


def format_amount(number: float, unit: str) -> str:
    """A quantity with its unit: `640 steps`, `12 s`, `1.2M tokens`, `0.05 epochs`."""
    if unit == SECONDS:
        return f"{number:.2g} s" if number < 10 else format_duration(number)
    if unit == TOKENS and number >= 1000:
        return f"{_format_tokens(number, 0.0)} tokens"
    text = count(number) if number >= 9.5 else f"{number:.2g}"
    return f"{text} {unit}{'' if text == '1' else 's'}"


def format_place(x: float, unit: str) -> str:
    """A position on the axis with its unit: `step 1,240`, `3:20`, `1.2M tokens`, `epoch 2.5`."""
    if unit == SECONDS:
        return f"{x:.2f} s" if abs(x) < 10 and x != int(x) else format_duration(x)
    if unit == TOKENS:
        return f"{_format_tokens(x, 0.0)} tokens"
    whole = unit == "step" or x == int(x) or abs(x) >= 1000
    return f"{unit} {count(x) if whole else f'{x:.4g}'}"


def format_duration(seconds: float, step: float | None = None) -> str:
    """A duration: `12 s`, `3:20`, `2 h`, `1 h 30`, `1:02:45`, `2 d 6 h`.

    For labels `step` seconds apart it is as precise as they need.
    """
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < _MINUTE and (step is None or step < _MINUTE):
        decimals = 0 if step is None or step >= 1 else -math.floor(math.log10(step) + 1e-9)
        return f"{sign}{seconds:.{min(decimals, 9)}f} s"
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
    if high > low and _CLOCK[0] <= rough <= _CLOCK[-1]:
        positions = list_multiples(low, high, next(step for step in _CLOCK if step >= rough))
    positions = positions or [tick.position for tick in choose_ticks(low, high, most)]
    step = positions[1] - positions[0] if len(positions) > 1 else None
    return [Tick(at, format_duration(at, step) if at else "0") for at in positions]


def _format_one(number: float, unit: str) -> str:
    if unit == SECONDS:
        return format_duration(number, number if number < 1 else None)
    return _format_tokens(number, 0.0)


def _format_tokens(number: float, step: float) -> str:
    """A number of tokens with the usual prefix: `500k`, `1.2M`, `3B`."""
    for scale, prefix in _TOKEN_PREFIXES:
        if abs(number) >= scale * (1 - 1e-9):
            if step:
                decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
                return f"{number / scale:.{decimals}f}{prefix}"
            return f"{number / scale:.3g}{prefix}"
    return format_labels([number], step)[0]


# --- The x of each point: steps, seconds, tokens or epochs ------------------------------------

Axis = Literal["step", "time", "tokens", "epochs"]

AXES: tuple[Axis, ...] = ("step", "time", "tokens", "epochs")
UNITS: dict[Axis, str] = {"step": "step", "time": SECONDS, "tokens": TOKENS, "epochs": EPOCHS}
"""The unit of each axis, as a Curve takes it."""

Points = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(steps int64 [N] ascending, values float64 [N], unix times float64 [N], NaN where unknown)"""

_LATEST = 1e11  # seconds; a unix time after the year 5000 is taken as unknown
_MOST = 1e18  # tokens or epochs; greater numbers are ignored


def compute_x(
    points: Points,
    axis: Axis,
    *,
    since: float | None = None,
    per_step: float | None = None,
    counts: Points | None = None,
) -> NDArray[np.float64] | None:
    """The x of each of `points` on `axis`: float64 [N], ascending and finite.

    step: the step itself.
    time: seconds since `since`, a unix time, by default the first known time. Where the
        clock was set back the last value is repeated; a pause remains a gap; an unknown time
        is interpolated between its neighbours by step.
    tokens, epochs: `counts`, the points of a metric that counts them, is interpolated between
        its steps and continued at its average rate outside them; without it, `per_step` times
        the step.

    None where x is unknown: no time is known, or neither `counts` nor `per_step` is given.
    """
    steps, _, times = points
    if axis == "step":
        return steps.astype(np.float64)
    if axis == "time":
        return _measure_seconds(steps, times, since)
    if counts is not None:
        along = _interpolate_counts(steps, counts)
        if along is not None:
            return along
    return steps * float(per_step) if per_step is not None and per_step > 0 else None


def _measure_seconds(
    steps: np.ndarray, times: np.ndarray, since: float | None
) -> NDArray[np.float64] | None:
    known = np.abs(times) < _LATEST
    if not known.any():
        return np.empty(0) if not len(steps) else None
    if not known.all():
        times = np.interp(steps, steps[known], times[known])
    start = float(times[0]) if since is None else since
    return np.maximum.accumulate(times - start)


def _interpolate_counts(steps: np.ndarray, counts: Points) -> NDArray[np.float64] | None:
    """The count at each of `steps`; None where the metric has no usable value."""
    fits = np.abs(counts[1]) < _MOST
    at, done = counts[0][fits], counts[1][fits]
    if not len(at):
        return None
    done = np.maximum.accumulate(done)
    along = np.interp(steps, at, done)
    first, last = float(at[0]), float(at[-1])
    rate = float(done[-1] - done[0]) / (last - first) if last > first else 0.0
    if not rate and last > 0:
        rate = float(done[-1]) / last  # one known point: assume 0 at step 0
    # Extrapolate at both ends, but not below 0.
    along = np.where(steps > last, done[-1] + (steps - last) * rate, along)
    along = np.where(steps < first, np.maximum(done[0] - (first - steps) * rate, 0.0), along)
    return np.maximum.accumulate(along)
