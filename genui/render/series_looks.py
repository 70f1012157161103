"""How series are told apart, by colour and without it, and the legend that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from rich.cells import cell_len

from genui.render.fault import Fault
from genui.render.numbers import value as spelled
from genui.render.sanitise import clean_line

if TYPE_CHECKING:
    from genui.render.series import Kind, Trace

Part = tuple[str, str]

SERIES_LOOKS = 8
"""Series have the looks `series-1` … `series-8`, then these again; raw ones `raw-1` …"""

FAULT_SIGNS = {Fault.NAN: "✗", Fault.ABOVE: "▲", Fault.BELOW: "▼", Fault.NOT_POSITIVE: "↓"}
_FAULT_WORDS = {Fault.NAN: "NaN", Fault.ABOVE: "+∞", Fault.BELOW: "-∞", Fault.NOT_POSITIVE: "≤ 0"}
_NO_FAULT = Fault(0)
REWRITTEN = "↺"

_SIGNS = "◆●■◇○□★"
_RULE = "━"
_SEPARATORS = "/-_. "
_WORDS = re.compile(rf"[^{_SEPARATORS}]+|[{_SEPARATORS}]")
_WIDEST_NAME, _NARROWEST_NAME = 32, 3  # cells


def sign_of(index: int, kind: Kind) -> str:
    """The sign of series number `index`; the first plain line needs none."""
    if kind == "marks":
        return _SIGNS[max(index - 1, 0) % len(_SIGNS)]
    return _SIGNS[(index - 1) % len(_SIGNS)] if index % SERIES_LOOKS else ""


def look_of(index: int) -> str:
    return f"series-{index % SERIES_LOOKS + 1}"


def raw_look_of(index: int) -> str:
    return f"raw-{index % SERIES_LOOKS + 1}"


def legend(
    traces: Sequence[Trace],
    faults: Fault = _NO_FAULT,
    *,
    rewritten: bool = False,
    readings: Mapping[str, float] | None = None,
    width: int | None = None,
) -> list[Part]:
    """Each series by sign and name, its value where `readings` has one, then what marks mean.

    Where all would be wider than `width` cells, words and then values are left out and names
    cut, those of several runs to what tells them apart.
    """
    names = [clean_line(trace.name, _WIDEST_NAME) for trace in traces]
    parts = _parts(traces, names, faults, rewritten, readings)
    if width is None or _cells(parts) <= width:
        return parts
    parts = _parts(traces, names, faults, rewritten, readings, brief=True)
    if _cells(parts) <= width:
        return parts
    names = unlike([clean_line(trace.name) for trace in traces])
    sizes = [cell_len(name) for name in names]
    for values in (readings, None):
        parts = _parts(traces, names, faults, rewritten, values, brief=True)
        room = sum(sizes) - (_cells(parts) - width)
        if room >= sum(min(size, _NARROWEST_NAME) for size in sizes):
            break
    widest = _shares(sizes, room)
    cut = [clean_line(name, widest) for name in names]
    return _parts(traces, cut, faults, rewritten, values, brief=True)


def marks(faults: Fault, *, rewritten: bool = False) -> str:
    """What the marks on a chart mean, in a few words: `✗ NaN  ↺ again`."""
    return "".join(text for text, _ in _parts([], [], faults, rewritten, None, brief=True)).strip()


def _shares(sizes: Sequence[int], room: int) -> int:
    """The greatest width to which to cut names of such `sizes` so that all fit `room`."""
    widest = max(sizes, default=0)
    while widest > _NARROWEST_NAME and sum(min(size, widest) for size in sizes) > room:
        widest -= 1
    return widest


def _parts(
    traces: Sequence[Trace],
    names: Sequence[str],
    faults: Fault,
    rewritten: bool,
    readings: Mapping[str, float] | None,
    *,
    brief: bool = False,
) -> list[Part]:
    parts: list[Part] = []
    for index, (trace, name) in enumerate(zip(traces, names, strict=True)):
        if parts:
            parts.append(("  ", "label"))
        parts.append((f"{sign_of(index, trace.kind) or _RULE} {name}", look_of(index)))
        if readings is not None:
            known = trace.name in readings
            parts.append((f" {spelled(readings[trace.name])}" if known else " –", "reading"))
        elif trace.smoothed is not None and not brief:
            parts += [(" ", "label"), ("⠒", raw_look_of(index)), (" raw", "label")]
    for fault, sign in FAULT_SIGNS.items():
        if fault in faults:
            parts += [("  ", "label"), (f"{sign} {_FAULT_WORDS[fault]}", "fault")]
    if rewritten:
        word = "again" if brief else "written again"
        parts += [("  ", "label"), (f"{REWRITTEN} {word}", "overlap")]
    return parts


def unlike(names: Sequence[str]) -> list[str]:
    """`names` without the words that all of them begin with, and without those they end in."""
    if len(names) < 2:
        return list(names)
    words = [_WORDS.findall(name) for name in names]
    first = _shared(words)
    last = _shared([one[first:][::-1] for one in words])
    cut = ["".join(one[first : len(one) - last]).strip(_SEPARATORS) for one in words]
    return cut if all(cut) and len(set(cut)) == len(set(names)) else list(names)


def _shared(words: Sequence[Sequence[str]]) -> int:
    """How many words all begin with."""
    together = zip(*words, strict=False)
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, together))


def _cells(parts: Sequence[Part]) -> int:
    return sum(cell_len(text) for text, _ in parts)
