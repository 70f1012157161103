"""What someone who is not looking wants to be told of a training, each thing once.

Numbers that are none, a loss that diverges, a generator that collapses, a training that stalls,
crashes or finishes. Every look costs what is new since the last; nothing is read from disk here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genui.runs.disk import plain
from genui.runs.divergence import Divergence, Rise, is_training_loss
from genui.runs.falling import Fall, Falling, should_hold
from genui.runs.listing import RunSummary
from genui.runs.series import Floats, Steps

Kind = Literal["nan", "divergence", "collapse", "stall", "crash", "finish"]
Points = tuple[Steps, Floats, Floats]
"""(steps int64 [N], values float64 [N], unix times float64 [N]) of a metric, as `Series.points`."""

STALL_SECONDS = 60.0
STALL_INTERVALS = 10
"""A stall is no new record for the longest of: STALL_SECONDS, STALL_INTERVALS times the median
interval of the last 64 records, and 1.5 times the longest of the last 1,000 (which an evaluation
or a checkpoint takes)."""

_RECENT = 64
_LONG_AGO = 1000
_FEWEST_GAPS = 3
_NAMED = 3  # metrics named in one line
_EXPECTING = frozenset({"running", "writing", "quiet"})
"""States in which records should come; a log of another tool has only the last two."""


@dataclass(frozen=True)
class Alert:
    """One thing to be told."""

    kind: Kind
    step: int
    time: float  # unix time of what it tells of, which may be long ago in a log just opened
    line: str  # one line, printable, without the run's name


class Alerts:
    """The alerts of one run or log, asked for again and again as it goes on.

    `clock` gives unix time, and `ticks` seconds that no change of the clock moves.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._metrics: dict[str, _Metric] = {}
        self._stall = _Stall(clock, ticks)
        self._ended = ""  # the state whose end was told

    def look(
        self, summary: RunSummary, series: Mapping[str, Points], whole: bool = False
    ) -> list[Alert]:
        """What is new since the last look, in the order it happened. Never raises.

        `whole` says that the series are all that the log has by now. Only then can a stall be
        told that began before the first look; the silence is counted from there otherwise.
        """
        grown: list[Points] = []
        broken: list[tuple[int, float, str]] = []
        found: list[Alert] = []
        for name, points in series.items():
            metric = self._metrics.setdefault(name, _Metric(name))
            fresh = metric.fresh(points)
            if not len(fresh[0]):
                continue
            grown.append(points)
            if (at := metric.not_finite(fresh)) is not None:
                line = f"{plain(name, 60)} is {_spelled(fresh[1][at])} at step {fresh[0][at]:,}"
                broken.append((int(fresh[0][at]), self._moment(fresh[2][at]), line))
            if (rise := metric.rise(fresh)) is not None:
                when = fresh[2][np.searchsorted(fresh[0], rise.step)]
                found.append(Alert("divergence", rise.step, self._moment(when), _told(name, rise)))
            if (fall := metric.fall(fresh)) is not None:
                when = fresh[2][np.searchsorted(fresh[0], fall.step)]
                found.append(Alert("collapse", fall.step, self._moment(when), _lost(name, fall)))
        if broken:
            broken.sort()
            step, when, line = broken[0]
            rest = f", and {len(broken) - _NAMED} more metrics" if len(broken) > _NAMED else ""
            line = ", ".join(line for *_, line in broken[:_NAMED]) + rest
            found.append(Alert("nan", step, when, line))
        found.sort(key=lambda alert: alert.step)

        step = max((int(m.newest) for m in self._metrics.values()), default=summary.status.step)
        if (silence := self._stall.look(summary.state, grown, whole)) is not None:
            line = f"no new record for {silence} after step {step:,}"
            found.append(Alert("stall", step, self._clock(), line))
        if (end := self._end(summary, step)) is not None:
            found.append(end)
        return found

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
            return Alert("finish", step, when, f"{state} at step {step:,}")
        why = summary.fault or status.error or "its process is gone"
        return Alert("crash", step, when, f"{state} at step {step:,}: {plain(why, 300)}")

    def _moment(self, when: float) -> float:
        """The unix time of a point; now where none was logged."""
        return float(when) if np.isfinite(when) else self._clock()


