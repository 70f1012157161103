"""Alerts of a training: not-a-number values, divergence, spikes, collapse, stall, crash and finish,
and what a script reports itself (`run.alert`).

Divergence is a training loss that rose from its level and does not return. The rule uses blocks of
8 successive values. A block is represented by its median, so single spikes are ignored: those are
found by `genui.runs.spikes`. The level is the median of the 16 blocks before a block, and the best
level is the lowest so far. A block is *high* if it is both

- above the level by half of it and by a quarter of the improvement since the first block, or
  above the best level by all of it and by half of the improvement. The second condition detects
  slow rises. The improvement is included so that a loss that fell from 2.3 to 1e-5 may jump to
  1e-3, and a warm restart of the learning rate is not reported;
- above that level by 6 robust standard deviations: the median over the 16 blocks of the larger of
  the median absolute deviation · 1.4826 and the distance to the fourth block before.

Divergence is 3 high blocks in a row, after at least 9 blocks.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genui.base.errors import GenuiError
from genui.base.files import sanitize
from genui.runs.control import ALERTS, Event, read_events
from genui.runs.facts import at_step, describe_cause
from genui.runs.listing import RunSummary
from genui.runs.series import Floats, Steps
from genui.runs.spikes import MAD_TO_SIGMA, Spike, SpikeFinder, is_training_loss
from genui.runs.stack_signal import stopped_ranks
from genui.runs.stacks import explain_standstill

BLOCK = 8
HORIZON = 16
HIGH_BLOCKS = 3
WANDER = 4  # blocks
DEVIATIONS = 6.0
RECENT = (0.5, 0.25)  # shares of the level and of the improvement
EVER = (1.0, 0.5)  # the same for the best level


class Change(NamedTuple):
    """A divergence or a collapse."""

    began: int  # step of the first block or value that shows it
    step: int  # at which it was certain
    level: float  # then
    before: float  # the level of a loss before, or the best value


class Divergence:
    """The rule above, for one metric whose points come in pieces of any size.

    What is kept is copied: a view would keep all points of a long log.
    """

    def __init__(self) -> None:
        self._steps = np.empty(0, np.int64)  # of the block that is not full yet
        self._values = np.empty(0, np.float64)
        self._medians = np.full(HORIZON, np.nan)  # of the last blocks
        self._spreads = np.full(HORIZON, np.nan)
        self._start = np.nan  # median of the first block
        self._best = np.inf  # level
        self._high = np.zeros(HIGH_BLOCKS - 1, bool)  # whether the last blocks were
        self._begins = np.zeros(HIGH_BLOCKS - 1, np.int64)  # and their first steps

    def take(self, steps: Steps, values: Floats) -> Change | None:
        """The divergence that these points complete, the first if they hold several.

        `steps` int64 [N] ascending, `values` float64 [N]; values that are not finite are skipped.
        """
        finite = np.isfinite(values)
        steps = np.concatenate((self._steps, steps[finite]))
        values = np.concatenate((self._values, values[finite]))
        full = len(values) // BLOCK * BLOCK
        self._steps, self._values = steps[full:].copy(), values[full:].copy()
        if not full:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return self._judge(steps[:full].reshape(-1, BLOCK), values[:full].reshape(-1, BLOCK))

    def _judge(self, steps: Steps, values: Floats) -> Change | None:
        """The first divergence in whole blocks, [blocks, BLOCK]."""
        fresh = _median(values)
        if np.isnan(self._start):
            self._start = fresh[0]
        medians = np.concatenate((self._medians, fresh))
        # Within a block, and between blocks for noise that changes slowly.
        within = MAD_TO_SIGMA * _median(np.abs(values - fresh[:, None]))
        spread = np.fmax(within, np.abs(fresh - medians[HORIZON - WANDER : -WANDER]))
        spreads = np.concatenate((self._spreads, spread))
        self._medians, self._spreads = medians[-HORIZON:].copy(), spreads[-HORIZON:].copy()

        level = _median(sliding_window_view(medians, HORIZON)[:-1])  # NaN while few are known
        best = np.fmin.accumulate(np.append(self._best, level))[1:]
        self._best = best[-1]
        recent, ever = self._bar(level, RECENT), self._bar(best, EVER)
        high = (fresh > recent) | (fresh > ever)
        at = np.flatnonzero(high)
        if len(at):  # few, so the expensive part is done only for them
            usual = _median(sliding_window_view(spreads, HORIZON)[at])
            left = np.where(fresh > recent, level, best)
            high[at] = fresh[at] > left[at] + DEVIATIONS * usual

        before = HIGH_BLOCKS - 1
        high = np.concatenate((self._high, high))
        begins = np.concatenate((self._begins, steps[:, 0]))
        self._high, self._begins = high[-before:].copy(), begins[-before:].copy()
        certain = np.flatnonzero(sliding_window_view(high, HIGH_BLOCKS).all(axis=1))
        if not len(certain):
            return None
        block = int(certain[0])
        return Change(
            began=int(begins[block]),
            step=int(steps[block, -1]),
            level=float(fresh[block]),
            before=float((level if fresh[block] > recent[block] else best)[block]),
        )

    def _bar(self, level: Floats, shares: tuple[float, float]) -> Floats:
        """The bar that a block above a level must exceed, [blocks] to [blocks]."""
        of_level, of_gain = shares
        gain = np.maximum(self._start - level, 0)
        return level + np.maximum(of_level * np.abs(level), of_gain * gain)


def _median(rows: Floats) -> Floats:
    """The median of each row, [rows, even width] to [rows]; faster here than np.median.

    NaN sorts last: a row with a few gives a value above its median, one half full of them NaN.
    """
    middle = rows.shape[1] // 2
    return np.sort(rows, axis=1)[:, middle - 1 : middle + 1].mean(axis=1)


# --- Collapse of a generator ----------------------------------------------------------------------
# It is detected on metrics that should rise and stay: `coverage`, the share of held-out samples
# with a generated one near them, and `variety`, the distance between samples of a batch relative
# to that of the data.
#
# The rule: two values in a row below half of the best before them, if that best is not too small.
# It is reported again only after half of the best was reached again.

SHARE = 0.5  # of the best value
LOW_VALUES = 2
LEAST_BEST = 0.1  # a smaller best is ignored

_HOLDS = re.compile(r"(?<![a-z])(coverage|variety)(?![a-z])", re.IGNORECASE)


class Falling:
    """The rule above, for one metric whose points come in pieces of any size.

    What is kept is copied: a view would keep all points of a long log.
    """

    def __init__(self) -> None:
        self._best = -np.inf
        self._low: list[int] = []  # steps of the low values, one after the other

    def take(self, steps: Steps, values: Floats) -> Change | None:
        """The first collapse that these points complete: int64 [N] ascending, float64 [N].

        Values that are not finite are skipped.
        """
        first = None
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            if not np.isfinite(value):
                continue
            if self._best >= LEAST_BEST and value < SHARE * self._best:
                self._low.append(step)
                if len(self._low) == LOW_VALUES:
                    first = first or Change(self._low[0], step, value, self._best)
            else:
                self._low = []
            self._best = max(self._best, value)
        return first


# --- All alerts of a run, each once -------------------------------------------------------------
# The cost is proportional to the new points; only the events of a script's run are read from disk.

Kind = Literal[
    "nan", "divergence", "spike", "collapse", "stall", "crash", "finish", "info", "warn", "error"
]
"""The last three are the levels of a script's own alerts."""

