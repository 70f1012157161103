"""The reader of metrics.jsonl of genui's runs, and its metrics as a table.

Only whole lines are read. A half-written line is read when it is complete, and one that a restarted
trainer cuts off is never counted. The end of a large file is read first, so that a curve is shown
at once; then everything from the beginning.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from genui.base.errors import GenuiError
from genui.base.growing import CHUNK, LineFile
from genui.base.text import clean_line
from genui.logs.base import Extras, LineReader, Media, MediaStore
from genui.logs.records import SLOWEST, SPREAD, STEP_TIME, Record, decode_lines, number
from genui.logs.series_store import MAX_SERIES, SeriesStore, columns, merge_spans
from genui.runs.layout import RunDir
from genui.runs.models import ModelInfo
from genui.runs.ranks import rank_files
from genui.runs.series import Floats, Series, Steps

NEWEST = 128 * 1024
"""Bytes at the end of a file that are read first, if it is more than twice as large."""

_PREVIEW = 100_000
"""Points of a metric that are shown of its beginning until the whole file is read: with all of
them, each look at a long log would copy it."""

_BEYOND = 2**63
_RESERVED = frozenset({"step", "time"})


class MetricsTail:
    """The series in a metrics file, brought up to date by `read`.

    `series` maps a metric's name to its points; the mapping is replaced, never changed, when
    a metric appears, so another thread may iterate over one it took. Until the whole
    file is read it has the beginning so far and the end. Lines that are not records are counted
    in `bad_lines`, values of metrics beyond MAX_SERIES in `dropped`. If the file shrinks or is
    replaced, it is read again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Mapping[str, Any] = {}
        self.ended = ""
        self._histograms = _HistogramReader(path.with_name("histograms.jsonl"))
        self._past = _SeriesPart(path)
        self._newest: _SeriesPart | None = None
        self._joined: Mapping[str, Series] | None = None
        self._ranks: dict[int, MetricsTail] = {}  # of the other processes of a script's job
        self._across = _AcrossRanks()
        self._with_ranks: tuple[tuple[int, ...], Mapping[str, Series]] = ((), {})

    @property
    def series(self) -> Mapping[str, Series]:
        if self._newest is None:
            own = self._past.series
        else:
            if self._joined is None:
                self._joined = self._past.followed_by(self._newest)
            own = self._joined
        if not self._ranks:
            return own
        parts = {rank: tail.series for rank, tail in sorted(self._ranks.items())}
        across = self._across.series
        ids = (id(own), id(across), *map(id, parts.values()))
        if ids != self._with_ranks[0]:
            added = {
                f"rank{rank}/{name}": series
                for rank, part in parts.items()
                for name, series in part.items()
            }
            self._with_ranks = ids, {**own, **added, **across}
        return self._with_ranks[1]

    @property
    def extras(self) -> Extras:
        return self._histograms.extras

    @property
    def bad_lines(self) -> int:
        return sum(part.bad_lines for part in self._parts())

    @property
    def dropped(self) -> int:
        return sum(part.dropped for part in self._parts())

    @property
    def overlaps(self) -> tuple[tuple[int, int], ...]:
        return merge_spans(span for part in self._parts() for span in part.overlaps)

    @property
    def progress(self) -> float:
        if self._past.progress == 1.0:
            return 1.0
        size = max(part.size for part in self._parts())
        return min(1.0, sum(part.taken for part in self._parts()) / size) if size else 0.0

    def read(self, limit_bytes: int = CHUNK) -> bool:
        """As `Tail.read`: reads appended data, and about `limit_bytes` of the rest."""
        changed = self._read_own(limit_bytes)
        changed = self._histograms.read(limit_bytes) or changed
        for rank, path in rank_files(self.path):
            if rank not in self._ranks:
                self._ranks[rank] = MetricsTail(path)
        for tail in self._ranks.values():
            changed = tail.read(limit_bytes) or changed
        if self._ranks and changed and self._newest is None:
            others = {rank: tail.series for rank, tail in self._ranks.items()}
            self._across.compare({0: self._past.series, **others})
        return changed

    def _read_own(self, limit_bytes: int) -> bool:
        if not self._past.taken and self._newest is None:
            start = _size(self.path) - NEWEST
            if start > NEWEST:
                self._newest = _SeriesPart(self.path, start)
                self._newest.read(NEWEST)
                self._joined = None
                return True
        changed = self._newest is not None and self._newest.read(limit_bytes)
        changed = self._past.read(limit_bytes) or changed
        newest = self._newest
        if newest and (
            newest.restarted
            or self._past.restarted
            or self._past.progress == 1.0
            or self._past.offset >= newest.offset
        ):
            self._newest, changed = None, True
        self._joined = None
        return changed

    def _parts(self) -> Iterator["_SeriesPart"]:
        yield self._past
        if self._newest is not None:
            yield self._newest
        for tail in self._ranks.values():
            yield from tail._parts()


