"""How a run goes, in one line."""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np
from rich.cells import get_character_cell_size
from textual.content import Content

from genui.base import numbers, paths
from genui.base.errors import MisuseError
from genui.base.files import cannot_read
from genui.base.text import clean, clean_line
from genui.render.axis import AXES, UNITS, Axis
from genui.render.series import View
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui.watcher import Part, RunView

if TYPE_CHECKING:
    from genui.render.axis import Points
    from genui.render.series import Kind
    from genui.ui.watcher import Points as looking_Points

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


# --- A run's points along another axis than its steps: which are known, and what says so ------

_COUNTED = {
    "tokens": ("tokens", "num_tokens", "tokens_seen", "num_input_tokens_seen"),
    "epochs": ("epoch", "epochs", "train/epoch"),
}
"""Metrics that tell how much was done by a step, by the names other tools give them."""


def known_axes(view: RunView) -> list[Axis]:
    """Those along which this run's points have a place."""
    return [axis for axis in AXES if axis == "step" or _says(view, axis)]


def along(axis: Axis, view: RunView, points: Points, since: float | None) -> np.ndarray | None:
    """Where the points are on the axis, ascending, [N]; None where that is not known.

    `since` is the unix time at which the run began.
    """
    if axis == "step":
        return points[0]
    from genui.render.axis import x_of

    return x_of(
        points,
        axis,
        since=since,
        per_step=_per_step(view, axis) or None,
        counted=_counted(view, axis),
    )


def began(view: RunView) -> float | None:
    """The unix time of the run's first record; None where none is known."""
    firsts = [float(points[2][0]) for points in view.series.values() if len(points[2])]
    return min((first for first in firsts if first == first), default=None)


def _says(view: RunView, axis: Axis) -> bool:
    if axis == "time":
        return began(view) is not None
    return _per_step(view, axis) > 0 or _counted(view, axis) is not None


def _counted(view: RunView, axis: Axis) -> Points | None:
    names = _COUNTED.get(axis, ())
    return next((view.series[name] for name in names if name in view.series), None)


def _per_step(view: RunView, axis: Axis) -> float:
    """Tokens or epochs of one step; 0 where they are not known."""
    scale = view.summary.info.scale
    units, whole = _number(scale.get("units_per_step")), _number(scale.get("units_per_epoch"))
    if axis == "tokens":
        return units if str(scale.get("unit", "")).startswith("tok") else 0.0
    return units / whole if axis == "epochs" and whole > 0 else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0.0


# --- Reading console.log as it grows, and its lines made ready to show. For a thread ----------

MOST_CONSOLE_BYTES = 4 * 1024 * 1024
"""Bytes of the file's end that are kept: some fifty thousand lines."""

PIECE = 256 * 1024  # bytes read before what they hold is shown
_HEAD = 64  # bytes that tell a file written anew from one that grew
_LONGEST_LINE = 16 * 1024  # characters; the rest of a longer one is left out
_STAMPED = re.compile(r"(?:\d{4}-\d\d-\d\d[ T])?(\d\d:\d\d:\d\d)(?:[.,]\d+)?Z? (.*)", re.DOTALL)


@dataclass(frozen=True)
class Lines:
    """Lines that follow those read before, or, where `fresh`, stand in their place.

    Four of one length: the times of day ("" where a line has none), the texts, how many cells
    each takes (int64 [N]), and whether any of its characters takes other than one (bool [N]).
    `pending` is the last line while it has no end, `skipped`
    the bytes of the file before the first line, `more` whether there is more to be read now.
    """

    stamps: list[str]
    texts: list[str]
    cells: np.ndarray
    uneven: np.ndarray
    pending: str
    fresh: bool
    skipped: int
    more: bool


NO_LINES = Lines(
    *([], [], np.empty(0, np.int64), np.empty(0, bool), ""), fresh=True, skipped=0, more=False
)
"""What there is of another file before it was read."""


