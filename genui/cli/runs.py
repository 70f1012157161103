"""The logs that a word on the command line means: a run of ours, or a path to any log."""

import argparse
import csv
import io
import math
import operator
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import atomic_path
from genui.base.numbers import clock, count, short, value
from genui.cli import output
from genui.cli.options import add_json, add_run
from genui.recipes import FIXED, Recipe, override, recipe_from_dict

if TYPE_CHECKING:
    from genui.logs.base import Tail
    from genui.logs.native import Table
    from genui.runs.alerts import Alert
    from genui.runs.control import Command
    from genui.runs.layout import RunDir
    from genui.runs.listing import RunSummary
    from genui.runs.series import Floats, Series


def find_path(word: str) -> Path | None:
    """The path that `word` means; None where it names a run.

    A run's id or name goes before a file of the same name; `./NAME` is the file. Raises
    MisuseError where it is neither.
    """
    from genui.runs.listing import find_run, list_runs, matching

    path = Path(word).expanduser()
    looks_like_path = os.sep in word or word in (".", "..", "~")
    if not looks_like_path and matching(word, list_runs()):
        return None
    if _exists(path) or _is_file(path.parent):  # a run inside trackio's file
        return path
    if looks_like_path:
        raise MisuseError(f"{word}: there is no such file or folder; check the path")
    try:
        find_run(word)
    except MisuseError as error:
        raise MisuseError(f"{error}; and no file or folder is called so") from None
    return None  # started this very moment


def find_one(word: str) -> "RunSummary":
    """The one log that `word` means. Raises MisuseError where there is none or more than one."""
    from genui.runs.listing import find_run, summarise

    path = find_path(word)
    if path is None:
        return summarise(find_run(word))
    if _exists(path):
        found = find_all(path)
    else:
        found = [one for one in find_all(path.parent) if one.run.path == path]
        if not found:
            raise MisuseError(f"{word}: {path.parent} holds no such run; name another")
    if len(found) > 1:
        some = ", ".join(str(s.run.path) for s in found[:3]) + (", …" if len(found) > 3 else "")
        raise MisuseError(f"{word}: holds {len(found)} logs ({some}); name one of them")
    return found[0]


def find_all(path: Path) -> "list[RunSummary]":
    """The logs at or below the path; what of it may not be read is remarked on. Raises as
    `find_logs`."""
    from genui.logs.find import find_logs

    found = find_logs(path)
    if found.note:
        output.note(f"{path}: {found.note}")
    return found


def look_again(summary: "RunSummary", ended: str = "") -> "RunSummary":
    """How that log is now; `ended` is what the reader of another tool's found in it."""
    from genui.runs.listing import summarise

    if summary.format == "genui":
        return summarise(summary.run)
    from genui.logs.find import summarise_log

    return summarise_log(summary.run.path, summary.format, ended)


def read_whole(summary: "RunSummary") -> "Tail":
    """The log, read to its end as it is now. Raises GenuiError."""
    from genui.logs import open_tail

    tail = open_tail(summary)
    while tail.read():
        pass
    return tail


def title(summary: "RunSummary") -> str:
    """What to call the log in a line."""
    return summary.run.id if summary.format == "genui" else str(summary.run.path)


