"""How a run goes, in one line."""

import re
import textwrap
from collections.abc import Sequence

from textual.content import Content

from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.ui.cards import Part
from genui.ui.watch import RunView

_STAMPED = re.compile(r"(?:\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\d) (.*)")
_STAMP = 9  # cells: "12:03:58 "


def console_text(lines: Sequence[str], width: int, height: int) -> Content:
    """The newest `height` rows of a console, wrapped beside the time of day."""
    rows: list[Content] = []
    for line in reversed(lines):
        if len(rows) >= height:
            break
        found = _STAMPED.match(line)
        stamp, text = found.groups() if found else ("", line)
        wrapped = textwrap.wrap(clean_line(text), max(width - _STAMP, 8)) or [""]
        heads = [f"{stamp:<{_STAMP}}", *[" " * _STAMP] * (len(wrapped) - 1)]
        rows[:0] = [
            Content.assemble((head, "$text-muted"), (part, "$foreground"))
            for head, part in zip(heads, wrapped, strict=True)
        ]
    return Content("\n").join(rows[-height:] if height > 0 else [])


def waiting_text(view: RunView) -> str:
    """What the curve's place says while there are no points."""
    summary = view.summary
    if summary.fault or summary.status.error:
        return clean_line(summary.fault or summary.status.error)
    if summary.state == "starting":
        return "starting: loading torch and the data"
    return "no points yet"


def stats_line(view: RunView, now: float) -> Content:
    """`val 1.712 ▾0.08  train 1.604  lr 3.0e-04  5.8k tok/s  data 0.2 s old`."""
    summary, status = view.summary, view.summary.status
    if summary.fault or (status.error and not summary.alive):
        return Content.assemble((clean_line(summary.fault or status.error), "$text-error"))
    parts: list[Part] = []

    def add(label: str, value: str, style: str, unit: str = "") -> None:
        if label:
            parts.append((f"{label} ", "$text-muted"))
        parts.append((value, style))
        parts.append((f"{unit}  ", "$text-muted"))

    values = _values(view, "val_loss")
    if len(values):
        change = float(values[-1] - values[-2]) if len(values) > 1 else 0.0
        arrow = f" {'▾' if change < 0 else '▴'}{abs(change):.2f}" if abs(change) >= 0.005 else ""
        add("val", numbers.value(float(values[-1])), "bold $accent", arrow)
    losses = _values(view, "loss")
    if len(losses):
        add("train", numbers.value(float(losses[-1])), "bold $primary")
    rates = _values(view, "lr")
    if len(rates):
        add("lr", f"{float(rates[-1]):.1e}", "$foreground")
    if status.unit_rate > 0 and summary.state == "running":
        add("", numbers.short(status.unit_rate), "$foreground", f" {status.unit}")
    if summary.alive:
        age = view.age(now)
        style = "bold $text-warning" if age > 10 else "$foreground"
        add("data", f"{age:.1f} s" if age < 10 else numbers.clock(age), style, " old")
    return Content.assemble(*parts)


def _values(view: RunView, name: str) -> Sequence[float]:
    """The newest two values of a metric, or fewer."""
    return view.series[name][1][-2:].tolist() if name in view.series else []