Points = tuple[Steps, Floats, Floats]
"""(steps int64 [N], values float64 [N], unix times float64 [N]) of a metric, as `Series.points`."""

STALL_SECONDS = 60.0
STALL_INTERVALS = 10
"""A stall is no new record for the longest of STALL_SECONDS, STALL_INTERVALS times the median
interval of the last 64 records, and 1.5 times the longest of the last 1,000 (an evaluation or a
checkpoint)."""

_RECENT = 64
_LONG_AGO = 1000
_FEWEST_GAPS = 3
_NAMED = 3  # metrics named in one line
_EXPECTING = frozenset({"running", "writing", "quiet"})
"""States in which records are expected; logs of other tools have only the last two."""


@dataclass(frozen=True)
class Alert:
    """One thing that happened."""

    kind: Kind
    step: int
    time: float  # unix time when it happened, which may be long ago in a log just opened
    line: str  # one line, printable, without the run's name

    @property
    def key(self) -> tuple[str, ...]:
        """The key that identifies it among the alerts of its run."""
        own = (self.line, f"{self.time}") if self.kind in ALERTS else ()
        return (self.kind, f"{self.step}", *own)


class Alerts:
    """The alerts of one run or log; `look` is called repeatedly.

    `clock` gives unix time, `ticks` monotonic seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._metrics: dict[str, _Metric] = {}
        self._stall = _Stall(clock, ticks)
        self._stopped = ""  # the ranks that a signal has stopped, as reported
        self._ended = ""  # the final state that was reported
        self._events: frozenset[Event] = frozenset()  # alerts of a script that were reported

    def look(
        self, summary: RunSummary, series: Mapping[str, Points], whole: bool = False
    ) -> list[Alert]:
        """The new alerts since the last call, in order. Never raises.

        `whole` says that the log was read to its end. Only then can a stall be reported that
        began before the first call.
        """
        grown: list[Points] = []
        broken: list[tuple[int, float, str]] = []
        spikes: dict[int, Alert] = {}  # one a step: the losses of all ranks may rise at once
        alerts: list[Alert] = []
        for name, points in series.items():
            metric = self._metrics.setdefault(name, _Metric(name))
            fresh = metric.fresh(points)
            if not len(fresh[0]):
                continue
            grown.append(points)
            if (at := metric.not_finite(fresh)) is not None:
                line = f"{sanitize(name, 60)} is {_name_of(fresh[1][at])} at step {fresh[0][at]:,}"
                broken.append((int(fresh[0][at]), self._moment(fresh[2][at]), line))
            for kind, change in metric.changes(fresh):
                when = self._moment(fresh[2][np.searchsorted(fresh[0], change.step)])
                line = _describe_change(name, kind, change)
                alerts.append(Alert(kind, change.step, when, line))
            for at, spike in metric.spikes(fresh):
                step, when = int(fresh[0][at]), self._moment(fresh[2][at])
                line = _describe_spike(name, step, spike)
                spikes.setdefault(step, Alert("spike", step, when, line))
        alerts += spikes.values()
        if broken:
            broken.sort()
            step, when, line = broken[0]
            rest = f", and {len(broken) - _NAMED} more metrics" if len(broken) > _NAMED else ""
            line = ", ".join(line for *_, line in broken[:_NAMED]) + rest
            alerts.append(Alert("nan", step, when, line))
        alerts += self._read_own(summary)
        alerts.sort(key=lambda alert: alert.step)

        step = max((int(m.newest) for m in self._metrics.values()), default=summary.status.step)
        if (silence := self._stall.look(summary.state, grown, whole)) is not None:
            line = f"no new record for {silence} after step {step:,}"
            if doing := explain_standstill(summary):
                line += f": {doing}"
            alerts.append(Alert("stall", step, self._clock(), line))
        if stopped := self._find_stopped(summary):
            alerts.append(Alert("stall", step, self._clock(), stopped))
        if (end := self._end(summary, step)) is not None:
            alerts.append(end)
        return alerts

    def _find_stopped(self, summary: RunSummary) -> str:
        """The ranks that a signal has stopped since the last call, in a line; "" if none has."""
        stopped = stopped_ranks(summary.run) if summary.native and summary.alive else ""
        before, self._stopped = self._stopped, stopped
        return stopped if stopped != before else ""

    def _read_own(self, summary: RunSummary) -> list[Alert]:
        """The new alerts of a script's own."""
        if summary.info.kind != "script" or not summary.native:
            return []
        kinds: dict[str, Kind] = {event: cast("Kind", level) for level, event in ALERTS.items()}
        try:
            events = [event for event in read_events(summary.run) if event.event in kinds]
        except GenuiError:  # no alert of a damaged file is known
            return []
        earlier, self._events = self._events, frozenset(events)
        return [
            Alert(kinds[event.event], event.step, event.time, sanitize(event.text, 500))
            for event in events
            if event not in earlier
        ]

    def _end(self, summary: RunSummary, step: int) -> Alert | None:
        state, status = summary.state, summary.status
        if state not in ("failed", "dead", "finished", "stopped"):
            self._ended = ""  # resumed: it may end again
            return None
        if state == self._ended:
            return None
        self._ended = state
        step = max(step, status.step)
        when = status.heartbeat or self._clock() - summary.age
        if state in ("finished", "stopped"):
            return Alert("finish", step, when, at_step(state, step))
        why = describe_cause(summary) or summary.error or "its process is gone"
        return Alert("crash", step, when, f"{at_step(state, step)}: {sanitize(why, 300)}")

    def _moment(self, when: float) -> float:
        """The unix time of a point; the current time if none was logged."""
        return float(when) if np.isfinite(when) else self._clock()


