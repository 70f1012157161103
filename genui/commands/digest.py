"""A run on one screen of text: how far it is, what its metrics did, what there is to be told."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genui.commands import output, terminal
from genui.commands.logs import look_again, read_whole, title
from genui.render.numbers import clock, count, short, value

if TYPE_CHECKING:
    from genui.runs.alerts import Alert
    from genui.runs.listing import RunSummary
    from genui.runs.series import Floats, Series

MOST_METRICS = 20  # rows; a terminal has 24
CELLS = 24  # of a curve
MOST_SPANS = 3
_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_BROKEN = "×", "x"  # where a part of the curve is no finite number


def digest(summary: "RunSummary") -> dict[str, Any]:
    """Everything that `show` shows, for scripts. Raises GenuiError where the log is damaged."""
    from genui.runs.alerts import Alerts
    from genui.runs.tail import MetricsTail

    tail = read_whole(summary)
    summary = look_again(summary, tail.ended)
    points = {name: series.points for name, series in tail.series.items()}
    system: dict[str, float] = {}
    if summary.format == "genui":
        machine = MetricsTail(summary.run.system)
        while machine.read():
            pass
        system = {name: float(s.values[-1]) for name, s in machine.series.items()}
    return {
        "log": title(summary),
        "format": summary.format,
        "state": summary.state,
        "step": max([summary.status.step, *(int(p[0][-1]) for p in points.values())]),
        "steps": summary.status.steps,
        "eta": summary.status.eta if summary.state == "running" else -1.0,
        "age": summary.age,
        "error": summary.fault or summary.status.error,
        "metrics": {name: _figures(series) for name, series in tail.series.items()},
        "system": system,
        "alerts": [_as_dict(alert) for alert in Alerts().look(summary, points, whole=True)],
        "bad_lines": tail.bad_lines,
        "dropped": tail.dropped,
        "overlaps": tail.overlaps,
    }


def show(summary: "RunSummary") -> None:
    """The digest as text. Raises GenuiError where the log is damaged."""
    found = digest(summary)
    done = f" of {count(found['steps'])}" if found["steps"] else ""
    share = f" ({100 * found['step'] / found['steps']:.0f} %)" if found["steps"] else ""
    output.facts(
        [
            ("run", found["log"]),
            ("state", f"{found['state']}: {found['error']}" if found["error"] else found["state"]),
            ("step", f"{count(found['step'])}{done}{share}"),
            ("left", clock(found["eta"]) if found["eta"] >= 0 else ""),
            ("written", f"{clock(found['age'])} ago"),
            ("system", ", ".join(f"{name} {short(x)}" for name, x in found["system"].items())),
            ("damaged", _several(found["bad_lines"], "record")),
            ("left out", _several(found["dropped"], "value")),
            ("overlap", _spans(found["overlaps"])),
        ]
    )
    output.say()
    metrics = found["metrics"]
    if not metrics:
        output.say("no metrics yet")
    else:
        heads = ("METRIC", "FIRST", "LAST", "LOWEST", "AT STEP", "CURVE")
        rows = [_row(name, metrics[name]) for name in list(metrics)[:MOST_METRICS]]
        output.table(heads, rows, right=(1, 2, 3, 4))
        if len(metrics) > MOST_METRICS:
            output.say(f"and {count(len(metrics) - MOST_METRICS)} more: --json has them all")
    for alert in found["alerts"]:
        output.say(f"{alert['kind']}: {alert['line']}")


def _several(number: int, thing: str) -> str:
    return f"{count(number)} {thing}{'s' if number > 1 else ''}" if number else ""


def _spans(overlaps: Sequence[tuple[int, int]]) -> str:
    """The steps that were written again, of which the last values count."""
    spans = [f"{count(first)} to {count(last)}" for first, last in overlaps[:MOST_SPANS]]
    more = f" and {count(len(overlaps) - len(spans))} more" if len(overlaps) > len(spans) else ""
    return f"steps {', '.join(spans)}{more} written again" if spans else ""


def _figures(series: "Series") -> dict[str, Any]:
    steps, values, _ = series.points
    import numpy as np

    finite = np.flatnonzero(np.isfinite(values))
    lowest = int(finite[values[finite].argmin()]) if len(finite) else 0
    return {
        "count": len(values),
        "first": float(values[0]),
        "last": float(values[-1]),
        "last_step": int(steps[-1]),
        "lowest": float(values[lowest]),
        "lowest_step": int(steps[lowest]),
        "curve": _levels(values),
    }


def _levels(values: "Floats") -> list[float | None]:
    """The medians of up to CELLS equal parts, from 0 (the lowest) to 1; None where a part has
    no finite number."""
    import numpy as np

    parts = np.array_split(values, min(CELLS, len(values)))
    finite = [part[np.isfinite(part)] for part in parts]
    medians = [float(np.median(part)) if len(part) else None for part in finite]
    known = [median for median in medians if median is not None]
    low, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    if not math.isfinite(span):  # of values at the ends of what a float can hold
        return [None if m is None else m / max(map(abs, known)) / 2 + 0.5 for m in medians]
    return [None if m is None else (m - low) / span if span else 0.0 for m in medians]


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    unicode = terminal.speaks_unicode()
    bars, broken = (_BARS, _BROKEN[0]) if unicode else (_PLAIN_BARS, _BROKEN[1])
    curve = "".join(
        broken if level is None else bars[min(int(level * len(bars)), len(bars) - 1)]
        for level in figures["curve"]
    )
    numbers = (value(figures[key]) for key in ("first", "last", "lowest"))
    return (name, *numbers, count(figures["lowest_step"]), curve)


def _as_dict(alert: "Alert") -> dict[str, Any]:
    return {"kind": alert.kind, "step": alert.step, "time": alert.time, "line": alert.line}
