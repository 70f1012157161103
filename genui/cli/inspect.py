"""`genui inspect`: one run or log, its current state or its new records."""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.base.conditions import MetricConditions, parse_condition
from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.growing import LineFile
from genui.base.late import late_imports
from genui.base.numbers import clock, count, quantity, short, value
from genui.cli import output
from genui.cli.parser import add_json
from genui.cli.runs import as_dict, connect, find_one, read_whole, title
from genui.runs import facts

with late_imports():
    from genui import logs
    from genui.logs import find, native
    from genui.logs import records as log_records
    from genui.render import shades
    from genui.runs import alerts as run_alerts
    from genui.runs import batches, control, layout, waste
    from genui.runs import norms as run_norms

if TYPE_CHECKING:
    from genui.cli.runs import Link
    from genui.logs.base import About, Media, Tail
    from genui.runs.alerts import Alert
    from genui.runs.listing import RunSummary
    from genui.runs.series import Series

EARLIER = 10  # older records that --follow shows first
LOST = ("failed", "dead")


def configure_inspect(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui inspect last\n"
        "  genui inspect last --summary             every metric on one screen\n"
        "  genui inspect last --norms gradients     the norm of each layer over the steps\n"
        "  genui inspect plays --follow             the last records, then each new one\n"
        "  genui inspect plays --follow --json      every record from the first, a line each\n"
        "  genui inspect plays --until done && genui generate plays\n"
        "  genui inspect lightning_logs/version_3 --until 'val_loss<1.5'\n\n"
        "--until exits with 0 when it is reached, and with 1 if the run fails or ends first."
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of a log"
    )
    parser.add_argument(
        "--follow", action="store_true", help="print metric records until the run is over"
    )
    parser.add_argument(
        "--until",
        metavar="WHAT",
        help="follow until 'done', a step, or a condition such as 'val_loss<1.5'",
    )
    parser.add_argument("--summary", action="store_true", help="every metric on one screen")
    parser.add_argument(
        "--norms",
        choices=run_norms.NORM_KINDS,
        metavar="KIND",
        help="norms by layer: gradients, updates (over weights), weights or activations",
    )
    add_json(parser)


def run_inspect(args: argparse.Namespace) -> int:
    if args.summary and (args.follow or args.until is not None):
        raise MisuseError("inspect: --summary shows the run once; leave --follow out")
    if args.norms and (args.summary or args.follow or args.until is not None):
        raise MisuseError("inspect: --norms shows the run once; leave the other options out")
    until = None if args.until is None else parse_until(args.until)
    if args.follow or until:
        return _follow(args.run_ref, args.json, until)
    summary = find_one(args.run_ref)
    if args.norms:
        fields = norms_dict(summary, args.norms)
        if args.json:
            output.print_json(fields)
        else:
            show_norms(fields)
    elif args.summary:
        if args.json:
            output.print_json(summary_dict(summary))
        else:
            show_summary(summary)
    elif args.json:
        output.print_json(inspect_dict(summary))
    else:
        describe(summary)
    return 0


def describe(summary: "RunSummary") -> None:
    """Prints the state of a run, its progress and its files."""
    _refuse_broken(summary)
    if not summary.native:
        _describe_foreign(summary)
        return
    output.print_facts(list_facts(summary))


def list_facts(summary: "RunSummary") -> list[tuple[str, str]]:
    """The facts of a run of genui by their names; those that are not known are empty."""
    info, status, run = summary.info, summary.status, summary.run
    newest = max(run.samples.glob("step-*"), default="", key=str)
    return [
        ("run", run.id),
        ("name", summary.labels.name),
        ("tags", ", ".join(summary.labels.tags)),
        ("note", summary.labels.note),
        ("state", f"{summary.state}: {status.error}" if status.error else summary.state),
        ("cause", facts.describe_cause(summary)),
        ("recipe", info.recipe.get("name", "")),
        ("training", facts.summarise_training(info)),
        ("config", _settings(info.config)),
        ("changed", _settings(info.overrides)),
        ("from", layout.format_origin(info.start_from)),
        ("sweep", _sweep(info.sweep)),
        ("learning rate", _learning_rate(summary)),
        ("machine", facts.summarise_machine(info.machine, info.host)),
        ("step", _progress(status.step, status.steps)),
        ("left", facts.time_left(summary.eta)),
        ("speed", ", ".join(filter(None, (facts.speed(status), facts.share_of_peak(status))))),
        ("time", facts.time_spent(status)),
        *facts.energy(status, info.scale),
        ("loss", facts.figure(status.loss)),
        ("val", facts.figure(status.val)),
        ("sample", str(newest)),
        ("batches", _batches(run)),
        ("folder", str(run.path)),
    ]