class _AcrossRanks:
    """Compares the ranks of a job at the steps that all of them have: the spread of each metric,
    and the slowest rank. The names are the same as for printed ranks."""

    def __init__(self) -> None:
        self._store = SeriesStore()
        self._compared: dict[str, int] = {}  # the last step, by metric

    @property
    def series(self) -> Mapping[str, Series]:
        return self._store.series

    def compare(self, ranks: Mapping[int, Mapping[str, Series]]) -> None:
        """Adds the steps that all ranks have by now."""
        names = [name for name in ranks[0] if all(name in series for series in ranks.values())]
        if any(ranks[0][name].written < self._compared.get(name, -1) for name in names):
            self._store, self._compared = SeriesStore(), {}  # training went back
        # By the time of a step if it is logged, or else by when the step was logged.
        clock = next(filter(STEP_TIME.search, names), None)
        for name in names:
            parts = [series[name].points for series in ranks.values()]
            done = self._compared.get(name, -1)
            newer = [
                points[0][np.searchsorted(points[0], done, side="right") :] for points in parts
            ]
            steps = reduce(partial(np.intersect1d, assume_unique=True), newer)
            if not len(steps):
                continue
            self._compared[name] = int(steps[-1])
            rows = [np.searchsorted(points[0], steps) for points in parts]
            values = np.stack([points[1][row] for points, row in zip(parts, rows, strict=True)])
            times = np.stack([points[2][row] for points, row in zip(parts, rows, strict=True)])
            spread = np.ptp(values, axis=0)
            self._store.add([(f"{SPREAD}{name}", steps, spread, times[0])])
            if name == (clock or names[0]):
                known = values if clock else times
                numbers = np.array(list(ranks), np.float64)
                slowest = numbers[np.where(np.isnan(known), -np.inf, known).argmax(axis=0)]
                self._store.add([(SLOWEST, steps, slowest, times[0])])


class _HistogramReader(LineReader):
    """The histograms of a script, a line each with step, name, bins and counts."""

    def forget(self) -> None:
        super().forget()
        self.media = MediaStore(MAX_SERIES)

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        for record in decode_lines(lines)[0]:
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                step, name = int(record["step"]), clean_line(str(record["name"]), 200)
                content = record["bins"], record["counts"]
                self.media.add(Media(step, name, "histogram", file.path, content=content))


