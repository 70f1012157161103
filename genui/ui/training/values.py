"""The newest values of a run in one line, and the text in place of a curve without points."""

import time
from collections.abc import Sequence

from textual.content import Content

from genui.base import numbers
from genui.base.text import clean_line
from genui.runs import facts
from genui.ui.watcher import Part, RunView

# genui's own metric first, then those of other tools.
_TRAIN = ("loss", "train_loss", "train/loss")
_HELD_OUT = ("val_loss", "eval_loss", "val/loss", "eval/loss")
_WINS = ("real_wins",)  # of a GAN: pairs in which the real image scores higher
_LEARNING_RATE = ("lr", "learning_rate", "train/learning_rate")


def waiting_text(view: RunView) -> str:
    """The text in place of a curve while there are no points."""
    summary = view.summary
    if why := facts.describe_cause(summary) or summary.error:
        return clean_line(why)
    if summary.state == "starting":
        return clean_line(summary.status.doing) or "starting: loading torch and the data"
    if summary.state == "queued":
        return clean_line(summary.status.doing)
    if summary.state == "running" and summary.info.recipe:
        return "measuring and sampling before the first step"
    return "no points" if summary.native and not summary.alive else "no points yet"


def stats_line(view: RunView, now: float, width: int, *before_age: Part) -> Content:
    """`val 1.712 ▾0.08  train 1.604  lr 3.0e-04  5.8k tok/s  312 J estimate  41 % of peak …`.

    If that is wider than `width` cells, whole parts are left out, the share of the peak first. A
    width of 0 is not known yet. The error of a run that has failed is shown instead, unless it is
    shown in place of the curves.
    """
    summary = view.summary
    why = facts.describe_cause(summary) or summary.error
    if view.series and (summary.fault or (why and not summary.alive)):
        return Content.assemble((clean_line(why), "$text-error"))
    parts = _values_parts(view)
    end = [*before_age, *_age(view, now)]
    while parts:
        line = Content.assemble(*(part for group in parts for part in group), *end).rstrip()
        if not 0 < width < line.cell_length:
            return line
        parts.pop()
    return Content.assemble(*end).rstrip()


def _values_parts(view: RunView) -> list[list[Part]]:
    """Held-out loss, training loss, learning rate, speed, energy, and the share of the measured
    peak of matrix products, as far as they are known."""
    parts: list[list[Part]] = []
    if values := _newest_values(view, _HELD_OUT):
        change = values[-1] - values[-2] if len(values) > 1 else 0.0
        arrow = f" {'▾' if change < 0 else '▴'}{abs(change):.2f}" if abs(change) >= 0.005 else ""
        parts.append(_stat("val", numbers.value(values[-1]), "bold $primary", arrow))
    if values := _newest_values(view, _TRAIN):
        parts.append(_stat("train", numbers.value(values[-1]), "bold $primary"))
    if values := _newest_values(view, _WINS):
        parts.append(_stat("real wins", f"{values[-1]:.0%}", "bold $primary", " of pairs"))
    if values := _newest_values(view, _LEARNING_RATE):
        newest = f"{values[-1]:.1e}" if values[-1] else "0"
        parts.append(_stat("lr", newest, "$foreground"))
    status = view.summary.status
    runs = view.summary.state == "running"
    for text in (facts.speed(status) if runs else "", status.energy.format()):
        number, space, unit = text.partition(" ")
        parts += [_stat("", number, "$foreground", space + unit)] if text else []
    if runs and (share := facts.share_of_peak(status, "peak FLOP/s")):
        number, of, peak = share.partition(" of ")
        parts.append(_stat("", number, "$foreground", of + peak))
    return parts


def _age(view: RunView, now: float) -> list[Part]:
    """How long ago the data were updated while more will come; afterwards, when that was."""
    summary = view.summary
    age = view.age(now)
    if summary.alive or summary.state == "writing":
        style = "bold $text-warning" if age > 10 else "$foreground"
        return _stat("updated", f"{age:.1f} s" if age < 10 else numbers.clock(age), style, " ago")
    when = time.strftime("%d %b %H:%M", time.localtime(now - age))
    return _stat("last written", when, "$foreground")


def _stat(label: str, value: str, style: str, unit: str = "") -> list[Part]:
    head: list[Part] = [(f"{label} ", "$text-muted")] if label else []
    return [*head, (value, style), (f"{unit}  ", "$text-muted")]


def _newest_values(view: RunView, names: Sequence[str]) -> list[float]:
    """The newest two values, or fewer, of the first of these metrics that the run has."""
    name = next((name for name in names if name in view.series), None)
    return view.series[name][1][-2:].tolist() if name is not None else []