def _exists(path: Path) -> bool:
    """Whether there is, or may be, something at the path: what reads it says why it may not."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # a name too long, a null byte
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


# --- `genui runs`: your trainings, the newest first -------------------------------------------


def configure_runs(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  genui runs --json | jq -r '.[] | select(.state==\"running\").id'"
    add_json(parser, "a JSON list")


def run_runs(args: argparse.Namespace) -> int:
    if args.json:
        from genui.runs.listing import list_runs

        output.emit([as_dict(summary) for summary in list_runs()])
    else:
        listing()
    return 0


def listing() -> None:
    """The runs as a table, or what to do where there is none."""
    from genui.runs.listing import list_runs

    summaries = list_runs()
    if not summaries:
        output.say("none yet: `genui train shakespeare` starts one")
        return
    output.table(
        ("RUN", "STATE", "STEP", "VAL", "LEFT", "LAST WRITE"),
        map(_run_row, summaries),
        right=(2, 3, 4),
    )


def as_dict(summary: "RunSummary") -> dict[str, Any]:
    """A run as scripts read it: `state` is the state as seen, so a killed run says "dead"."""
    status = msgspec.structs.asdict(summary.status)
    return {
        "id": summary.run.id,
        "path": summary.run.path,
        "fault": summary.fault,
        "age": summary.age,
        "info": msgspec.structs.asdict(summary.info),
        **status,
        "state": summary.state,
    }


def _run_row(summary: "RunSummary") -> tuple[str, ...]:
    status = summary.status
    if summary.fault:
        return (summary.run.id, "broken", "", "", "", summary.fault)
    return (
        summary.run.id,
        summary.state,
        f"{count(status.step)}/{count(status.steps)}" if status.steps else count(status.step),
        "" if status.val is None else value(status.val),
        clock(status.eta) if summary.state == "running" and status.eta >= 0 else "",
        f"{span(summary.age)} ago",
    )


def span(seconds: float) -> str:
    """A time in the largest unit that says it: 8 s, 5 min, 3 h, 2 days."""
    for unit, size, below in (("s", 1, 60), ("min", 60, 3600), ("h", 3600, 48 * 3600)):
        if seconds < below:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


# --- `genui pause|stop|checkpoint|evaluate`: ask a live run for something, and see it obeyed --

POLL_SECONDS = 0.05
WAIT = 5.0  # seconds
EVALUATION_WAIT = 120.0  # seconds; it measures, and then it generates


def configure_steer(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"example:\n  {parser.prog} last"
    add_run(parser)
    add_wait(parser, EVALUATION_WAIT if parser.prog.endswith(" evaluate") else WAIT)


def add_wait(parser: argparse.ArgumentParser, default: float = WAIT) -> None:
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=default,
        help=f"how long to wait until the run has obeyed (default {default:g})",
    )


def run_steer(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run

    ask(find_run(args.run_ref), args.command, args.wait)
    return 0


def ask(run: "RunDir", command: "Command", wait: float, value: float | None = None) -> None:
    """Send `command` and say whether the run obeyed within `wait` seconds.

    Raises GenuiError where no trainer is there to obey.
    """
    from genui.runs.control import steer

    obeyed = _sign_of(run, command)
    steer(run, command, value)
    until = time.monotonic() + wait
    while not (said := obeyed()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    verb = "change its learning rate" if command == "rate" else command
    output.say(f"{run.id}: {said or f'asked to {verb}; it obeys between two steps'}")


def _sign_of(run: "RunDir", command: "Command") -> Callable[[], str]:
    """What the run has done, and at which step, once it has obeyed; "" until then."""
    from genui.runs.listing import summarise

    before = len(_told(run, command))

    def told() -> str:
        return next(iter(_told(run, command)[before:]), "")

    def seen() -> str:
        summary = summarise(run)
        if command == "stop":
            obeyed = not summary.alive
        else:
            obeyed = summary.state == ("paused" if command == "pause" else "running")
        return f"{summary.state} at step {count(summary.status.step)}" if obeyed else ""

    # A state shows in status.json at once, also where a script of the user's own obeys.
    return seen if command in ("pause", "resume", "stop") else told


def _told(run: "RunDir", command: "Command") -> list[str]:
    """Every time the run obeyed that command, in its own words."""
    from genui.runs.control import read_events

    told = [event for event in read_events(run) if event.event == command]
    return [f"{event.text} at step {count(event.step)}" for event in told]


# --- `genui set`: change the learning rate of a run while it trains ---------------------------

RATE = "learning_rate"


def configure_set(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The learning rate is the recipe's base rate: warm-up and decay keep their shape, and\n"
        "Muon's rate changes by the same factor. A checkpoint is written with it, so a run that\n"
        "is killed later goes on as it would have. Other settings need a new run:\n"
        "genui train --from RUN --set KEY=VALUE.\n\n"
        "example:\n"
        "  genui set last learning_rate=3e-4"
    )
    add_run(parser)
    parser.add_argument("setting", metavar="learning_rate=VALUE", help="for example 3e-4")
    add_wait(parser)


def run_set(args: argparse.Namespace) -> int:
    from genui.runs.listing import find_run

    found = find_run(args.run_ref)
    ask(found, "rate", args.wait, learning_rate(found, [args.setting]))
    return 0


def learning_rate(run: "RunDir", pairs: list[str]) -> float:
    """The one thing that can be set in a run, from `learning_rate=VALUE`.

    Raises MisuseError for any other setting, with how to train with that one, and for a value
    that will not do.
    """
    from genui.runs.layout import read_info

    info = read_info(run)
    if info.kind == "script":
        raise MisuseError(f"run {run.id} is a script of your own: it sets its learning rate itself")
    recipe = recipe_from_dict(info.recipe)
    settings: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = (part.strip() for part in pair.partition("="))
        if not sign:
            raise MisuseError(f"{pair!r}: expected {RATE}=VALUE, as in {RATE}=3e-4")
        if key != RATE:
            raise _fixed(run, recipe, key, value)
        settings[key] = value
    try:
        return override(recipe, settings).learning_rate
    except MisuseError as error:
        raise MisuseError(str(error).removeprefix("--set ")) from None


def _fixed(run: "RunDir", recipe: Recipe, key: str, value: str) -> MisuseError:
    remedy = f"start another with genui train --from {run.id} --set {key}={value}"
    if not hasattr(recipe, key) or key in FIXED:
        remedy = f"give {RATE}=VALUE"
    return MisuseError(f"{key}={value}: only {RATE} can change in a run; {remedy}")


# --- A run on one screen of text: how far it is, what its metrics did, what there is to be told

MOST_METRICS = 20  # rows; a terminal has 24
CELLS = 24  # of a curve
MOST_SPANS = 3
_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_BROKEN = "×", "x"  # where a part of the curve is no finite number


def digest(summary: "RunSummary") -> dict[str, Any]:
    """Everything that `show` shows, for scripts. Raises GenuiError where the log is damaged."""
    from genui.logs.native import MetricsTail
    from genui.runs.alerts import Alerts

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
        rows = [_metric_row(name, metrics[name]) for name in list(metrics)[:MOST_METRICS]]
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


def _metric_row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    unicode = output.speaks_unicode()
    bars, broken = (_BARS, _BROKEN[0]) if unicode else (_PLAIN_BARS, _BROKEN[1])
    curve = "".join(
        broken if level is None else bars[min(int(level * len(bars)), len(bars) - 1)]
        for level in figures["curve"]
    )
    numbers = (value(figures[key]) for key in ("first", "last", "lowest"))
    return (name, *numbers, count(figures["lowest_step"]), curve)


def _as_dict(alert: "Alert") -> dict[str, Any]:
    return {"kind": alert.kind, "step": alert.step, "time": alert.time, "line": alert.line}


# --- New metric records of a run or log as they are written, and what is to be told of it -----

Record = dict[str, Any]

FOLLOW_SECONDS = 0.25
_NOT_SHOWN = frozenset({"step", "time", "rewind"})
_GOES_ON = frozenset({"writing", "quiet"})
"""States of another tool's log that did not say that it ended."""