class _Metric:
    """What was already seen of one metric."""

    def __init__(self, name: str) -> None:
        self._is_loss = is_training_loss(name)
        self._divergence = Divergence()
        self._falling = Falling() if should_hold(name) else None
        self._seen: Points = (np.empty(0, np.int64), np.empty(0), np.empty(0))
        self._not_finite: int | None = None  # step it was told of
        self._rose: int | None = None
        self._fell = -1  # step of the last collapse that was told

    @property
    def newest(self) -> int:
        """The last step seen; -1 where there is none."""
        steps = self._seen[0]
        return int(steps[-1]) if len(steps) else -1

    def fresh(self, points: Points) -> Points:
        """The points that were not there at the last call: all of them where what was there
        is no longer as it was, after a resume or where the past was filled in."""
        seen, self._seen = self._seen, points
        if _begins_with(points, seen):
            known = len(seen[0])
            return points[0][known:], points[1][known:], points[2][known:]
        self._divergence = Divergence()
        self._falling = Falling() if self._falling is not None else None
        # What was told of steps that are no longer there may happen again.
        if self._not_finite is not None and self.newest < self._not_finite:
            self._not_finite = None
        if self._rose is not None and self.newest < self._rose:
            self._rose = None
        return points

    def not_finite(self, fresh: Points) -> int | None:
        """Index in `fresh` of the first NaN or infinity, if none was told of before."""
        if self._not_finite is not None:
            return None
        bad = np.flatnonzero(~np.isfinite(fresh[1]))
        if not len(bad):
            return None
        self._not_finite = int(fresh[0][bad[0]])
        return int(bad[0])

    def rise(self, fresh: Points) -> Rise | None:
        """The divergence that `fresh` completes, if none was told of before."""
        if not self._is_loss or self._rose is not None:
            return None
        rise = self._divergence.take(fresh[0], fresh[1])
        if rise is not None:
            self._rose = rise.step
        return rise

    def fall(self, fresh: Points) -> Fall | None:
        """The collapse that `fresh` completes, if it was not told of before."""
        fall = self._falling.take(fresh[0], fresh[1]) if self._falling is not None else None
        if fall is None or fall.step <= self._fell:
            return None
        self._fell = fall.step
        return fall


class _Stall:
    """Whether records have ceased to come."""

    def __init__(self, clock: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._clock = clock
        self._ticks = ticks
        self._newest: float | None = None  # in ticks, when the newest record was written
        self._patience = np.inf  # seconds
        self._grew = False  # while we looked, not only before
        self._told = False

    def look(self, state: str, grown: Sequence[Points], whole: bool) -> str | None:
        """How long there was no record, in words, when that has just become a stall.

        `grown` are the metrics that have new points. Another tool's log may be quiet because
        it ended without saying so: it stalls only if it was written to while we looked.
        """
        now = self._ticks()
        if grown:
            self._told = False
            self._grew = self._newest is not None
            self._newest = now
            if whole and not self._grew:
                last = max(float(points[2][-1]) for points in grown)
                self._newest -= max(0.0, self._clock() - last) if np.isfinite(last) else 0.0
            self._patience = _patience(max(grown, key=lambda points: len(points[0]))[2])
        if self._newest is None or self._told:
            return None
        if state not in _EXPECTING or (state != "running" and not self._grew):
            return None
        silence = now - self._newest
        if silence <= self._patience:
            return None
        self._told = True
        return f"{silence:.0f} s" if silence < 120 else f"{silence / 60:.0f} min"


def _patience(times: Floats) -> float:
    """Seconds without a record that are a stall, from the unix times of the records so far."""
    recent = times[-_LONG_AGO - 1 :]
    gaps = np.diff(recent[np.isfinite(recent)])
    gaps = gaps[gaps >= 0]  # a clock that was set back
    if len(gaps) < _FEWEST_GAPS:
        return np.inf
    usual = float(np.median(gaps[-_RECENT:]))
    return max(STALL_SECONDS, STALL_INTERVALS * usual, 1.5 * float(gaps.max()))


def _begins_with(points: Points, seen: Points) -> bool:
    """Whether what was seen is still there, unchanged, at the start of `points`."""
    known = len(seen[0])
    if known > len(points[0]):
        return False
    if known == 0 or (points[1].base is not None and points[1].base is seen[1].base):
        return True  # a Series only ever appends to the array it has
    return np.array_equal(points[0][:known], seen[0]) and np.array_equal(
        points[1][:known], seen[1], equal_nan=True
    )


def _spelled(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinite"


def _lost(name: str, fall: Fall) -> str:
    return (
        f"{plain(name, 60)} has collapsed since step {fall.began:,}: "
        f"{fall.level:.3g}, was {fall.best:.3g}"
    )


def _told(name: str, rise: Rise) -> str:
    return (
        f"{plain(name, 60)} diverges since step {rise.began:,}: "
        f"{rise.level:.4g}, was {rise.before:.4g}"
    )
