"""Numbers as text for people."""

import math

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """A whole number with thousands separators: `1,240`; integers of any size are exact."""
    return f"{value:,d}" if isinstance(value, int) else f"{value:,.0f}"


def short(value: float) -> str:
    """Three digits at most and a unit prefix: `5.8k`, `4.8M`, `312`."""
    size = abs(value)
    for scale, prefix in _PREFIXES:
        if size >= 0.9995 * scale:
            scaled = value / scale
            return f"{scaled:.0f}{prefix}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{prefix}"
    if size >= 99.95 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"


def value(number: float) -> str:
    """A measurement with four significant digits: `1.712`, `3.000e-04`; `NaN` and `∞` by name."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    size = abs(number)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e6:
        return f"{number:.2e}"
    decimals = max(0, 3 - math.floor(math.log10(size)))
    return f"{number:,.{min(decimals, 4)}f}"


def clock(seconds: float) -> str:
    """A duration: `0:07`, `4:12`, `1:02:45`, `2 d 3 h`; `–` if it is negative or not finite."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def about(seconds: float) -> str:
    """A rounded duration: `40 s`, `3 min`, `2.5 h`, `6 h`, `2 d`."""
    if seconds < 57.5:
        return f"{max(5 * round(seconds / 5), 5)} s"
    for unit, length, most in (("min", 60, 90), ("h", 3600, 36), ("d", 86400, math.inf)):
        amount = seconds / length
        if amount < most:
            halves = round(2 * amount) / 2
            return (
                f"{halves:g} {unit}" if unit == "h" and amount < 4.75 else f"{amount:,.0f} {unit}"
            )
    return "–"


def size(octets: float) -> str:
    """Bytes with a binary prefix: `512 B`, `2.0 KB`, `19 MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(octets) < 1023.5:
            decimals = 0 if unit == "B" or octets >= 9.95 else 1
            return f"{octets:.{decimals}f} {unit}"
        octets /= 1024
    return f"{octets:.1f} TB"