class _SeriesPart(LineReader):
    """The series from an offset on."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self._start = start
        super().__init__(path)

    def open_file(self, path: Path) -> LineFile:
        return LineFile(path, self._start)

    def forget(self) -> None:
        super().forget()
        self._rewound: int | None = None  # the earliest step that training went back to

    @property
    def taken(self) -> int:
        """Bytes that were read."""
        return max(0, self.offset - self._start)

    def followed_by(self, later: "_SeriesPart") -> Mapping[str, Series]:
        """The series of both parts; `later` follows this one, which is thinned if it is long."""
        both: dict[str, Series] = {}
        nothing = Series()
        for name in (*self.series, *later.series):
            if name not in both and len(both) < MAX_SERIES:
                before = self.series.get(name, nothing)
                joined = before.joined_with(
                    later.series.get(name, nothing), later._rewound, _PREVIEW
                )
                if len(joined):
                    both[name] = joined
        return both

    def add_lines(self, file: LineFile, lines: bytes) -> None:
        for marker, part in _split_at_rewinds(self._decode(lines)):
            if marker is not None:
                self.store.forget_after(marker)
                self._rewound = marker if self._rewound is None else min(marker, self._rewound)
            if part:
                steps = np.array([record["step"] for record in part], np.int64)
                times = np.array([number(record.get("time")) for record in part], np.float64)
                self.store.add(columns(part, steps, times, _RESERVED))

    def _decode(self, lines: bytes) -> list[Record]:
        """The records with a step; the rest is counted as bad."""
        records, damaged = decode_lines(lines)
        good = [r for r in records if type(r.get("step")) is int and 0 <= r["step"] < _BEYOND]
        self.damaged += damaged + len(records) - len(good)
        return good


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the reader raises it again, as a GenuiError
        return 0


def _split_at_rewinds(records: list[Record]) -> Iterator[tuple[int | None, list[Record]]]:
    """Cuts the records at the markers of RunWriter.truncate_after: (step that training went back
    to, records after it); the step is None before the first marker."""
    if not any("rewind" in record for record in records):
        yield None, records
        return
    marker: int | None = None
    part: list[Record] = []
    for record in records:
        if record.get("rewind") is True:
            yield marker, part
            marker, part = record["step"], []
        else:
            part.append(record)
    yield marker, part


# --- All metrics of a run as rows, one a step -------------------------------------------------

_ROWS = 4096  # joined at once, so that memory does not grow with the run


@dataclass(frozen=True)
class LoggedStep:
    """One step."""

    step: int
    time: float  # unix time; NaN if none was logged
    values: list[float | None]  # in the order of `Table.names`; None if nothing was logged


class Table:
    """Series joined by step; `names` are in the order of the mapping."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self.names = list(series)
        self._points = [one.points for one in series.values()]
        every = [steps for steps, _, _ in self._points]
        self._steps: Steps = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._steps)

    def rows(self) -> Iterator[LoggedStep]:
        """The rows in ascending order of step."""
        for start in range(0, len(self), _ROWS):
            yield from self._piece(self._steps[start : start + _ROWS])

    def _piece(self, steps: Steps) -> Iterator[LoggedStep]:
        times: Floats = np.full(len(steps), np.nan)
        columns: list[list[float | None]] = []
        for points in self._points:
            first = np.searchsorted(points[0], steps[0])
            last = np.searchsorted(points[0], steps[-1], side="right")
            own, values, when = (array[first:last] for array in points)
            at = np.searchsorted(steps, own)
            times[at] = np.where(np.isnan(times[at]), when, times[at])
            column: list[float | None] = [None] * len(steps)
            for row, value in zip(at.tolist(), values.tolist(), strict=True):
                column[row] = value
            columns.append(column)
        rows = zip(*columns, strict=True)
        for step, time, row in zip(steps.tolist(), times.tolist(), rows, strict=True):
            yield LoggedStep(step, time, list(row))


# --- How long a model was trained -------------------------------------------------------------

PAUSE_S = 60  # between two steps: longer is a pause, not training


def training_minutes(info: ModelInfo) -> float | None:
    """Minutes of training by the card of a shipped model or the metrics of a run; else None."""
    if info.source == "shipped":
        trained = info.card.get("trained")
        minutes = trained.get("minutes") if isinstance(trained, dict) else None
        return float(minutes) if isinstance(minutes, int | float) else None
    run = RunDir(info.path.parent.parent)
    if not run.metrics.exists():
        return None
    return run_minutes(run, info.step)


def read_series(run: RunDir) -> Mapping[str, Series]:
    """All metrics of a run. Raises GenuiError if the file cannot be read."""
    return read_records(run.metrics)


def read_records(path: Path) -> Mapping[str, Series]:
    """All of a file with records as in metrics.jsonl. Raises GenuiError if it cannot be read."""
    tail = MetricsTail(path)
    while tail.read():
        pass
    return tail.series


def run_minutes(run: RunDir, step: int | None = None) -> float | None:
    """Minutes that a run trained, up to `step` if it is given; None without metrics."""
    try:
        longest = max(read_series(run).values(), key=lambda series: len(series.points[0]))
    except (GenuiError, OSError, ValueError):
        return None
    steps, _, times = longest.points
    if step is not None:
        times = times[steps <= step]
    gaps = times[1:] - times[:-1]
    return float(gaps[gaps < PAUSE_S].sum()) / 60