def inspect_dict(summary: "RunSummary") -> dict[str, Any]:
    """The facts of `describe` for scripts; for a damaged folder those that are known.

    Raises GenuiError if another tool's log cannot be read.
    """
    if summary.native:
        steps = {str(path): batches.batch_steps(path) for path in _batch_folders(summary.run)}
        return {**as_dict(summary), "batches": steps, "format": summary.format}
    now, tail, step = _read_foreign(summary)
    last = {name: float(series.values[-1]) for name, series in tail.series.items()}
    fields = as_dict(now)
    fields["info"]["config"] = tail.config
    extras = tail.extras
    return {
        **fields,
        "format": summary.format,
        "step": step,
        "loss": last.get("loss"),
        "val": last.get("val"),
        "metrics": last,
        "summary": extras.about.summary,
        "environment": extras.about.environment,
        "axes": extras.axes,
        "system": {name: float(one.values[-1]) for name, one in extras.system.items()},
        "samples": [_sample_dict(one) for media in extras.media.values() for one in media],
        "console": [text for _, text in extras.console],
        "bad_lines": tail.bad_lines,
        "dropped": tail.dropped,
        "overlaps": tail.overlaps,
    }


def _sample_dict(media: "Media") -> dict[str, Any]:
    fields = media._asdict()
    del fields["content"]
    return fields


def _read_foreign(summary: "RunSummary") -> "tuple[RunSummary, Tail, int | None]":
    """Reads another tool's log to its end: its state, its reader, and the last step, None if
    nothing was logged. Raises GenuiError if it cannot be read."""
    tail = read_whole(summary)
    now = replace(_now(summary, tail), info=summary.info, labels=summary.labels)
    steps = [int(series.steps[-1]) for series in tail.series.values()]
    return now, tail, max(steps, default=None)


def _now(summary: "RunSummary", tail: "Tail") -> "RunSummary":
    """The current state of the log."""
    return find.summarise_log(summary.run.path, summary.format, tail.ended)


def _describe_foreign(summary: "RunSummary") -> None:
    """Prints the state of another tool's log."""
    now, tail, step = _read_foreign(summary)
    names = list(tail.series)
    more = len(names) - EARLIER
    about, media = tail.extras.about, tail.extras.media
    axes = {x: [name for name, one in tail.extras.axes.items() if one == x]
            for x in tail.extras.axes.values()}  # fmt: skip
    output.print_facts(
        [
            *list_foreign_facts(now, about),
            ("config", _settings(tail.config)),
            ("environment", _settings(about.environment)),
            ("x axis", "; ".join(f"{x} of {', '.join(names)}" for x, names in axes.items())),
            ("samples", _several(sum(map(len, media.values())), "sample")),
            ("step", "" if step is None else count(step)),
            ("metrics", ", ".join(names[:EARLIER]) + (f" and {more} more" if more > 0 else "")),
            ("written", f"{clock(now.age)} ago"),
        ]
    )


def list_foreign_facts(now: "RunSummary", about: "About") -> list[tuple[str, str]]:
    """The facts of another tool's log, as for `list_facts`, but for its config and metrics."""
    return [
        ("log", title(now)),
        ("name", "" if now.info.name in title(now) else now.info.name),
        ("tags", ", ".join(now.labels.tags)),
        ("note", now.labels.note),
        ("project", now.info.project),
        ("format", now.format),
        ("state", now.state),
        ("summary", _settings(about.summary)),
    ]


