"""A table of runs: its columns, the language of its filter, its order and its groups.

A column has a key: `lr` is a value of the config or, if there is none, the last value of a metric;
`best.val_loss` is the best value of a metric and `curve.val_loss` its sparkline; `name`, `state`,
`step`, `age`, `tags` … are of the run. `config.KEY` and `last.KEY` name one of two that have the
same key. The part after the last `.` or `/` will do: `lr` finds `optimizer.lr`.
"""

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from genui.base import numbers
from genui.base.conditions import Conditions, Test, Token, Value, compile_pattern, text_of
from genui.base.errors import MisuseError, did_you_mean
from genui.base.text import clean_line
from genui.runs import facts
from genui.runs.listing import RunSummary
from genui.runs.table_state import TableState

# --- Whether more of a metric is better ------------------------------------------------------

_LOWER = re.compile(
    r"loss|error|cross.?entropy|perplexity|frechet|divergence|distance"
    r"|(?<![a-z])(err|nll|ce|mse|mae|rmse|ppl|bpb|bpc|wer|cer|fid|kid|kl)(?![a-z])",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    r"accuracy|precision|recall|reward|coverage|variety|likelihood|success"
    r"|(?<![a-z])(acc|acc1|acc5|top1|top5|f1|auc|auroc|map|map50|iou|miou|dice|bleu|rouge[a-z]*"
    r"|rew|return|returns|score|psnr|ssim|density|r2|elo|em|core)(?![a-z])",
    re.IGNORECASE,
)
_HELD_OUT = re.compile(
    r"(?<![a-z])(val|valid|validation|eval|evaluation|test|dev|heldout)(?![a-z])", re.IGNORECASE
)


def better(metric: str) -> int:
    """-1 if less of a metric of that name is better, 1 if more is; 0 if neither can be said."""
    if _LOWER.search(metric):
        return -1
    return 1 if _HIGHER.search(metric) else 0


# --- A row -----------------------------------------------------------------------------------


class Metric(NamedTuple):
    """The last and the best value of a metric; the best is NaN if `better` does not say which."""

    last: float
    best: float = math.nan
    step: int = 0  # of the best, or else of the last
    curve: str = ""  # a sparkline


@dataclass(frozen=True)
class TableRow:
    """A run with its metrics and its config as far as they are known, flattened."""

    run: RunSummary
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    config: Mapping[str, Value] = field(default_factory=dict)
    step: int = 0  # the last of its metrics

    @cached_property
    def key(self) -> str:
        """The path of the run."""
        return str(self.run.run.path)

    def get(self, key: str) -> Value | None:
        """The value in a column; None if the run has none."""
        own = _OF_RUN.get(key)
        if own is not None and (key not in _OF_TRIAL or self.run.info.sweep):
            return own(self.run) or (self.step or None if key == "step" else None)
        part, _, rest = key.partition(".")
        if rest and part in _PARTS:
            if part == "config":  # of a name that a metric or the run has too
                return _find(self.config, self._config_ends, rest)
            metric = _find(self.metrics, self._metric_ends, rest)
            if metric is None:
                return None
            if part == "curve":
                return metric.curve or None
            return metric.last if part == "last" or math.isnan(metric.best) else metric.best
        for name in (key, *_ALIASES.get(key, ())):
            if name in self.config:
                return self.config[name]
        if key in self.metrics:
            return self.metrics[key].last
        if (value := self._config_ends.get(key.lower())) is not None:
            return value
        metric = self._metric_ends.get(key.lower())
        return None if metric is None else metric.last

    @cached_property
    def curve(self) -> str:
        """The sparkline of the run's main metric, or ""."""
        main = main_metric([self])
        return self.metrics[main].curve if main else ""

    @cached_property
    def _config_ends(self) -> Mapping[str, Value]:
        return _by_end(self.config)

    @cached_property
    def _metric_ends(self) -> Mapping[str, Metric]:
        return _by_end(self.metrics)


def _find(values: Mapping[str, Any], ends: Mapping[str, Any], key: str) -> Any:
    value = values.get(key)
    return ends.get(key.lower()) if value is None else value