class ConsoleFile:
    """Follows one file from MOST bytes before its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = self._skipped = 0
        self._inode: tuple[int, int] | None = None
        self._head = b""
        self._rest = b""  # of a line without an end

    def read(self) -> Lines | None:
        """What was appended, PIECE bytes at most; None where nothing was.

        A file that is not there has nothing. Raises GenuiError where it may not be read.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self.path, error) from None
        try:
            found = os.fstat(fd)
            fresh = self._begin(found, os.pread(fd, _HEAD, 0))
            data = os.pread(fd, PIECE, self._offset)
        except OSError as error:
            raise cannot_read(self.path, error) from None
        finally:
            os.close(fd)
        if not data and not fresh:
            return None
        cut = fresh and self._skipped > 0
        self._offset += len(data)
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        if cut:  # the first line is half of one
            _, end, whole = whole.partition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        parts = [_split(line) for line in whole.split(b"\n")] if end else []
        widths = [_width(text) for _, text in parts]
        return Lines(
            stamps=[stamp for stamp, _ in parts],
            texts=[text for _, text in parts],
            cells=np.array([cells for cells, _ in widths], np.int64),
            uneven=np.array([uneven for _, uneven in widths], bool),
            pending=" ".join(_split(self._rest)).strip(),
            fresh=fresh,
            skipped=self._skipped,
            more=self._offset < found.st_size,
        )

    def _begin(self, found: os.stat_result, head: bytes) -> bool:
        """Whether it is another file than before, or was written anew; then it is read anew."""
        inode = (found.st_dev, found.st_ino)
        grown = found.st_size >= self._offset and head.startswith(self._head)
        same, self._head = inode == self._inode and grown, head
        if same:
            return False
        self._inode, self._rest = inode, b""
        self._offset = self._skipped = max(0, found.st_size - MOST_CONSOLE_BYTES)
        return True


def _split(line: bytes) -> tuple[str, str]:
    """The time of day and the text. Of a line that was written over with carriage returns, as
    progress bars do, the last state counts."""
    last = line.rstrip(b"\r").rpartition(b"\r")[2][:_LONGEST_LINE]
    text = clean(last.decode(errors="replace").expandtabs(4)).rstrip()
    found = _STAMPED.match(text)
    return (found[1], found[2]) if found else ("", text)


def _width(text: str) -> tuple[int, bool]:
    """The cells a text takes, and whether any of its characters takes other than one."""
    if text.isascii():
        return len(text), False
    sizes = [get_character_cell_size(character) for character in text]
    return sum(sizes), any(size != 1 for size in sizes)


# --- The lines of a console, wrapped, with what a search finds in them. Draws nothing ---------

_SEARCHED = 2000  # characters of a line: a pattern may take long over more
_SIGNS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("bad", "✗", re.compile(
        r"error\b|exception\b|traceback|\b(?:fatal|critical|failed|killed)\b|(?<![\w.])nan\b", re.I
    )),
    ("warn", "!", re.compile(r"\bwarn(?:ing)?\b|warning\b", re.I)),
    ("good", "✓", re.compile(r"\bcheckpoint\b|\bsaved\b|\bfinished\b", re.I)),
    ("key", "◆", re.compile(r"\beval(?:uation)?\b|\bval_loss\b|\bheld-out\b", re.I)),
)  # fmt: skip


class Found(NamedTuple):
    """A line that a search found, and where the first match is: counted, where the line has a
    time of day, from that, as in `12:03:58 text`."""

    line: int
    start: int
    end: int


def level(text: str) -> tuple[str, str]:
    """The look ("bad", "warn", "good", "key" or "text") and the sign of a line."""
    for look, sign, pattern in _SIGNS:
        if pattern.search(text):
            return look, sign
    return "text", " "