def _batch_folders(run: "layout.RunDir") -> list[Path]:
    """The folders with batches of a script: those before the last alert, and the last ones."""
    return [path for path in (run.frozen_batches, run.batches) if path.is_dir()]


def _batches(run: "layout.RunDir") -> str:
    """The steps whose batches are kept, and the folder."""
    for path in _batch_folders(run):
        if steps := batches.batch_steps(path):
            frozen = ", before an alert" if path == run.frozen_batches else ""
            return f"steps {count(steps[0])} to {count(steps[-1])}{frozen}: {path}"
    return ""


def _sweep(sweep: Mapping[str, Any]) -> str:
    """The sweep of a trial, and which it is."""
    return f"{sweep.get('name')}, trial {sweep.get('trial')}" if sweep else ""


def _learning_rate(summary: "RunSummary") -> str:
    """The base learning rate of the schedule, as last changed."""
    planned = summary.info.recipe.get("learning_rate")
    changed = control.changed_learning_rate(summary.run)
    if changed is not None:
        return f"{changed:g}, at first {planned}"
    return "" if planned is None else str(planned)


def _progress(step: int, steps: int) -> str:
    share = facts.percent(step, steps)
    return facts.count_steps(step, steps, " of ") + (f" ({share})" if share else "")


def _settings(settings: Mapping[str, object]) -> str:
    return " ".join(f"{key}={item}" for key, item in settings.items())


def _refuse_broken(summary: "RunSummary") -> None:
    if summary.fault:
        raise GenuiError(summary.fault)


def _follow(word: str, as_json: bool, until: "Until | None") -> int:
    progress = output.ProgressLine()
    link: Link | None = None
    try:
        link = next(iter(connect([word], progress.show).values()), None)
        progress.clear()
        summary = find_one(word, wait=True, copy=None if link is None else link.root)
        return _follow_log(summary, as_json, until, link)
    finally:
        progress.clear()
        if link is not None:
            link.stop()


def _follow_log(
    summary: "RunSummary", as_json: bool, until: "Until | None", link: "Link | None"
) -> int:
    _refuse_broken(summary)
    if not as_json:
        describe(summary)
    say = output.note if as_json else output.print_line  # with --json stdout is only for records
    last: Look | None = None
    warned, trouble, left_out = False, "", ""
    for look in follow(summary, link):
        if link is not None and link.line != trouble:
            trouble = link.line
            output.note(trouble or "connected again")
        if link is not None and link.note not in ("", left_out):
            left_out = link.note
            output.note(left_out)
        if as_json:
            for record in look.records:
                output.print_json(record, indent=False)
        else:
            for record in look.records if last else look.records[-EARLIER:]:
                output.print_line(line(record))
        last = look
        for alert in look.alerts:
            if alert.kind not in ("crash", "finish"):  # reported at the end
                say(f"{alert.kind}: {alert.line}")
        if until is not None and (reached := until.reached(look)) is not None:
            say(reached)
            return 0
        if until is not None and not warned:
            warned = _warn(until, look)
    assert last is not None  # there is always a first look
    _report_end(last, until, say)
    return 0


def _report_end(look: "Look", until: "Until | None", say: Callable[[str], None]) -> None:
    """Prints how the run ended. Raises GenuiError if it failed, or ended before `until`."""
    last = look.summary
    state = facts.at_step(f"{title(last)} {last.state}", look.step)
    if last.state in LOST:
        why = last.error or "its process is gone"
        remedy = ""
        if last.native and last.info.kind == "recipe":
            remedy = f"; `genui resume {last.run.id}` continues it from its newest checkpoint"
        raise GenuiError(f"{state}: {why}{remedy}")
    if until is not None and not until.is_end:
        raise GenuiError(f"{state}, before {until.text}")
    say(facts.at_step(last.state, look.step))