class RecordTail:
    """Reads whole records of a growing metrics.jsonl, each once.

    A torn last line waits until it is whole; a file that became another is read from its start;
    a line that is no record is passed over.
    """

    def __init__(self, path: Path) -> None:
        from genui.logs.base import LineFile

        self._lines = LineFile(path)

    def read(self) -> list[Record]:
        """The records completed since the last call. Raises GenuiError where the file may not
        be read."""
        from genui.logs.base import CHUNK
        from genui.logs.text import decode_lines

        found: list[Record] = []
        while True:
            before = self._lines.offset
            lines = self._lines.read_lines(CHUNK)
            found += decode_lines(lines)[0]
            if not lines and self._lines.offset == before:
                return found


class SeriesRecords:
    """The points of another tool's log as records like ours, each once; what is written of
    steps already read is left out."""

    def __init__(self, tail: "Tail") -> None:
        self._tail = tail
        self._last: dict[str, int] = {}

    def read(self) -> list[Record]:
        """The records of the steps that came since the last call, in order of step."""
        found: dict[int, Record] = {}
        for name, series in self._tail.series.items():
            steps, values, times = series.points
            last = self._last.get(name)
            start = 0 if last is None else int(steps.searchsorted(last, side="right"))
            if start == len(steps):
                continue
            self._last[name] = int(steps[-1])
            new = (steps[start:].tolist(), values[start:].tolist(), times[start:].tolist())
            for step, number, when in zip(*new, strict=True):
                record = found.setdefault(step, {"step": step, "time": when})
                record[name] = number
        return [found[step] for step in sorted(found)]