def _by_end(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by their names and the last parts of those, in lower case; the first counts."""
    ends: dict[str, Any] = {name.lower(): value for name, value in values.items()}
    for name, value in values.items():
        ends.setdefault(re.split(r"[./]", name)[-1].lower(), value)
    return ends


def sweep_of(run: RunSummary) -> str:
    """The name of the sweep that a run is a trial of, or ""."""
    return clean_line(str(run.info.sweep.get("name", "")), 60)


_OF_RUN: Mapping[str, Callable[[RunSummary], Value]] = {
    "name": lambda run: run.info.name,
    "id": lambda run: run.info.id,
    "state": lambda run: run.state,
    "cause": lambda run: facts.describe_cause(run) or run.error,
    "step": lambda run: run.status.step,
    "age": lambda run: run.age,
    "created": lambda run: run.info.created,
    "tags": lambda run: " ".join(run.labels.tags),
    "note": lambda run: run.labels.note,
    "project": lambda run: run.info.project,
    "sweep": lambda run: sweep_of(run),
    "setting": lambda run: str(run.info.sweep.get("setting", "")),
    "host": lambda run: run.host,
}
"""Columns of the run itself; an empty text or 0 is no value."""

_OF_TRIAL = frozenset({"sweep", "setting"})
"""Columns of the trials of a sweep; for other runs they may be in the config."""

_PARTS = ("best", "last", "curve", "config")
_ALIASES = {"lr": ("learning_rate",), "learning_rate": ("lr",)}
_COLUMN_ALIASES = {"tag": "tags"}
_ALWAYS = frozenset(_OF_RUN)


def iterate_settings(
    config: Mapping[str, Any], prefix: str = "", depth: int = 12
) -> Iterator[tuple[str, Any]]:
    """The settings of a nested config by dotted keys: `{"model": {"width": 256}}` has
    ("model.width", 256). Settings deeper than `depth` are one value."""
    for name, value in config.items():
        key = f"{prefix}{clean_line(str(name), 80)}"
        if isinstance(value, Mapping) and value and depth:
            yield from iterate_settings(value, f"{key}.", depth - 1)
        else:
            yield key, value


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """The settings of a nested config as numbers and texts; empty ones are left out."""
    flat: dict[str, Value] = {}
    for key, value in iterate_settings(config):
        if isinstance(value, bool):
            flat[key] = str(value).lower()
        elif isinstance(value, int | float) and abs(value) < 1e300:
            flat[key] = value
        elif value not in (None, "", [], {}, ()):
            flat[key] = clean_line(str(value)[:1000], 200)
    return flat


# --- The filter ------------------------------------------------------------------------------

FILTER_HELP = "e.g. lr>1e-4 and val_loss<1.5, tag:wide, has:acc, not state:failed, /run-\\d+/"

_FIELDS = ("tag", "has", "name", "state", "id", "note", "project", "sweep", "host")


class RunFilter(Conditions):
    """A filter of runs: conditions on their columns, and words.

        lr>1e-4 and (val_loss<1.5 or best.acc>=90%) not tag:old

    A word is a part of the name, or a regular expression; `/…/` always is one.
    """

    title = "filter"
    example = FILTER_HELP

    def _name(self, text: str) -> str:
        return _COLUMN_ALIASES.get(text, text)

    def _read_word(self, token: Token) -> Test:
        if token.kind == "regex":
            return _name_test(compile_pattern(token.text.strip("/") if len(token.text) > 1 else ""))
        if token.kind == "quoted":
            return _name_test(re.compile(re.escape(token.bare), re.IGNORECASE))
        return self._field(token) or _name_test(_forgiving(token.text))

    def _field(self, token: Token) -> Test | None:
        """`tag:wide` and the like; None if the word does not begin so."""
        kind, colon, text = token.text.partition(":")
        kind = kind.lower()
        if not colon or kind not in _FIELDS:
            return None
        following = self._peek()
        if not text and following is not None and following.start == token.end:
            if following.kind == "quoted":
                self._at += 1
                text = following.bare
            elif following.kind == "regex":
                self._at += 1
                text = following.text.strip("/")
        if not text:
            raise self._fault(f"'{kind}:' needs a word after it")
        if kind == "has":
            self.keys[text] = None
            return lambda row: row.get(text) is not None
        if kind == "tag":
            folded = text.casefold()
            return lambda row: any(folded == tag.casefold() for tag in row.run.labels.tags)
        pattern = _forgiving(text)
        return lambda row: (
            (value := row.get(kind)) is not None and pattern.search(text_of(value)) is not None
        )


def _forgiving(text: str) -> re.Pattern[str]:
    """The regular expression that a word is, or else of the word itself."""
    try:
        return compile_pattern(text)
    except MisuseError:
        return re.compile(re.escape(text), re.IGNORECASE)


def _name_test(pattern: re.Pattern[str]) -> Test:
    return lambda row: (
        pattern.search(row.run.info.name) is not None or pattern.search(row.run.run.id) is not None
    )


# --- The columns -----------------------------------------------------------------------------


def all_columns(rows: Sequence[TableRow]) -> list[str]:
    """The keys of every column that any row has: of the run, best and last of metrics, config."""
    metrics = Counter(name for row in rows for name in row.metrics)
    config = Counter(name for row in rows for name in row.config)
    columns = [key for key in _OF_RUN if key != "id"]
    for name in metrics:
        columns += [f"best.{name}"] if better(name) else []
        columns.append(_last_key(name, config))
    return columns + [f"config.{name}" if name in _ALWAYS else name for name in config]


def check_column(key: str, rows: Sequence[TableRow]) -> str:
    """The key, if any row has such a column. Raises MisuseError with the nearest one."""
    key = _COLUMN_ALIASES.get(key, key)
    if key in _ALWAYS or any(row.get(key) is not None for row in rows):
        return key
    nearest = did_you_mean(key, set(all_columns(rows)))
    raise MisuseError(f"no run has '{clean_line(key, 40)}': {nearest}")


def main_metric(rows: Sequence[TableRow]) -> str:
    """The metric by which runs are compared first, a held-out loss if most have one; or ""."""
    counts = Counter(name for row in rows for name in row.metrics if better(name))
    most = max(counts.values(), default=0)
    common = [name for name, count in counts.items() if 2 * count >= most]

    def rank(name: str) -> tuple[bool, bool, int, bool, int]:
        is_loss = "loss" in name.lower()  # before the same in another unit
        return not _HELD_OUT.search(name), better(name) > 0, -counts[name], not is_loss, len(name)

    return min(common, key=rank, default="")


_MOST_CONFIG, _MOST_OTHERS = 8, 8  # columns
_DULL = re.compile(r"(^|[._/])(dir|path|file|output|url|command)|^printed units\b", re.IGNORECASE)


class Survey(NamedTuple):
    """The columns and the order that a table of runs has at first."""

    columns: list[str]  # the main metric, the step, what differs in the configs, other metrics
    varied: list[str]  # the columns of the config in which the runs differ
    main: str  # the main metric; may be empty


def survey(rows: Sequence[TableRow]) -> Survey:
    """The columns that tell these runs apart."""
    configs = {name for row in rows for name in row.config}
    differing, main = varied(rows), main_metric(rows)
    columns = [f"best.{main}", *_curve_keys(main, rows), _last_key(main, configs)] if main else []
    columns.append("step")
    if any(row.run.labels.tags for row in rows):
        columns.append("tags")
    if any(row.run.info.sweep for row in rows):
        columns.append("sweep")
    if any(row.run.state == "pending" for row in rows):
        columns.insert(0, "note")  # why a job of Slurm waits
    columns += differing[:_MOST_CONFIG]
    counts = Counter(name for row in rows for name in row.metrics if name != main)
    names = sorted(counts, key=lambda name: (not better(name), -counts[name]))
    for name in names[:_MOST_OTHERS]:
        columns.append(f"best.{name}" if better(name) else _last_key(name, configs))
    return Survey([*columns, "age"], differing, main)


def _curve_keys(metric: str, rows: Sequence[TableRow]) -> list[str]:
    """The key of the sparkline of a metric, if any row has one."""
    key = f"curve.{metric}"
    return [key] if any(row.get(key) for row in rows) else []


def is_curve(key: str) -> bool:
    """Whether a column has sparklines."""
    return key.startswith("curve.")


def _last_key(metric: str, configs: Collection[str]) -> str:
    """The key of the last value of a metric, which a config may have too."""
    return f"last.{metric}" if metric in configs or metric in _ALWAYS else metric


def varied(rows: Sequence[TableRow]) -> list[str]:
    """The keys of the config in which the rows differ, in their order; last those that rows either
    have with the same value or do not have, as beside the runs of a script."""
    values: dict[str, set[Value]] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        for name, value in row.config.items():
            values.setdefault(name, set()).add(value)
            counts[name] += 1
    total = len(rows)
    names = [
        name
        for name, known in values.items()
        if (len(known) > 1 or 0 < counts[name] < total) and not _DULL.search(name)
    ]
    names.sort(key=lambda name: len(values[name]) < 2)
    # Last those that are also columns of the run, which says much of the same.
    own = [f"config.{name}" for name in names if name in _ALWAYS]
    return [name for name in names if name not in _ALWAYS] + own


def starts_descending(key: str) -> bool:
    """Whether a column is sorted from the largest value at first: the best is on top."""
    if key in ("step", "created"):
        return True
    part, _, rest = key.partition(".")
    return better(rest if rest and part in _PARTS else key) > 0 and part != "config"


def title(key: str) -> str:
    """The head of a column: `min val_loss` for `best.val_loss`."""
    part, _, name = key.partition(".")
    if name and part == "curve":
        return part
    if name and part == "best":
        return f"{'max' if better(name) > 0 else 'min'} {clean_line(name)}"
    if part == "last" or (part == "config" and name in _ALWAYS):  # there is another of the name
        return clean_line(key.replace(".", " ", 1))
    return clean_line(name if name and part in _PARTS else key)


def format_value(key: str, value: Value | None) -> str:
    """A cell of a column, for people."""
    if value is None:
        return ""
    if isinstance(value, str):
        return clean_line(value)
    if key == "age":
        return numbers.about(value) if value >= 60 else f"{value:.0f} s"
    if isinstance(value, int) and abs(value) < 10**9:
        return numbers.count(value)
    short = f"{value:.3g}"  # of what a person wrote: 0.0003, 1e-05, 0.125
    return short if float(short) == value and abs(value) < 1e3 else numbers.value(value)


# --- What is shown, in which order -----------------------------------------------------------


class Heading(NamedTuple):
    """The head of a group; the summary is the mean of the sorted column, if it has numbers."""

    text: str
    runs: int
    summary: str = ""
    key = ""  # of no run: it cannot be chosen


Line = TableRow | Heading


def arrange(rows: Iterable[TableRow], state: TableState) -> list[Line]:
    """The rows that match the filter, the pinned ones first, sorted and grouped.

    Raises MisuseError if the filter is not one.
    """
    filter = RunFilter(state.filter)
    pins = set(state.pins)
    all_rows = list(rows)
    pinned = [row for row in all_rows if row.key in pins]
    rest = [row for row in all_rows if row.key not in pins and filter.matches(row)]
    lines: list[Line] = [*sort_rows(pinned, state.sort, state.descending)]
    rest = sort_rows(rest, state.sort, state.descending)
    if not state.group:
        return [*lines, *rest]
    groups: dict[str, list[TableRow]] = {}
    for row in rest:
        groups.setdefault(format_value(state.group, row.get(state.group)), []).append(row)
    head = title(state.group)
    for text, members in groups.items():
        summary = _mean(state.sort, members)
        name = f"{head} {text}" if text else f"no {head}"
        lines += [Heading(name, len(members), summary), *members]
    return lines


def _mean(key: str, rows: Sequence[TableRow]) -> str:
    """`mean min val_loss 1.62 ± 0.03`: with the standard deviation of the sample; "" for fewer than
    two numbers, and for columns about the run itself."""
    if not key or key in _ALWAYS:
        return ""
    values = [value for row in rows if isinstance(value := row.get(key), int | float)]
    values = [value for value in values if math.isfinite(value)]
    if len(values) < 2:
        return ""
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    return f"mean {title(key)} {numbers.value(mean)} ± {spread:.2g}"


def view_of_sweep(rows: Sequence[TableRow], name: str) -> dict[str, Any]:
    """The fields of TableState that show a sweep alone, the best first, by setting if its trials
    have several seeds, with what differs between them. `name` is the name of a row's sweep."""
    trials = [row for row in rows if sweep_of(row.run) == name]
    settings = Counter(row.get("setting") for row in trials)
    about = trials[0].run.info.sweep
    metric = str(about.get("metric", "")) or main_metric(trials)
    best = f"best.{metric}" if better(metric) else metric
    last = [metric] if best != metric else []
    return {
        "filter": f'sweep="{name}"',
        "sort": best,
        "descending": about.get("goal") == "max",
        "columns": (best, *_curve_keys(metric, trials), *last, "step", *varied(trials), "age"),
        "group": "setting" if max(settings.values()) > 1 else "",
    }


def sort_rows(rows: Sequence[TableRow], key: str, descending: bool = False) -> list[TableRow]:
    """The rows by a column, sparklines by the last value: numbers before texts, rows without a
    value always last."""
    if not key:
        return list(rows)
    if is_curve(key):
        key = key.replace("curve", "last", 1)
    numeric: list[tuple[float, TableRow]] = []
    texts: list[tuple[str, TableRow]] = []
    missing: list[TableRow] = []
    for row in rows:
        value = row.get(key)
        if isinstance(value, str):
            texts.append((value.casefold(), row))
        elif value is None or math.isnan(value):
            missing.append(row)
        else:
            numeric.append((value, row))
    numeric.sort(key=lambda pair: pair[0], reverse=descending)
    texts.sort(key=lambda pair: _natural(pair[0]), reverse=descending)
    return [*(row for _, row in numeric), *(row for _, row in texts), *missing]


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sorts `run-9` before `run-10`."""
    parts = re.split(r"([0-9]{1,18})", text)
    return [(0, int(part), "") if at % 2 else (1, 0, part) for at, part in enumerate(parts)]
