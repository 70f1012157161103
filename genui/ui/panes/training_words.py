"""How a run goes, in one line."""

import time
from collections.abc import Sequence

from textual.content import Content

from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.ui.looking import RunView
from genui.ui.marks import Part

# Ours first, then as other tools name them.
_TRAIN = ("loss", "train_loss", "train/loss")
_HELD_OUT = ("val_loss", "eval_loss", "val/loss", "eval/loss")
_WINS = ("real_wins",)  # of a GAN: pairs in which the real picture scores higher
_RATE = ("lr", "learning_rate", "train/learning_rate")


def waiting_text(view: RunView) -> str:
    """What the curve's place says while there are no points."""
    summary = view.summary
    if summary.fault or summary.status.error:
        return clean_line(summary.fault or summary.status.error)
    if summary.state == "starting":
        return "starting: loading torch and the data"
    if summary.state == "running" and summary.info.recipe:
        return "measuring and sampling before the first step"
    return "no points yet"


def stats_line(view: RunView, now: float, room: int, *between: Part) -> Content:
    """`val 1.712 ▾0.08  train 1.604  lr 3.0e-04  5.8k tok/s  data 0.2 s old`.

    `between` goes before the age. Where `room`, in cells, is too little for all of it, whole
    parts are left out, the speed first; 0 is not known yet.
    """
    summary, status = view.summary, view.summary.status
    if summary.fault or (status.error and not summary.alive):
        return Content.assemble((clean_line(summary.fault or status.error), "$text-error"))
    held_out, train, rate, speed = _parts(view)
    age = _age(view, now)
    parts = [held_out, train, rate, speed, [*between], age]
    for least in (speed, rate, train, held_out):
        line = Content.assemble(*(part for group in parts for part in group)).rstrip()
        if not 0 < room < line.cell_length:
            return line
        least.clear()
    return Content.assemble(*between, *age).rstrip()


def _parts(view: RunView) -> tuple[list[Part], list[Part], list[Part], list[Part]]:
    """Held-out loss, training loss, learning rate and speed; each empty where not known."""
    held_out: list[Part] = []
    train: list[Part] = []
    rate: list[Part] = []
    speed: list[Part] = []
    values = _values(view, _HELD_OUT)
    if len(values):
        change = float(values[-1] - values[-2]) if len(values) > 1 else 0.0
        arrow = f" {'▾' if change < 0 else '▴'}{abs(change):.2f}" if abs(change) >= 0.005 else ""
        held_out += _stat("val", numbers.value(float(values[-1])), "bold $accent", arrow)
    losses = _values(view, _TRAIN)
    if len(losses):
        train += _stat("train", numbers.value(float(losses[-1])), "bold $primary")
    wins = _values(view, _WINS)
    if len(wins):
        train += _stat("real wins", f"{wins[-1]:.0%}", "bold $primary", " of pairs")
    rates = _values(view, _RATE)
    if len(rates):
        rate += _stat("lr", f"{float(rates[-1]):.1e}", "$foreground")
    status = view.summary.status
    if status.unit_rate > 0 and view.summary.state == "running":
        speed += _stat("", numbers.short(status.unit_rate), "$foreground", f" {status.unit}")
    return held_out, train, rate, speed


def _age(view: RunView, now: float) -> list[Part]:
    """How old the data are while more is to come; else when the last were written."""
    summary = view.summary
    age = view.age(now)
    if summary.alive or summary.state == "writing":
        style = "bold $text-warning" if age > 10 else "$foreground"
        return _stat("data", f"{age:.1f} s" if age < 10 else numbers.clock(age), style, " old")
    when = time.strftime("%d %b %H:%M", time.localtime(now - age))
    return _stat("last written", when, "$foreground")


def _stat(label: str, value: str, style: str, unit: str = "") -> list[Part]:
    head: list[Part] = [(f"{label} ", "$text-muted")] if label else []
    return [*head, (value, style), (f"{unit}  ", "$text-muted")]


def _values(view: RunView, names: Sequence[str]) -> Sequence[float]:
    """The newest two values, or fewer, of the first of these metrics that the run has."""
    name = next((name for name in names if name in view.series), None)
    return view.series[name][1][-2:].tolist() if name is not None else []
