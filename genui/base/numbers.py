"""Numbers as text for people."""

import math

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float) -> str:
    """A whole number with thousands separators: `1,240`; integers of any size are exact."""
    return f"{value:,d}" if isinstance(value, int) else f"{value:,.0f}"


def quantity(number: int, thing: str, plural: str = "") -> str:
    """`1 thread`, `1,240 threads`; `plural` is for words that do not only get an s."""
    return f"{count(number)} {thing if number == 1 else plural or f'{thing}s'}"


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


def parameters(count: int) -> str:
    """A number of parameters, as models are named: `135M`, `70.6B`."""
    return short(count).replace("G", "B")


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


def about(seconds: float, in_words: bool = False) -> str:
    """A rounded duration: `40 s`, `3 min`, `2.5 h`, `6 h`, `2 d`; `in_words`: `3 minutes`.

    `–` if it is not finite.
    """
    if not math.isfinite(seconds):
        return "–"
    units = (("s", "second", 1), ("min", "minute", 60), ("h", "hour", 3600), ("d", "day", 86400))
    at = sum(seconds >= limit for limit in (57.5, 90 * 60, 36 * 3600))
    short_name, name, length = units[at]
    amount = seconds / length
    if short_name == "s":
        text = f"{max(5 * round(amount / 5), 5)}"
    elif short_name == "h" and amount < 4.75:
        text = f"{round(2 * amount) / 2:g}"
    else:
        text = f"{amount:,.0f}"
    if not in_words:
        return f"{text} {short_name}"
    return f"{text} {name}" if text == "1" else f"{text} {name}s"


def progress(share: float, seconds: float, cells: int = 20) -> str:
    """A bar and how much of a work is done after `seconds`: `██████░░░░ 60 %, 4 s left`.

    The time left is known from half a second on.
    """
    share = min(max(share, 0.0), 1.0)
    full = round(share * cells)
    text = f"{'█' * full}{'░' * (cells - full)} {share * 100:.0f} %"
    if seconds < 0.5 or share == 0:
        return text
    rest = seconds * (1 - share) / share
    return f"{text}, {about(rest) if rest >= 10 else f'{math.ceil(rest)} s'} left"


def size(octets: float) -> str:
    """Bytes with a decimal prefix, as of downloads and disks: `512 B`, `2.0 KB`, `19 MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(octets) < 999.5:
            decimals = 0 if unit == "B" or octets >= 9.95 else 1
            return f"{octets:.{decimals}f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"