class _Metric:
    """The state of one metric between calls."""

    def __init__(self, name: str) -> None:
        self._is_loss = is_training_loss(name)
        self._is_best = "best" in name.lower()
        self._divergence = Divergence()
        self._falling = Falling() if _HOLDS.search(name) else None
        self._points: Points = (np.empty(0, np.int64), np.empty(0), np.empty(0))
        self._not_finite: int | None = None  # step it was reported at
        self._rose: int | None = None
        self._fell = -1  # step of the last collapse that was reported
        self._spikes = SpikeFinder()
        self._spiked = -1  # step of the last spike that was reported

    @property
    def newest(self) -> int:
        """The last step; -1 if there is none."""
        steps = self._points[0]
        return int(steps[-1]) if len(steps) else -1

    def fresh(self, points: Points) -> Points:
        """The new points since the last call; all points if earlier ones have changed, after a
        resume or while the past is being read."""
        earlier, self._points = self._points, points
        if _begins_with(points, earlier):
            known = len(earlier[0])
            return points[0][known:], points[1][known:], points[2][known:]
        self._divergence = Divergence()
        self._falling = Falling() if self._falling is not None else None
        self._spikes = SpikeFinder()
        # Alerts of steps that were undone may be reported again.
        if self._not_finite is not None and self.newest < self._not_finite:
            self._not_finite = None
        if self._rose is not None and self.newest < self._rose:
            self._rose = None
        self._fell = min(self._fell, self.newest)
        self._spiked = min(self._spiked, self.newest)
        return points

    def not_finite(self, fresh: Points) -> int | None:
        """Index in `fresh` of the first NaN or infinity, if none was reported before. A best value
        is infinite until there is one."""
        if self._not_finite is not None:
            return None
        bad = np.flatnonzero(np.isnan(fresh[1]) if self._is_best else ~np.isfinite(fresh[1]))
        if not len(bad):
            return None
        self._not_finite = int(fresh[0][bad[0]])
        return int(bad[0])

    def changes(self, fresh: Points) -> Iterator[tuple[Kind, Change]]:
        """The divergence and the collapse that `fresh` completes, if not reported before."""
        if self._is_loss and self._rose is None:
            rise = self._divergence.take(fresh[0], fresh[1])
            if rise is not None:
                self._rose = rise.step
                yield "divergence", rise
        fall = self._falling.take(fresh[0], fresh[1]) if self._falling is not None else None
        if fall is not None and fall.step > self._fell:
            self._fell = fall.step
            yield "collapse", fall

    def spikes(self, fresh: Points) -> Iterator[tuple[int, Spike]]:
        """The index in `fresh` of each spike, if not reported before."""
        for at, value in enumerate(fresh[1].tolist() if self._is_loss else ()):
            spike = self._spikes.add(value)
            if spike is not None and fresh[0][at] > self._spiked:
                self._spiked = int(fresh[0][at])
                yield at, spike