class ConsoleText:
    """Grows by `Lines`; `resize` says how wide a row of text is. Rows are counted from 0.

    Where each line begins follows from the lengths of the lines: only those that take several
    rows are looked at one by one, and no other is until it is in view.
    """

    def __init__(self) -> None:
        self.stamps: list[str] = []
        self.texts: list[str] = []
        self.pending = ""
        self.skipped = 0  # bytes of the file before the first line
        self.stamped = False  # whether any line has a time of day
        self._cells = np.empty(0, np.int64)
        self._uneven = np.empty(0, bool)  # lines whose characters are not a cell each
        self._width = 80
        self._ends = np.empty(0, np.int64)  # the row after each line's last

    def take(self, new: Lines) -> None:
        """Add lines, or begin anew with them."""
        if new.fresh:
            self.stamps, self.texts = [], []
            self._cells, self._ends = self._cells[:0], self._ends[:0]
            self._uneven = self._uneven[:0]
            self.stamped = False
        self.stamps += new.stamps
        self.texts += new.texts
        self.stamped = self.stamped or any(new.stamps)
        self._cells = np.concatenate((self._cells, new.cells))
        self._uneven = np.concatenate((self._uneven, new.uneven))
        start = int(self._ends[-1]) if len(self._ends) else 0
        ends = start + self._rows_of(len(self._ends))
        self._ends = np.concatenate((self._ends, ends))
        self.pending, self.skipped = new.pending, new.skipped

    def resize(self, width: int) -> None:
        """Rows of text have `width` cells."""
        if max(width, 2) != self._width:
            self._width = max(width, 2)
            self._ends = self._rows_of(0)

    def _rows_of(self, first: int) -> np.ndarray:
        """Running sum of the rows that the lines from `first` on take, int64 [N]."""
        cells, uneven = self._cells[first:], self._uneven[first:]
        # Of wide characters, one that does not fit leaves the last cell of a row empty.
        heights = np.maximum(-(-cells // (self._width - uneven)), 1)
        for line in np.flatnonzero((cells > self._width) & ~uneven).tolist():
            heights[line] = len(_wrapped(self.texts[first + line], self._width))
        return np.cumsum(heights)

    @property
    def rows(self) -> int:
        """All of them, that of the pending line too."""
        return (int(self._ends[-1]) if len(self._ends) else 0) + bool(self.pending)

    def first_row(self, line: int) -> int:
        """The row a line begins in."""
        return int(self._ends[line - 1]) if line else 0

    def at(self, row: int) -> tuple[int, int, int]:
        """(line, first character, one past the last) of what is in a row; the line is
        `len(texts)` for the pending one."""
        line = int(np.searchsorted(self._ends, row, side="right"))
        if line == len(self.texts):
            return line, 0, len(self.pending)
        text, part = self.texts[line], row - self.first_row(line)
        if self._uneven[line]:
            return line, *_cut(text, part, self._width)
        return line, *_wrapped(text, self._width)[part]

    def find(self, pattern: re.Pattern[str], first: int = 0) -> list[Found]:
        """The lines from `first` on in which the pattern is. Takes long for many: on a thread."""
        stamps, texts = self.stamps, self.texts  # others take their place, these only grow
        found = []
        for line in range(first, len(texts)):
            whole = f"{stamps[line]} {texts[line]}" if stamps[line] else texts[line]
            match = pattern.search(whole[:_SEARCHED])
            if match is not None:
                found.append(Found(line, match.start(), match.end()))
        return found


def _wrapped(text: str, width: int) -> list[tuple[int, int]]:
    """Where each row begins and ends, of a text with a cell a character: between words, where
    there are any. The space at a break is in neither row."""
    rows, start = [], 0
    while len(text) - start > width:
        end = text.rfind(" ", start + 1, start + width + 1)
        if end <= start:
            rows.append((start, start + width))
            start += width
        else:
            rows.append((start, end))
            start = end + 1
    return [*rows, (start, len(text))]


def _cut(text: str, part: int, width: int) -> tuple[int, int]:
    """Where the row number `part` of a text begins and ends, each as full as can be."""
    first, used = 0, 0
    for number, character in enumerate(text):
        cells = get_character_cell_size(character)
        if used + cells > width:
            if not part:
                return first, number
            part, first, used = part - 1, number, 0
        used += cells
    return (len(text), len(text)) if part else (first, len(text))


# --- What the machine did while a run trained, in groups that share a unit, and along steps ---

_GPU = re.compile(r"(gpu\d+) (.+)")
_GPU_GROUPS = {
    "%": "gpu busy",
    "memory GB": "gpu memory",
    "power W": "gpu power",
    "°C": "gpu temperature",
}
_GROUPS = {
    "cpu cores": ("cpu", "run"),
    "machine cpu cores": ("cpu", "machine"),
    "memory GB": ("memory", "run"),
    "machine memory GB": ("memory", "machine"),
    "disk read MB/s": ("disk", "read"),
    "disk write MB/s": ("disk", "write"),
    "disk free GB": ("disk free", ""),
}
_ORDER = (*_GPU_GROUPS.values(), "cpu", "memory", "disk", "disk free")

_RECORDS = 4096
_NOTHING: looking_Points = (np.empty(0, np.int64), np.empty(0), np.empty(0))


class Group(NamedTuple):
    """Measures of one kind: `series` maps what a line is called to the name in the log."""

    title: str
    unit: str
    series: Mapping[str, str]


def groups(names: Mapping[str, object]) -> list[Group]:
    """The measures of system.jsonl, such as "cpu cores" or "gpu0 power W", the GPUs first."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    known = [name for name in _GROUPS if name in names]
    for name in [*known, *(name for name in names if name not in _GROUPS)]:
        gpu = _GPU.fullmatch(name)
        if gpu is not None:
            title, label = _GPU_GROUPS.get(gpu[2], f"gpu {gpu[2]}"), gpu[1]
        else:
            title, label = _GROUPS.get(name, (name.rpartition(" ")[0] or name, ""))
        unit = clean_line(name.rpartition(" ")[2], 8)
        found.setdefault((clean_line(title, 24), unit), {})[label] = name
    made = [Group(title, unit, series) for (title, unit), series in found.items()]
    place = {title: number for number, title in enumerate(_ORDER)}
    return sorted(made, key=lambda group: place.get(group.title, len(place)))


class Clock:
    """Where the moments and the steps of a run lie on the axis of its curves.

    By the run's own records, which have both a step and a time; some thousands of them say it
    as well as a million.
    """

    def __init__(self, view: RunView, axis: Axis) -> None:
        longest = max(view.series.values(), key=lambda points: len(points[0]), default=_NOTHING)
        stride = max(len(longest[0]) // _RECORDS, 1)
        last = slice(-1, None) if len(longest[0]) else slice(0)
        steps, values, times = (np.append(one[::stride], one[last]) for one in longest)
        x = along(axis, view, (steps, values, times), began(view)) if len(steps) else None
        known = np.isfinite(times)
        self._steps, self._x = steps, x
        self._times = np.maximum.accumulate(times[known])  # the clock may have been set back
        self._at = x[known] if x is not None else np.empty(0)

    def places(self, times: np.ndarray) -> np.ndarray | None:
        """Of unix times float64 [N], ascending: float64 [N]; NaN before the first record. None
        where no record says when it was made."""
        return np.interp(times, self._times, self._at, left=np.nan) if len(self._at) else None

    def place_of(self, step: float) -> float | None:
        """Of a step."""
        return None if self._x is None else float(np.interp(step, self._steps, self._x))

    def extent(self) -> View | None:
        """The places of the first and the last record."""
        if self._x is None or self._x[0] >= self._x[-1]:
            return None
        return float(self._x[0]), float(self._x[-1])


def drawn(points: looking_Points, x: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What a Curve draws of a measure: the places that are known, and the values there."""
    if x is None:
        times = points[2]
        known = np.isfinite(times)
        return times[known] - (times[known][0] if known.any() else 0.0), points[1][known]
    known = np.isfinite(x)
    return x[known], points[1][known]


# --- Whether a series is noisy, so that its average tells more than it does -------------------

_BLOCKS, _BLOCK = 8, 64  # stretches that are looked at, and how many values each has
_TURNS = 0.2  # of the steps between values: of noise two in three turn back, of a schedule none


def is_noisy(values: np.ndarray) -> bool:
    """Whether a value often lies on the other side of the one before than that did.

    A learning rate or a held-out loss that falls steadily is not: an average would only be
    late. Looks at a few stretches of a long series.
    """
    starts = np.linspace(0, max(len(values) - _BLOCK, 0), _BLOCKS).astype(int)
    turns = steps = 0
    for start in np.unique(starts):
        with np.errstate(invalid="ignore"):
            ways = np.sign(np.diff(values[start : start + _BLOCK]))
        ways = ways[np.isfinite(ways) & (ways != 0)]
        turns += int(np.count_nonzero(ways[1:] != ways[:-1]))
        steps += max(len(ways) - 1, 0)
    return turns > _TURNS * steps


# --- Which metrics share a curve, which of them are wanted, and in which order ----------------

_HELD_OUT_NAMES = ("val_", "val/", "valid_", "valid/", "validation/", "eval_", "eval/")
_TRAIN_NAMES = ("", "train_", "train/")


@dataclass(frozen=True)
class Plot:
    """The metrics of one curve; its `key` is the first of them, on the training data."""

    metrics: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.metrics[0]


def pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a filter, blind to case.

    Raises MisuseError, one line, for one that cannot be read.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        word = clean_line(text, 40)
        reason = clean_line(str(error), 60)
        raise MisuseError(f"'{word}' is no regular expression ({reason}): e.g. loss|lr") from None


def plots(names: Collection[str]) -> list[Plot]:
    """One a metric, in the order of `names`; a validation metric lies over its training metric.

    `val_loss` goes with `loss`, `eval/acc` with `acc`, `train_acc` or `train/acc`.
    """
    over: dict[str, list[str]] = {name: [name] for name in names}
    for name in names:
        partner = _trained(name, over)
        if partner is not None:
            over[partner] += over.pop(name)
    return [Plot(tuple(metrics)) for metrics in over.values()]


def _trained(name: str, names: Collection[str]) -> str | None:
    """The training metric that this one is the validation of."""
    for prefix in _HELD_OUT_NAMES:
        if name.startswith(prefix):
            stem = name[len(prefix) :]
            return next(
                (t + stem for t in _TRAIN_NAMES if t + stem in names and t + stem != name), None
            )
    return None


def wanted(every: Iterable[Plot], filter: re.Pattern[str], pins: Sequence[str]) -> list[Plot]:
    """Those of which a metric matches.

    The pinned come first, in the order of the pins; then those that are validated, then other
    losses, then the rest as they are.
    """
    kept = [plot for plot in every if any(map(filter.search, plot.metrics))]
    place = {key: at for at, key in enumerate(pins)}

    def rank(plot: Plot) -> tuple[int, bool, bool]:
        validated = len(plot.metrics) > 1
        return place.get(plot.key, len(place)), not validated, "loss" not in plot.key.lower()

    return sorted(kept, key=rank)


# --- The samples of one run or several as a film: which belongs to a step, and which come next

LONGEST = 300
"""Frames of a film, a minute of it: of more samples, as many at even distances are shown."""


def frames(views: Sequence[RunView]) -> list[int]:
    """The steps at which any of the runs made a sample, ascending."""
    if len(views) == 1:
        return list(views[0].sample_files)
    return sorted(set().union(*(view.sample_files for view in views)))


def at_or_before(steps: Sequence[int], cursor: float | None) -> int | None:
    """The newest of the ascending steps that is not after the cursor; None where none is."""
    if not steps:
        return None
    if cursor is None:
        return steps[-1]
    place = bisect_right(steps, cursor)
    return steps[place - 1] if place else None


def beside(steps: Sequence[int], cursor: float | None) -> tuple[int | None, int | None]:
    """The sample before the one that belongs to the cursor, and the one after it."""
    shown = at_or_before(steps, cursor)
    place = -1 if shown is None else bisect_right(steps, shown) - 1
    before = steps[place - 1] if place > 0 else None
    return before, steps[place + 1] if place + 1 < len(steps) else None


def film(steps: Sequence[int], start: float | None) -> list[int]:
    """What is played from the cursor on, or from the first sample where the cursor is at the
    newest: LONGEST at most, the newest among them."""
    shown = at_or_before(steps, start)
    first = shown if shown is not None and shown < steps[-1] else steps[0]
    rest = [step for step in steps if step >= first]
    stride = max(-(-len(rest) // LONGEST), 1)
    return rest[::-1][::stride][::-1]


# --- The settings of one run or several as lines: what differs, and what is the same ----------

MOST_SETTINGS = 2000
"""Settings of a run that are shown; a configuration with more is not one to read."""

_DEEPEST = 12
_LONGEST = 2000  # characters of a value


@dataclass(frozen=True)
class Setting:
    """One key, and what each of the runs has for it; "" where it has none."""

    key: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings by dotted keys, as text: `{"model": {"width": 256}}` is `model.width`."""
    found: dict[str, str] = {}
    for key, value in _leaves(config, "", 0):
        if len(found) >= MOST_SETTINGS:
            break
        found[key] = value
    return found


def _leaves(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for name, inner in value.items():
            word = clean_line(str(name), 80)
            yield from _leaves(inner, f"{key}.{word}" if key else word, depth + 1)
    elif key:
        yield key, _text(value)


def _text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool) or value is None:
        text = {True: "yes", False: "no", None: "none"}[value]
    elif isinstance(value, float):
        text = f"{value:g}" if value == float(f"{value:g}") else repr(value)
    elif isinstance(value, list | tuple):
        text = ", ".join(_text(one) for one in value[:100]) or "none"
    else:
        # A text may be of spaces or new lines alone, as a prompt can be.
        text = value if isinstance(value, str) else str(value)[:_LONGEST]
        if isinstance(value, str) and (not text.strip() or "\n" in text or text != text.strip()):
            text = repr(text[:_LONGEST])
    return clean_line(text[:_LONGEST])


def settings(configs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Of every run, in the order of the first that has them; those that differ come first."""
    tables = [flat(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    every = [Setting(key, tuple(table.get(key, "") for table in tables)) for key in keys]
    return sorted(every, key=lambda one: not one.differs)


# --- What the Training screen looks like, remembered for each thing that is watched -----------
# One small file each in the state folder, so that two apps never write the same one unless
# they watch the same.

FOLDER = "views"
MOST_VIEW_FILES = 200  # files that are kept: the ones used last

SideTab = Literal["sample", "console", "config", "system"]
SIDE_TABS: tuple[SideTab, ...] = get_args(SideTab)


class ViewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a person has chosen. `view` and `cursor` are places on the x axis."""

    runs: tuple[str, ...] = ()  # their folders or files; the first is the one that is steered
    filter: str = ""  # a regular expression
    pins: tuple[str, ...] = ()
    axis: Axis = "step"
    smoothing: float = 0.9  # 0 off, below 1
    log_y: bool = False
    log_x: bool = False
    view: tuple[float, float] | None = None  # None: everything, following the newest
    follow: bool = True  # the view moves with the newest
    cursor: float | None = None
    chosen: str = ""  # the key of a plot
    alone: bool = False  # the chosen plot has all the room
    side: SideTab = "sample"
    side_shown: bool = False  # in place of the curves, where there is no room for both


def looked_at(state: ViewState) -> dict[str, Any]:
    """How curves are drawn for it, by the names that a Curve and a Look have for that."""
    return {
        "unit": UNITS[state.axis],
        "smoothing": state.smoothing,
        "log_x": state.log_x,
        "log_y": state.log_y,
        "view": state.view,
        "cursor": state.cursor,
    }


def recall(key: str) -> ViewState:
    """How it was left; the defaults where it never was, or the file is damaged."""
    with suppress(OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        state = msgspec.json.decode(_path(key).read_bytes(), type=ViewState)
        if _sane(state):
            return state
    return ViewState()


def remember(key: str, state: ViewState) -> None:
    """Keep it. Raises nothing: where the folder cannot be written, only the view is lost."""
    path = _path(key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_bytes(msgspec.json.encode(state))
        aside.replace(path)
        _forget_oldest(path.parent)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return paths.state_dir() / FOLDER / f"{name}.json"


def _sane(state: ViewState) -> bool:
    """Whether it is one that this version could have written."""
    numbers = [*(state.view or (0.0, 1.0)), state.cursor or 0.0]
    try:
        re.compile(state.filter)
    except (re.error, RecursionError, OverflowError):
        return False
    ascending = state.view is None or state.view[0] < state.view[1]
    return ascending and all(map(math.isfinite, numbers)) and 0 <= state.smoothing < 1


def _forget_oldest(folder: Path) -> None:
    files = list(folder.glob("*.json"))
    if len(files) > MOST_VIEW_FILES:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-MOST_VIEW_FILES]:
            path.unlink(missing_ok=True)


# --- A view that is moved to keep something in sight ------------------------------------------

_AHEAD = 0.1  # of its width: how far a following view is ahead of the newest


def following(view: View, newest: float) -> View:
    """The view at the newest: moved on once that has left it, or lies far from its end.

    Every move of an edge redraws the whole chart, so it moves in leaps.
    """
    width = view[1] - view[0]
    if view[1] - 2 * _AHEAD * width <= newest <= view[1]:
        return view
    return newest - (1 - _AHEAD) * width, newest + _AHEAD * width


def showing(view: View, x: float) -> View:
    """The view moved as little as it takes for `x` to be in it."""
    width = view[1] - view[0]
    first = min(max(view[0], x - width), x)
    return first, first + width


# --- What is watched and how it is looked at: the state of the Training screen, without widgets

# What computes is imported with the first points: a screen that has none yet is there sooner.

_FEW = 400  # points that are drawn one by one, where another metric beside them has many
_FEWEST = 8  # points more after which a short series is looked at again
_NAME = 24  # cells of a run's name in a legend


@dataclass(frozen=True)
class SeriesLine:
    """One metric of one run, as a curve draws it."""

    label: str  # its run, where there are several, and its part
    part: str  # "train" or "val", where it shares the plot
    x: np.ndarray
    values: np.ndarray
    kind: Kind
    points: Points  # the arrays they are from: the same object while nothing is new


def series_of(
    lines: Sequence[SeriesLine],
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Kind]]:
    """The lines as curves take them: their points and their kinds, by label."""
    points = {line.label: (line.x, line.values) for line in lines}
    return points, {line.label: line.kind for line in lines}


class Board:
    """The runs that lie over each other, the newest look at each, and the view of them."""

    def __init__(self, runs: Sequence[RunSummary], state: ViewState) -> None:
        self.runs: list[RunSummary] = list(runs)
        self.state = state
        self.views: dict[RunDir, RunView] = {}
        self._began: dict[RunDir, float | None] = {}
        self._places: dict[tuple[RunDir, str, Axis], tuple[Points, np.ndarray | None]] = {}
        self._noisy: dict[tuple[RunDir, str], tuple[int, bool]] = {}
        self._every: tuple[object, list[Plot]] = (None, [])
        self._wanted: tuple[object, list[Plot]] = (None, [])

    def change(self, **fields: Any) -> None:
        """Another view: fields of ViewState by name."""
        if fields.get("axis", self.state.axis) != self.state.axis:
            self._places.clear()
        self.state = msgspec.structs.replace(self.state, **fields)

    # --- runs -------------------------------------------------------------------------

    @property
    def first(self) -> RunView | None:
        """The run that is steered, once it has been read."""
        return self.views.get(self.runs[0].run) if self.runs else None

    @property
    def shown(self) -> list[RunView]:
        """Every run that has been read, the steered one first."""
        return [self.views[one.run] for one in self.runs if one.run in self.views]

    def receive(self, view: RunView) -> bool:
        """A new look at one of the runs; False for another, which comes late."""
        if all(one.run != view.summary.run for one in self.runs):
            return False
        self.views[view.summary.run] = view
        return True

    def set_runs(self, runs: Sequence[RunSummary]) -> None:
        """Lay these over each other; what was read of one that stays is kept."""
        self.runs = list(runs)
        kept = {one.run for one in runs}
        self.views = {run: view for run, view in self.views.items() if run in kept}
        self.change(runs=tuple(str(one.run.path) for one in runs))

    def turn(self, by: int) -> None:
        """Make another of the runs the first."""
        if self.runs:
            by %= len(self.runs)
            self.set_runs([*self.runs[by:], *self.runs[:by]])

    def run_names(self) -> dict[RunDir, str]:
        """Each run by its name, with the end of its id where two have the same."""
        names = [one.info.name for one in self.runs]
        return {
            one.run: clean_line(
                name if names.count(name) == 1 else f"{name[: _NAME - 5]} {one.run.id[-4:]}", _NAME
            )
            for one, name in zip(self.runs, names, strict=True)
        }

    # --- plots ------------------------------------------------------------------------

    def every_plot(self) -> list[Plot]:
        """One a metric of any of the runs."""
        shown = self.shown
        if len(shown) == 1:
            names: Mapping[str, object] = shown[0].series
        else:
            names = {name: None for view in shown for name in view.series}
        key = tuple((view.summary.run, len(view.series)) for view in shown)
        if key != self._every[0]:
            self._every = key, plots(names)
        return self._every[1]

    def plots(self) -> list[Plot]:
        """Those that are wanted, in the order in which they are shown."""
        every = self.every_plot()
        key = (id(every), self.state.filter, self.state.pins)
        if key != self._wanted[0]:
            self._wanted = key, wanted(every, pattern(self.state.filter), self.state.pins)
        return self._wanted[1]

    def chosen(self) -> int:
        """The index of the chosen plot among those shown; the first where it is not one."""
        keys = (at for at, plot in enumerate(self.plots()) if plot.key == self.state.chosen)
        return next(keys, 0)

    def lines(self, plot: Plot) -> list[SeriesLine]:
        """The plot's metrics of every run, each where the axis has places for its points.

        The runs come in their order for each metric, so that the first metric of a run looks
        the same in every curve.
        """
        found: list[SeriesLine] = []
        names, shown = self.run_names(), self.shown
        most = [  # of each run by itself: a young one beside an old one is a line as well
            max((len(view.series[name][0]) for name in _had(view, plot)), default=0)
            for view in shown
        ]
        for metric in plot.metrics:
            for view, longest in zip(shown, most, strict=True):
                points = view.series.get(metric)
                x = self._along(view, metric, points) if points is not None else None
                if points is None or x is None or not len(x):
                    continue
                few = len(x) <= _FEW and len(x) * 4 <= longest
                kind: Kind = "marks" if few else self._kind(view.summary.run, metric, points[1])
                part = ""
                if len(plot.metrics) > 1:
                    part = "train" if metric == plot.key else "val"
                run = names[view.summary.run] if len(self.runs) > 1 else ""
                label = f"{run} {part}".strip() or clean_line(metric, 60)
                found.append(SeriesLine(label, part, x, points[1], kind, points))
        return found

    def _kind(self, run: RunDir, metric: str, values: np.ndarray) -> Kind:
        """As a noisy series or as one that is smooth by itself; asked again once it has grown."""
        known = self._noisy.get((run, metric))
        if known is None or not known[0] <= len(values) < 1.5 * known[0] + _FEWEST:
            known = self._noisy[run, metric] = (len(values), is_noisy(values))
        return "smoothed" if known[1] else "line"

    # --- the x axis -------------------------------------------------------------------

    def axes(self) -> list[Axis]:
        """Those that the first run's points have places on."""
        return known_axes(self.first) if self.first is not None else ["step"]

    def step_at(self, x: float) -> float | None:
        """The first run's newest step at or before that place on the axis."""
        found = self._reference()
        if found is None or self.state.axis == "step":
            return x
        steps, places = found
        at = int(places.searchsorted(x, side="right")) - 1
        return float(steps[max(at, 0)])

    def newest_step(self) -> int:
        """The last that the first run has logged; 0 before there is one."""
        view = self.first
        steps = [points[0] for points in view.series.values()] if view is not None else []
        return max((int(one[-1]) for one in steps if len(one)), default=0)

    def overlaps(self) -> tuple[tuple[float, float], ...]:
        """From where to where the first run wrote steps again, on the axis."""
        written = self.first.overlaps if self.first is not None else ()
        ends = ((self.place_of(first), self.place_of(last)) for first, last in written)
        return tuple((a, b) for a, b in ends if a is not None and b is not None)

    def place_of(self, step: float) -> float | None:
        """Where the axis has that step of the first run."""
        found = self._reference()
        if found is None or self.state.axis == "step":
            return step
        steps, places = found
        at = int(steps.searchsorted(step, side="right")) - 1
        return float(places[max(at, 0)])

    def _reference(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps of the first run's longest series, and their places on the axis."""
        view = self.first
        if view is None or not view.series:
            return None
        name, points = max(view.series.items(), key=lambda item: len(item[1][0]))
        places = self._along(view, name, points)
        return None if places is None or not len(places) else (points[0], places)

    def _along(self, view: RunView, name: str, points: Points) -> np.ndarray | None:
        """The places of the points of a metric, computed once for each that is new."""
        run, axis = view.summary.run, self.state.axis
        if axis == "step":
            return points[0]
        if self._began.get(run) is None:
            self._began[run] = began(view)
        known = self._places.get((run, name, axis))
        if known is None or known[0] is not points:
            known = (points, along(axis, view, points, self._began[run]))
            self._places[run, name, axis] = known
        return known[1]


def _had(view: RunView, plot: Plot) -> list[str]:
    """The plot's metrics that the run has."""
    return [name for name in plot.metrics if name in view.series]