def _warn(until: "Until", look: "Look") -> bool:
    """Notes that no metric of this name was logged; returns whether it did."""
    known = {"step", *look.metrics}
    unknown = [name for name in until.metrics if name not in known]
    if not unknown or not look.metrics:
        return False
    output.note(f"no metric '{unknown[0]}' so far: {did_you_mean(unknown[0], known)}")
    return True


# --- `--summary`: progress, metrics and alerts of a run on one screen --------------------------

MAX_METRICS = 20  # rows; a terminal has 24
CELLS = 24  # of a curve
MAX_SPANS = 3
_PLAIN_BARS, _PLAIN_BROKEN = "_.-=+*%#", "x"


def summary_dict(summary: "RunSummary") -> dict[str, Any]:
    """The facts of `show_summary` for scripts. Raises GenuiError if the log is damaged."""
    tail = read_whole(summary)
    summary = _now(summary, tail)
    points = {name: series.points for name, series in tail.series.items()}
    measured = native.read_records(summary.run.system) if summary.native else tail.extras.system
    return {
        "log": title(summary),
        "format": summary.format,
        "state": summary.state,
        "step": max([summary.status.step, *(int(p[0][-1]) for p in points.values())]),
        "steps": summary.status.steps,
        "eta": summary.eta,
        "age": summary.age,
        "error": summary.error,
        "metrics": {name: _statistics(series) for name, series in tail.series.items()},
        "system": {name: float(series.values[-1]) for name, series in measured.items()},
        "spent": dict(summary.status.spent),
        "waste": [asdict(one) for one in waste.find_waste(summary.status, tail.series, measured)],
        "alerts": [
            asdict(alert) for alert in run_alerts.Alerts().look(summary, points, whole=True)
        ],
        "bad_lines": tail.bad_lines,
        "dropped": tail.dropped,
        "overlaps": tail.overlaps,
    }


def show_summary(summary: "RunSummary") -> None:
    """Prints the summary. Raises GenuiError if the log is damaged."""
    fields = summary_dict(summary)
    error = f": {fields['error']}" if fields["error"] else ""
    output.print_facts(
        [
            ("run", fields["log"]),
            ("state", f"{fields['state']}{error}"),
            ("step", _progress(fields["step"], fields["steps"])),
            ("left", facts.time_left(fields["eta"])),
            ("time", facts.time_spent(summary.status)),
            ("written", f"{clock(fields['age'])} ago"),
            ("system", ", ".join(f"{name} {short(x)}" for name, x in fields["system"].items())),
            ("damaged", _several(fields["bad_lines"], "record")),
            ("left out", _several(fields["dropped"], "value")),
            ("overlap", _spans(fields["overlaps"])),
        ]
    )
    output.print_line()
    metrics = fields["metrics"]
    if not metrics:
        output.print_line("no metrics yet")
    else:
        heads = ("METRIC", "FIRST", "LAST", "LOWEST", "AT STEP", "CURVE")
        rows = [_metric_row(name, metrics[name]) for name in list(metrics)[:MAX_METRICS]]
        output.print_table(heads, rows, right=(1, 2, 3, 4))
        if len(metrics) > MAX_METRICS:
            output.print_line(f"and {count(len(metrics) - MAX_METRICS)} more: --json has them all")
    for alert in fields["alerts"]:
        output.print_line(f"{alert['kind']}: {alert['line']}")
    for one in fields["waste"]:
        output.print_line(f"waste: {waste.Waste(**one).line}")


# --- `--norms`: gradients, updates, weights or activations by layer -----------------------------


def norms_dict(summary: "RunSummary", kind: "run_norms.NormKind") -> dict[str, Any]:
    """The norms of each layer of a run, and the layer that moved first. Raises GenuiError if it has
    none, or the file cannot be read."""
    measured = native.read_records(summary.run.norms)
    points = {name: series.points for name, series in measured.items()}
    layers = run_norms.norms_of_kind(points, kind)
    if not any(len(steps) for steps, _, _ in layers.values()):
        raise GenuiError(f"{title(summary)} has no norms of {kind}: {run_norms.NOT_MEASURED}")
    moved = run_norms.first_movement(layers)
    return {
        "run": summary.run.id,
        "kind": kind,
        "layers": {
            layer: {"steps": steps.tolist(), "values": values.tolist()}
            for layer, (steps, values, _) in layers.items()
        },
        "moved": moved and moved._asdict(),
    }