class _Stall:
    """Whether records have stopped."""

    def __init__(self, clock: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._clock = clock
        self._ticks = ticks
        self._newest: float | None = None  # in ticks, when the newest record was written
        self._patience = np.inf  # seconds
        self._grew = False  # while we looked, not only before
        self._reported = False

    def look(self, state: str, grown: Sequence[Points], whole: bool) -> str | None:
        """The time without a record, as text, when a stall begins; else None.

        `grown` are the metrics with new points. A log of another tool may be quiet because it
        has ended, so it stalls only if it grew since the first call.
        """
        now = self._ticks()
        if grown:
            self._reported = False
            self._grew = self._newest is not None
            self._newest = now
            if whole and not self._grew:
                last = max(float(points[2][-1]) for points in grown)
                self._newest -= max(0.0, self._clock() - last) if np.isfinite(last) else 0.0
            self._patience = _patience(max(grown, key=lambda points: len(points[0]))[2])
        if self._newest is None or self._reported:
            return None
        if state not in _EXPECTING:
            self._newest = now  # a pause is no stall, nor is what follows it at once
            return None
        if state != "running" and not self._grew:
            return None
        silence = now - self._newest
        if silence <= self._patience:
            return None
        self._reported = True
        return f"{silence:.0f} s" if silence < 120 else f"{silence / 60:.0f} min"


def _patience(times: Floats) -> float:
    """The seconds without a record that are a stall, by the times of the records."""
    recent = times[-_LONG_AGO - 1 :]
    gaps = np.diff(recent[np.isfinite(recent)])
    gaps = gaps[gaps >= 0]  # a clock that was set back
    if len(gaps) < _FEWEST_GAPS:
        return np.inf
    usual = float(np.median(gaps[-_RECENT:]))
    return max(STALL_SECONDS, STALL_INTERVALS * usual, 1.5 * float(gaps.max()))


def _begins_with(points: Points, earlier: Points) -> bool:
    """Whether `points` begins with the `earlier` points, unchanged."""
    known = len(earlier[0])
    if known > len(points[0]):
        return False
    if known == 0 or (points[1].base is not None and points[1].base is earlier[1].base):
        return True  # a Series only ever appends to the array it has
    return np.array_equal(points[0][:known], earlier[0]) and np.array_equal(
        points[1][:known], earlier[1], equal_nan=True
    )


def _name_of(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinite"


def _describe_change(name: str, kind: Kind, change: Change) -> str:
    verb, form = ("diverges", ".4g") if kind == "divergence" else ("has collapsed", ".3g")
    return (
        f"{sanitize(name, 60)} {verb} since step {change.began:,}: "
        f"{change.level:{form}}, was {change.before:{form}}"
    )


def _describe_spike(name: str, step: int, spike: Spike) -> str:
    return (
        f"{sanitize(name, 60)} jumps at step {step:,}: {spike.value:.4g}, was {spike.median:.4g}; "
        f"{spike.deviations:.0f} robust deviations"
    )
