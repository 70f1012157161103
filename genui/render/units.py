"""What the numbers along a chart's foot are: steps, seconds, tokens, epochs, or others by name."""

import math

from genui.render.axis import Tick, labels, log_ticks, multiples, ticks
from genui.render.numbers import count

SECONDS, TOKENS, EPOCHS = "s", "token", "epoch"

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
# Distances between ticks that a clock has; below a second and above ten days, round numbers.
_CLOCK = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 10)),
)
_TOKEN_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def x_ticks(low: float, high: float, most: int, unit: str, log: bool) -> list[Tick]:
    """About `most` ticks from `low` to `high`, in words of `unit`.

    Positions are those of the axis: of log₁₀ where `log`, and then both ends are logarithms.
    """
    if log:
        found = log_ticks(low, high, most)
        if unit not in (SECONDS, TOKENS):
            return found
        return [Tick(tick.position, _alone(10.0**tick.position, unit)) for tick in found]
    if unit == SECONDS:
        return _clock_ticks(low, high, most)
    found = ticks(low, high, most)
    if unit != TOKENS:
        return found
    step = found[1].position - found[0].position if len(found) > 1 else 0.0
    return [Tick(tick.position, _tokens(tick.position, step)) for tick in found]


def amount(number: float, unit: str) -> str:
    """So much of a unit: `640 steps`, `12 s`, `1.2M tokens`, `0.05 epochs`."""
    if unit == SECONDS:
        return f"{number:.2g} s" if number < 10 else duration(number)
    if unit == TOKENS and number >= 1000:
        return f"{_tokens(number, 0.0)} tokens"
    text = count(number) if number >= 9.5 else f"{number:.2g}"
    return f"{text} {unit}{'' if text == '1' else 's'}"


def place(x: float, unit: str) -> str:
    """One place on the axis: `step 1,240`, `3:20`, `1.2M tokens`, `epoch 2.5`."""
    if unit == SECONDS:
        return f"{x:.2f} s" if abs(x) < 10 and x != int(x) else duration(x)
    if unit == TOKENS:
        return f"{_tokens(x, 0.0)} tokens"
    whole = unit == "step" or x == int(x) or abs(x) >= 1000
    return f"{unit} {count(x) if whole else f'{x:.4g}'}"


def duration(seconds: float, step: float | None = None) -> str:
    """A time since the start: `12 s`, `3:20`, `2 h`, `1 h 30`, `1:02:45`, `2 d 6 h`.

    Where it is one of several that lie `step` seconds apart, as fine as they need.
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


def _clock_ticks(low: float, high: float, most: int) -> list[Tick]:
    rough = (high - low) / max(most, 1)
    if not high > low or rough < _CLOCK[0] or rough > _CLOCK[-1]:
        found = [tick.position for tick in ticks(low, high, most)]
    else:
        step = next(step for step in _CLOCK if step >= rough)
        found = multiples(low, high, step) or [tick.position for tick in ticks(low, high, most)]
    step = found[1] - found[0] if len(found) > 1 else None
    return [Tick(at, duration(at, step) if at else "0") for at in found]


def _alone(number: float, unit: str) -> str:
    if unit == SECONDS:
        return duration(number, number if number < 1 else None)
    return _tokens(number, 0.0)


def _tokens(number: float, step: float) -> str:
    """With the prefixes people say of tokens: `500k`, `1.2M`, `3B`."""
    for scale, prefix in _TOKEN_PREFIXES:
        if abs(number) >= scale * (1 - 1e-9):
            if step:
                decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
                return f"{number / scale:.{decimals}f}{prefix}"
            return f"{number / scale:.3g}{prefix}"
    return labels([number], step)[0]