def show_norms(fields: Mapping[str, Any]) -> None:
    """Print a row for each layer, and the one that moved first."""
    import numpy as np

    rows = []
    for layer, points in fields["layers"].items():
        if points["values"]:
            values = np.array(points["values"])
            figures = (values[0], np.median(values), values.max(), values[-1])
            at = count(points["steps"][int(values.argmax())])
            row = [value(float(figure)) for figure in figures]
            rows.append((layer, *row[:3], at, row[3], _curve(shades.find_levels(values, CELLS))))
    heads = ("LAYER", "FIRST", "MEDIAN", "HIGHEST", "AT STEP", "LAST", "CURVE")
    output.print_table(heads, rows, right=(1, 2, 3, 4, 5))
    moved = fields["moved"] and run_norms.Movement(**fields["moved"])
    output.print_line(f"{moved.layer} {moved.text}" if moved else run_norms.STILL)


def _several(number: int, thing: str) -> str:
    return quantity(number, thing) if number else ""


def _spans(overlaps: Sequence[tuple[int, int]]) -> str:
    """The ranges of steps that were logged again; the last values count."""
    spans = [f"{count(first)} to {count(last)}" for first, last in overlaps[:MAX_SPANS]]
    more = f" and {count(len(overlaps) - len(spans))} more" if len(overlaps) > len(spans) else ""
    return f"steps {', '.join(spans)}{more} written again" if spans else ""


def _statistics(series: "Series") -> dict[str, Any]:
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
        "curve": shades.find_levels(values, CELLS),
    }


def _metric_row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    numbers = (value(figures[key]) for key in ("first", "last", "lowest"))
    return (name, *numbers, count(figures["lowest_step"]), _curve(figures["curve"]))


def _curve(levels: Sequence[float | None]) -> str:
    """A curve of one row of cells."""
    if output.speaks_unicode():
        return shades.draw_levels(levels)
    return shades.draw_levels(levels, _PLAIN_BARS, _PLAIN_BROKEN)


# --- `--follow`: new records of a run or log as they are written, and its alerts ---------------

Record = dict[str, Any]

FOLLOW_SECONDS = 0.25
ROTATION_SECONDS = 5.0
"""A log of printed lines may be missing that long between two rotations."""
_NOT_SHOWN = frozenset({"step", "time", "rewind"})
_GOES_ON = frozenset({"writing", "quiet"})
"""States of another tool's log that has not ended, as far as they are known."""


def read_records(file: LineFile) -> list[Record]:
    """The records of a growing metrics.jsonl since the last call; damaged lines are skipped. Raises
    GenuiError if the file cannot be read."""
    lines = file.read_whole()
    return [record for part in lines for record in log_records.decode_lines(part)[0]]


class SeriesRecords:
    """The points of another tool's log as records in the form of genui's runs, each once; later
    points of steps already read are left out."""

    def __init__(self, tail: "Tail") -> None:
        self._tail = tail
        self._last: dict[str, int] = {}

    def read(self) -> list[Record]:
        """The records of new steps since the last call, in order of step."""
        records: dict[int, Record] = {}
        for name, series in self._tail.series.items():
            steps, values, times = series.points
            last = self._last.get(name)
            start = 0 if last is None else int(steps.searchsorted(last, side="right"))
            if start == len(steps):
                continue
            self._last[name] = int(steps[-1])
            new = (steps[start:].tolist(), values[start:].tolist(), times[start:].tolist())
            for step, number, when in zip(*new, strict=True):
                record = records.setdefault(step, {"step": step, "time": when})
                record[name] = number
        return [records[step] for step in sorted(records)]