@dataclass(frozen=True)
class Look:
    """A log at one moment."""

    summary: "RunSummary"
    records: list[Record]  # since the look before
    alerts: "list[Alert]"
    metrics: frozenset[str]  # all that were ever logged
    step: int  # the newest


def follow(summary: "RunSummary") -> Iterator[Look]:
    """Every record of the run from its first, ending when the run is over. Raises GenuiError
    where the log cannot be read."""
    from genui.logs import open_tail
    from genui.runs.alerts import Alerts

    tail, alerts = open_tail(summary), Alerts()
    ours = summary.format == "genui"
    records = RecordTail(summary.run.metrics) if ours else SeriesRecords(tail)
    while True:
        now = look_again(summary, tail.ended)  # before reading, so that the last record is seen
        while tail.read():
            pass
        new = records.read()
        points = {name: series.points for name, series in tail.series.items()}
        step = max([now.status.step, *(int(steps[-1]) for steps, _, _ in points.values())])
        yield Look(now, new, alerts.look(now, points, whole=True), frozenset(points), step)
        if not (now.alive or now.state in _GOES_ON):
            return
        time.sleep(FOLLOW_SECONDS)


def line(record: Record) -> str:
    """A record for a person: step 1,240  loss 1.604  lr 0.0030."""
    step = record.get("step")
    parts = [f"step {count(step) if isinstance(step, int | float) else step}"]
    if record.get("rewind"):
        parts.append("goes on from here: later records above no longer count")
    for key, number in record.items():
        if key not in _NOT_SHOWN:
            parts.append(f"{key} {value(number) if isinstance(number, int | float) else number}")
    return "  ".join(parts)


# --- What `genui inspect --until` waits for ---------------------------------------------------

_COMPARES: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*(?P<metric>.*?\S)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)")


@dataclass(frozen=True)
class Until:
    """A step to be reached, a bound for a metric to pass, or, with neither, the end."""

    text: str
    step: int | None = None
    metric: str = ""
    sign: str = ""
    bound: float = math.nan

    def reached(self, look: "Look") -> str | None:
        """The line that says so, where one of the look's records fulfils it."""
        for record in look.records:
            step = record.get("step")
            at = step if isinstance(step, int | float) else 0
            if self.step is not None and at >= self.step:
                return f"step {count(at)} reached"  # not the newest, which may be far beyond
            number = record.get(self.metric) if self.metric else None
            if isinstance(number, int | float) and _COMPARES[self.sign](number, self.bound):
                return f"{self.metric} is {value(number)} at step {count(at)}"
        if self.step is not None and look.step >= self.step:
            return f"step {count(look.step)} reached"
        return None

    @property
    def is_end(self) -> bool:
        """Whether it waits for the end of the run alone."""
        return self.step is None and not self.metric


def parse_until(text: str) -> Until:
    """`done`, a step such as `5000`, or a condition such as `val_loss<1.5`. Raises MisuseError."""
    word = text.strip()
    if word == "done":
        return Until(word)
    digits = word.replace(",", "").replace("_", "")
    if digits.isascii() and digits.isdecimal() and len(digits) < 16:
        return Until(word, step=int(digits))
    match = _CONDITION.fullmatch(word)
    if match:
        try:
            bound = float(match["bound"])
        except ValueError:
            bound = math.nan
        if not math.isnan(bound):
            return Until(word, metric=match["metric"], sign=match["sign"], bound=bound)
    raise MisuseError(
        f"--until {text}: write done, a step such as 5000, or a condition such as 'val_loss<1.5'"
    )


# --- `genui inspect`: one run or log, as it is now or as it goes on ---------------------------