@dataclass(frozen=True)
class Look:
    """The state of a log and its new records."""

    summary: "RunSummary"
    records: list[Record]  # since the last look
    alerts: "list[Alert]"
    metrics: frozenset[str]  # the names of all metrics
    step: int  # the newest


def follow(summary: "RunSummary", link: "Link | None" = None) -> Iterator[Look]:
    """All records of the run from the first, until the run ends; `link` keeps the copy of another
    host's log up to date. Raises GenuiError if the log cannot be read."""
    tail, alerts = logs.open_tail(summary), run_alerts.Alerts()
    read = SeriesRecords(tail).read
    if summary.native:
        read = partial(read_records, LineFile(summary.run.metrics))
    gone, ended = 0.0, math.inf
    while True:
        now = _now(summary, tail)  # before reading, so that the last record is seen
        while tail.read():
            pass
        new = read()
        points = {name: series.points for name, series in tail.series.items()}
        step = max([now.status.step, *(int(steps[-1]) for steps, _, _ in points.values())])
        yield Look(now, new, alerts.look(now, points, whole=True), frozenset(points), step)
        if now.alive or now.state in _GOES_ON:
            gone, ended = 0.0, math.inf
        elif link is not None and link.updated <= (ended := min(ended, time.monotonic())):
            pass  # the last records may come after the state; a lost link says nothing
        elif not now.native and now.fault and gone < ROTATION_SECONDS:
            gone += FOLLOW_SECONDS  # perhaps it was renamed, and is begun anew
        else:
            return
        time.sleep(FOLLOW_SECONDS)


def line(record: Record) -> str:
    """Formats a record: `step 1,240  loss 1.604  lr 0.0030`."""
    step = record.get("step")
    parts = [f"step {count(step) if isinstance(step, int | float) else step}"]
    if record.get("rewind"):
        parts.append("continues from here: the later records above no longer count")
    for key, number in record.items():
        if key not in _NOT_SHOWN:
            parts.append(f"{key} {_figure(number)}")
    return "  ".join(parts)


def _figure(number: Any) -> str:
    """A value of a record, for people."""
    return value(number) if isinstance(number, int | float) else str(number)


# --- `--until`: the condition to wait for ------------------------------------------------------


@dataclass(frozen=True)
class Until:
    """A step to reach, conditions on metrics, or with neither the end of the run."""

    text: str
    step: int | None = None
    condition: MetricConditions | None = None
    newest: Record = field(default_factory=dict)  # the values of the metrics

    def reached(self, look: "Look") -> str | None:
        """A line that says it is reached, if it is; else None."""
        for record in look.records:
            step = record.get("step")
            at = step if isinstance(step, int | float) else 0
            if self.step is not None and at >= self.step:
                return f"step {count(at)} reached"  # not the newest, which may be much later
            new = {name: record[name] for name in self.metrics if name in record}
            self.newest.update(new)
            if new and self.condition and self.condition.matches(self.newest):
                values = (f"{name} is {_figure(number)}" for name, number in self.newest.items())
                return f"{', '.join(values)} at step {count(at)}"
        if self.step is not None and look.step >= self.step:
            return f"step {count(look.step)} reached"
        return None

    @property
    def metrics(self) -> Iterable[str]:
        return self.condition.keys if self.condition else ()

    @property
    def is_end(self) -> bool:
        """Whether it is only the end of the run."""
        return self.step is None and self.condition is None


def parse_until(text: str) -> Until:
    """`done`, a step such as `5000`, or a condition such as `val_loss<1.5`. Raises MisuseError."""
    word = text.strip()
    if word == "done":
        return Until(word)
    digits = word.replace(",", "").replace("_", "")
    if digits.isascii() and digits.isdecimal() and len(digits) < 16:
        return Until(word, step=int(digits))
    with suppress(MisuseError):
        return Until(word, condition=parse_condition(word))
    raise MisuseError(
        f"--until {text}: write done, a step such as 5000, or a condition such as 'val_loss<1.5'"
    )