EARLIER = 10  # records shown before the new ones, for a person
LOST = ("failed", "dead")


def configure_inspect(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui inspect last\n"
        "  genui inspect last --summary             every metric on one screen\n"
        "  genui inspect plays --follow             the last records, then each new one\n"
        "  genui inspect plays --follow --json      every record from the first, a line each\n"
        "  genui inspect plays --until done && genui generate plays\n"
        "  genui inspect lightning_logs/version_3 --until 'val_loss<1.5'\n\n"
        "--until exits with 0 when it is reached, and with 1 where the run fails or ends before."
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
    add_json(parser)


def run_inspect(args: argparse.Namespace) -> int:

    if args.summary and (args.follow or args.until is not None):
        raise MisuseError("inspect: --summary shows a run as it is now; leave --follow out")
    until = None if args.until is None else parse_until(args.until)
    found = find_one(args.run_ref)
    if args.follow or until:
        return _follow(found, args.json, until)
    if args.summary:
        if args.json:
            output.emit(digest(found))
        else:
            show(found)
    elif args.json:
        output.emit(inspect_dict(found))
    else:
        describe(found)
    return 0


def describe(summary: "RunSummary") -> None:
    """What a run is, how far it is and where its files are."""
    from genui.runs.models import spelled

    _refuse_broken(summary)
    if summary.format != "genui":
        _describe_foreign(summary)
        return
    info, status, run = summary.info, summary.status, summary.run
    recipe = info.recipe
    made = f"{recipe.get('name')} ({recipe.get('family')}, {recipe.get('medium')})"
    step = count(status.step)
    if status.steps:
        step += f" of {count(status.steps)} ({100 * status.step / status.steps:.0f} %)"
    newest = max(run.samples.glob("step-*"), default="", key=str)
    output.facts(
        [
            ("run", run.id),
            ("state", f"{summary.state}: {status.error}" if status.error else summary.state),
            ("project", info.project),
            ("recipe", made if recipe else ""),
            ("config", _settings(info.config)),
            ("changed", _settings(info.overrides)),
            ("from", spelled(info.start_from)),
            ("learning rate", _learning_rate(summary)),
            ("data", info.data),
            ("machine", ", ".join(f"{key} {item}" for key, item in info.machine.items())),
            ("step", step),
            ("left", clock(status.eta) if summary.state == "running" and status.eta >= 0 else ""),
            ("rate", f"{short(status.unit_rate)} {status.unit}" if status.unit_rate else ""),
            ("loss", "" if status.loss is None else value(status.loss)),
            ("val", "" if status.val is None else value(status.val)),
            ("sample", str(newest)),
            ("folder", str(run.path)),
        ]
    )


def inspect_dict(summary: "RunSummary") -> dict[str, Any]:
    """What `describe` tells, for scripts; of a folder that is broken what is known of it.

    Raises GenuiError where another tool's log cannot be read.
    """

    if summary.format == "genui":
        return {**as_dict(summary), "format": summary.format}
    log = _read_foreign(summary)
    last = {name: float(series.values[-1]) for name, series in log.tail.series.items()}
    told = as_dict(log.summary)
    told["info"]["config"] = log.tail.config
    return {
        **told,
        "format": summary.format,
        "step": log.step,
        "loss": last.get("loss"),
        "val": last.get("val"),
        "metrics": last,
    }


class _Foreign(NamedTuple):
    """Another tool's log, read to its end."""

    summary: "RunSummary"
    tail: "Tail"
    step: int | None  # the last; None where nothing was logged yet


def _read_foreign(summary: "RunSummary") -> _Foreign:
    """Raises GenuiError where it cannot be read."""
    tail = read_whole(summary)
    now = replace(look_again(summary, tail.ended), info=summary.info)
    steps = [int(series.steps[-1]) for series in tail.series.values()]
    return _Foreign(now, tail, max(steps, default=None))


def _describe_foreign(summary: "RunSummary") -> None:
    """Another tool's log, which has to be read for what it says."""
    now, tail, step = _read_foreign(summary)
    names = list(tail.series)
    more = len(names) - EARLIER
    output.facts(
        [
            ("log", title(summary)),
            ("format", summary.format),
            ("state", now.state),
            ("config", _settings(tail.config)),
            ("step", "" if step is None else count(step)),
            ("metrics", ", ".join(names[:EARLIER]) + (f" and {more} more" if more > 0 else "")),
            ("written", f"{clock(now.age)} ago"),
        ]
    )


def _learning_rate(summary: "RunSummary") -> str:
    """The base rate that the schedule takes a share of, as last changed."""
    from genui.runs.control import changed_rate

    planned = summary.info.recipe.get("learning_rate")
    changed = changed_rate(summary.run)
    if changed is not None:
        return f"{changed:g}, at first {planned}"
    return "" if planned is None else str(planned)


def _settings(settings: Mapping[str, object]) -> str:
    return " ".join(f"{key}={item}" for key, item in settings.items())


def _refuse_broken(summary: "RunSummary") -> None:
    if summary.fault:
        raise GenuiError(f"{summary.run.path}: {summary.fault}")


def _follow(found: "RunSummary", as_json: bool, until: "Until | None") -> int:

    _refuse_broken(found)
    if not as_json:
        describe(found)
    say = output.note if as_json else output.say  # stdout is for records alone
    last: Look | None = None
    warned = False
    for look in follow(found):
        if as_json:
            for record in look.records:
                output.emit(record, indent=False)
        else:
            for record in look.records if last else look.records[-EARLIER:]:
                output.say(line(record))
        last = look
        for alert in look.alerts:
            if alert.kind not in ("crash", "finish"):  # said at the end
                say(f"{alert.kind}: {alert.line}")
        if until is not None and (reached := until.reached(look)) is not None:
            say(reached)
            return 0
        if until is not None and not warned:
            warned = _warn(until, look)
    assert last is not None  # there is always a first look
    _over(last, until, say)
    return 0


def _over(look: "Look", until: "Until | None", say: Callable[[str], None]) -> None:
    """What to say of a run that has ended. Raises GenuiError where that is not as asked."""
    last = look.summary
    state = f"{title(last)} {last.state} at step {look.step}"
    if last.state in LOST:
        why = last.fault or last.status.error or "its process is gone"
        remedy = ""
        if last.format == "genui" and last.info.kind == "recipe":
            remedy = f"; `genui resume {last.run.id}` goes on from its newest checkpoint"
        raise GenuiError(f"{state}: {why}{remedy}")
    if until is not None and not until.is_end:
        raise GenuiError(f"{state}, before {until.text}")
    say(f"{last.state} at step {count(look.step)}")


def _warn(until: "Until", look: "Look") -> bool:
    """Says, once, that nothing of that name has been logged; perhaps it is misspelt."""
    if not until.metric or not look.metrics or until.metric in look.metrics:
        return False
    output.note(f"no metric '{until.metric}' so far: {did_you_mean(until.metric, look.metrics)}")
    return True


# --- `genui export`: the metrics of a run or log in a form that other tools read --------------

STDOUT = "-"
PIECE = 64 * 1024  # characters written at once
SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
EVENTS = "events.out.tfevents."  # the beginning by which TensorBoard finds them
OURS = ".genui"  # the end by which we find what we wrote


def configure_export(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Any log that genui watches can be exported. CSV and JSONL have every number in full;\n"
        "TensorBoard keeps 32-bit floats.\n\n"
        "examples:\n"
        "  genui export last --csv                      to standard output\n"
        "  genui export plays --csv plays.csv\n"
        "  genui export wandb/offline-run-20260105 --tensorboard runs/plays"
    )
    parser.add_argument(
        "run_ref", metavar="RUN", help="a run's id, name or 'last', or the path of a log"
    )
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument(
        "--csv", metavar="FILE", nargs="?", const=STDOUT, help="a row a step; FILE or - (default)"
    )
    kinds.add_argument(
        "--jsonl", metavar="FILE", nargs="?", const=STDOUT, help="a JSON object a step"
    )
    kinds.add_argument("--tensorboard", metavar="DIR", help="an event file in the folder DIR")
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run_export(args: argparse.Namespace) -> int:
    if args.tensorboard is not None:
        _to_tensorboard(args.run_ref, Path(args.tensorboard).expanduser(), args.force)
        return 0
    form, word = (_csv, args.csv) if args.csv is not None else (_jsonl, args.jsonl)
    if word == STDOUT:
        for piece in form(_read(args.run_ref)[0]):
            sys.stdout.write(piece)
        return 0
    target = Path(word).expanduser()
    _check_file(target, args.force)
    table, _ = _read(args.run_ref)
    _write(target, (piece.encode(errors="replace") for piece in form(table)))
    _said(table, target)
    return 0


def _read(ref: str) -> tuple["Table", float]:
    """The metrics of the run, and the unix time it was created. Raises GenuiError."""
    from genui.logs.native import Table

    found = find_one(ref)
    if found.fault:
        raise GenuiError(found.fault)
    table = Table(read_whole(found).series)
    if not len(table):
        raise GenuiError(f"{title(found)}: has no metrics; nothing is written")
    return table, found.info.created


def _csv(table: "Table") -> Iterator[str]:
    """The rows as RFC 4180 has them, but for the line ends, with every digit of a float."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", "time", *table.names))
    for row in table.rows():
        time = "" if math.isnan(row.time) else repr(row.time)
        values = ("" if value is None else repr(value) for value in row.values)
        writer.writerow((row.step, time, *values))
        if text.tell() > PIECE:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _jsonl(table: "Table") -> Iterator[str]:
    """The rows as our own metrics.jsonl has them: NaN and infinities by name."""
    encode = msgspec.json.Encoder().encode
    for row in table.rows():
        record: dict[str, float | str] = {"step": row.step}
        if not math.isnan(row.time):
            record["time"] = row.time
        for name, number in zip(table.names, row.values, strict=True):
            if number is not None:
                record[name] = number if math.isfinite(number) else SPELLED[str(number)]
        yield encode(record).decode() + "\n"


def _to_tensorboard(ref: str, folder: Path, force: bool) -> None:
    from genui.logs.tensorboard import event_file

    _check_folder(folder, force)
    table, created = _read(ref)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GenuiError(
            f"{folder}: cannot be made ({error.strerror}); name another folder"
        ) from None
    # As TensorBoard's own writers name them: it reads the files of a folder in this order.
    host, pid = socket.gethostname(), os.getpid()
    target = folder / f"{EVENTS}{int(created):010d}.{host}.{pid}{OURS}"
    _write(target, event_file(table.names, table.rows(), created))
    for old in folder.glob(f"{EVENTS}*{OURS}"):
        if old != target:
            old.unlink(missing_ok=True)
    _said(table, target)


def _check_folder(folder: Path, force: bool) -> None:
    """Refuses a folder that has event files: TensorBoard would draw both as one run."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(EVENTS)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise GenuiError(f"{folder}: {(error.strerror or '').lower()}; name a folder") from None
    foreign = [name for name in names if not name.endswith(OURS)]
    if foreign:
        raise MisuseError(f"{folder}: holds the event file {foreign[0]} of another program; "
                          "name another folder")  # fmt: skip
    if names and not force:
        raise MisuseError(f"{folder}: holds {names[0]} already; --force replaces it")


def _check_file(target: Path, force: bool) -> None:
    if target.is_dir():
        raise MisuseError(f"{target}: is a folder; name a file in it")
    if os.path.lexists(target) and not target.is_file():
        raise MisuseError(f"{target}: is no regular file; name another")
    if target.exists() and not force:
        raise MisuseError(f"{target}: is there already; --force replaces it")
    if not target.parent.is_dir():
        raise MisuseError(f"{target}: there is no folder {target.parent}; make it first")


def _write(target: Path, pieces: Iterable[bytes]) -> None:
    """The whole file or none of it. Raises GenuiError where the disk refuses."""
    with atomic_path(target) as aside, aside.open("xb") as file:
        for piece in pieces:
            file.write(piece)


def _said(table: "Table", target: Path) -> None:
    metrics = "1 metric" if len(table.names) == 1 else f"{count(len(table.names))} metrics"
    output.note(f"{target}: {count(len(table))} steps, {metrics}")
