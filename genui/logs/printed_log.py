"""From printed lines to metrics with steps: bars, blocks, phases, restarts and ranks.

`Lines` splits bytes into lines as a terminal shows them, `read_any` finds the numbers in one, and
`PrintedLog` decides which step they belong to. Where it had to choose, `PrintedLog.notes` says what
was chosen and why.
"""

import codecs
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from genui.logs.printed_choice import COUNT, Choice
from genui.logs.printed_dicts import OpenDict
from genui.logs.printed_line import (
    LONGEST,
    Line,
    clean,
    named_numbers,
    read_any,
    read_clean,
    split_bar,
    traits,
)
from genui.logs.printed_places import Places
from genui.logs.printed_tables import Tables
from genui.logs.printed_trials import Trials
from genui.logs.records import STEP_TIME

_BREAK = re.compile(r"\r\n|\n|\r")


class Printed(NamedTuple):
    """One line as a terminal shows it."""

    text: str
    stays: bool  # it ends in a line feed, so no progress bar draws over it


class Lines:
    """Splits text that comes in pieces of any size, at line feeds and at the carriage returns of
    progress bars; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    @property
    def rest(self) -> str:
        """The text after the last line end."""
        return self._rest

    def take(self, data: bytes, final: bool = False) -> list[Printed]:
        """The lines that `data` completes; with `final` also the text after the last line end.

        A line longer than LONGEST is returned in parts.
        """
        text = self._rest + self._decode(data, final)
        lines: list[Printed] = []
        start = 0
        for end in _BREAK.finditer(text):
            if end[0] == "\r" and end.end() == len(text) and not final:
                break  # perhaps the first half of \r\n
            lines.append(Printed(text[start : end.start()], end[0] != "\r"))
            start = end.end()
        self._rest = text[start:]
        if len(self._rest) > LONGEST or (final and self._rest):
            lines.append(Printed(self._rest, True))
            self._rest = ""
        return lines


class Point(NamedTuple):
    step: int
    metrics: dict[str, float]


_Note = Callable[[str], None]

_MAX_NOTES = 40
_MAX_STREAMS = 4096
_MAX_NAMES = 5000  # of a step
_MAX_RANKS = 64  # ranks whose series are kept; of others only the spread is
_ACROSS = 64  # steps for which the ranks are compared
_RANK = re.compile(
    r"\s{0,8}(?:\[(?:rank|default|local|worker|role|trainer|gpu|proc)[ _-]?([0-9]{1,6})\]:?"
    r"|\[[0-9]{1,4},([0-9]{1,6})\]<std(?:out|err)>:"
    r"|(?:rank|worker|node|trainer|gpu|proc(?:ess)?)[ _-]?([0-9]{1,6})[ ]{0,8}[:|>](?=\s)"
    r"|\[?((?:host|node|pod|machine|task)[\w.-]{0,40}?[0-9]{1,6})(?::(?=\s)|\](?=\s))"
    r"|\(\w{1,40} (?:rank=([0-9]{1,6})[^)]{0,80}|pid=([0-9]{1,9})[^)]{0,80})\)"
    r"|([0-9]{1,6}):(?=\s))",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"\A(?:\x1b\[[0-9;]{0,20}m)+")


class PrintedLog:
    """Gives every line with metrics its step.

    That is the step in the line (step, iteration, global_step …) or its position in a progress bar
    (120/1000), continued if either restarts in the next epoch; else its epoch, if the log has
    nothing finer; else the last known step. In a log without any position the records are counted.
    The lines of several processes, `[rank3]: step 10 loss 2.3`, are read apart: those of rank 0
    have the plain names, others `rank3/loss`.
    """

    def __init__(self, choice: Choice | None = None) -> None:
        self._choice = choice or Choice()
        self.notes: list[str] = []
        self.units: dict[str, str] = {}  # of metrics, as printed after the numbers
        self._streams: dict[int, _Stream] = {}
        self._trials, self._of_trials = Trials(), dict[str, _Stream]()
        self._pids: dict[str, int] = {}
        self._labels = False  # lines begin with the number of their rank, as of srun --label
        self._last_label = -1
        self._across = _Across()
        self._recent: deque[Point] = deque(maxlen=_ACROSS)  # before a second rank printed

    def take(self, text: str, stays: bool = True) -> list[Point]:
        """The points that a line completes. Never raises."""
        rank, rest = self._split(text)
        rest = _without_head(rest)
        if not rank and (trial := self._trials.other(rest)):
            if trial not in self._of_trials:
                self._of_trials[trial] = _Stream(self._choice, self._note, self.units)
                self._note("several trials print: the first has the plain names, others TRIAL/NAME")
            return self._under(trial, self._of_trials[trial].take(rest, stays))
        return self._named(rank, self._stream(rank).take(rest, stays))

    def finish(self) -> list[Point]:
        """The points of what still waits for a later line, at the end of the log or in a pause."""
        return [
            point
            for rank, stream in self._streams.items()
            for point in self._named(rank, stream.finish())
        ] + [
            point
            for trial, stream in self._of_trials.items()
            for point in self._under(trial, stream.finish())
        ]

    def _stream(self, rank: int) -> "_Stream":
        if rank not in self._streams and len(self._streams) > _MAX_STREAMS:
            rank = next(iter(self._streams))
        if rank not in self._streams:
            self._streams[rank] = _Stream(self._choice, self._note, self.units)
            if len(self._streams) == 2 and 0 in self._streams:  # rank 0 was the first to print
                for step, metrics in self._recent:
                    self._across.add(0, step, metrics, 1)
            if len(self._streams) == 2:
                self._note("several ranks print: rank 0 has the plain names, others rankN/NAME")
        return self._streams[rank]

    def _split(self, text: str) -> tuple[int, str]:
        """The rank in the prefix, 0 if there is none, and the text after it."""
        if text[:1] == "\x1b":
            text = _COLOUR.sub("", text)
        start = text[:8].lstrip()[:1]
        if not start or start not in "[(0123456789rRwWnNtTgGpPhHmM":
            return 0, text
        match = _RANK.match(text)
        if match is None:
            return 0, text
        rest = text[match.end() :]
        if not match[0].startswith("[default"):  # torchrun adds no space
            rest = rest.removeprefix(" ")
        if match[7] is not None:
            rank = int(match[7])
            return (rank, rest) if self._is_label(rank, rest) else (0, text)
        if process := match[4] or match[6]:
            if process not in self._pids and len(self._pids) > _MAX_STREAMS:
                return 0, rest
            return self._pids.setdefault(process, len(self._pids)), rest
        return int(next(group for group in match.groups() if group is not None)), rest

    def _is_label(self, rank: int, rest: str) -> bool:
        """Whether `3: …` is labelled by srun; but `10: learn 0.5` is a step."""
        if self._labels:
            return True
        # A label is printed again and again, a step once.
        self._labels = rank == self._last_label or rank < self._last_label in self._streams
        self._last_label = rank
        line = read_any(rest)
        if line is not None and line.placed and line.metrics:
            self._labels = True
        return self._labels or (rank == 0 and line is None)

    def _named(self, rank: int, points: list[Point]) -> list[Point]:
        if points and len(self._streams) > 1:
            result: list[Point] = []
            for step, metrics in points:
                metrics = self._choice.keep(metrics)
                if rank and rank < _MAX_RANKS:
                    named = {f"rank{rank}/{name}": value for name, value in metrics.items()}
                else:
                    named = metrics if not rank else {}
                named |= self._across.add(rank, step, metrics, len(self._streams))
                if named:
                    result.append(Point(step, named))
            return result
        if points and rank:  # the first rank to print is not 0
            return self._under(f"rank{rank}", points)
        self._recent.extend(points)
        if not self._choice.metrics:
            return points
        kept = [Point(step, self._choice.keep(metrics)) for step, metrics in points]
        return [point for point in kept if point.metrics]

    def _under(self, name: str, points: list[Point]) -> list[Point]:
        return [
            Point(step, {f"{name}/{metric}": value for metric, value in kept.items()})
            for step, metrics in points
            if (kept := self._choice.keep(metrics))
        ]

    def _note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(text)


class _Across:
    """Compares the ranks at each step: the spread of every metric, and the slowest rank."""

    def __init__(self) -> None:
        self._steps: OrderedDict[int, dict[str, list[float]]] = OrderedDict()
        self._slow: dict[int, tuple[float, int]] = {}

    def add(self, rank: int, step: int, metrics: dict[str, float], count: int) -> dict[str, float]:
        """Adds a point of a rank; returns the metrics across ranks, if it was the last rank."""
        table = self._steps.get(step)
        if table is None:
            table = self._steps[step] = {}
            if len(self._steps) > _ACROSS:
                self._slow.pop(self._steps.popitem(last=False)[0], None)
        result: dict[str, float] = {}
        slowest = self._slow.get(step)
        for name, value in metrics.items() if len(table) < _MAX_NAMES else ():
            low_high = table.setdefault(name, [value, value, 0])
            low_high[0] = min(low_high[0], value)
            low_high[1] = max(low_high[1], value)
            low_high[2] += 1
            if STEP_TIME.search(name) and (slowest is None or value > slowest[0]):
                slowest = self._slow[step] = (value, rank)
            if count > 1 and low_high[2] >= count:
                result[f"ranks/spread {name}"] = low_high[1] - low_high[0]
                # Without a time of each rank the last one to print is the slowest.
                result["ranks/slowest"] = float(slowest[1] if slowest else rank)
        return result


class _Counter:
    """A count as printed, continued if it restarts in every epoch."""

    def __init__(self, what: str = "step", part: str = "epoch") -> None:
        self._what, self._part = what, part  # what is counted, and what it restarts in
        self.before = 0  # steps of earlier epochs
        self.total = 0
        self.first = -1
        self.last = -1
        self.stride = self.widest = 1
        self.epoch: float | None = None
        self.per_epoch = False  # it was seen to restart
        self.resumed = False  # the last count was one of a resumed run
        self._moved = True  # since the last restart

    @property
    def step(self) -> int:
        return self.before + max(self.last, 0)

    @property
    def active(self) -> bool:
        return 0 < self.last < self.total

    @property
    def ended(self) -> bool:
        return 0 < self.total <= self.last

    @property
    def end(self) -> int:
        """The step at the end of this epoch."""
        return self.before + max(self.last, self.total)

    @property
    def near_end(self) -> bool:
        """Whether the end may come before it is drawn again."""
        return self.last > 0 and self.last + 2 * self.widest >= self.total

    def begin(self, epochs: int, total: int) -> None:
        """Counts from the end of that many epochs, which were not printed."""
        self.before = epochs * total

    def at(self, n: int, total: int, epoch: float | None, note: _Note, anew: bool = False) -> int:
        """The step for a count `n`; `total` is the length of an epoch, 0 if it is unknown, and
        `anew` says that a count no greater than the last is one of a new epoch."""
        later = epoch is not None and self.epoch is not None and epoch > self.epoch
        again = epoch is not None and self.epoch is not None and epoch < self.epoch
        later = later or (anew and n <= self.last) or (again and n == self.last)
        self.resumed = False
        if self.first < 0:
            self.first = n
        elif n < self.last or (
            later and (self._moved or anew) and (n == self.last or self.per_epoch)
        ):
            self._back(n, later, anew, epoch, note)
            self._moved = n > 0
        elif n > self.last:
            self.stride = n - self.last
            self.widest = max(self.stride, self.widest)
            self._moved = True
        self.last, self.total = n, total or self.total
        self.first = min(self.first, n)
        self.epoch = epoch if epoch is not None else self.epoch
        return self.before + n

    def _back(self, n: int, later: bool, anew: bool, epoch: float | None, note: _Note) -> None:
        """The count went back: in a new epoch, after a restart, or lines are out of order."""
        ended = self.total > 0 and self.last + self.stride > self.total
        same = epoch is not None and epoch == self.epoch and not ended
        near = n != self.first and self.last - n <= 2 * self.stride
        if later or (not same and (ended or (n <= self.first and not near))):
            self.per_epoch = True
            length = self.total
            if length < self.last or not length:
                length = max(0, self.last + self.stride - self.first)
            epochs = 1
            if later and self.total and epoch is not None and self.epoch is not None:
                epochs = max(1, int(epoch - self.epoch))
            self.before += length * min(epochs, 1_000_000)
            if later and not anew:
                why = "the epoch went on"
            elif ended:
                why = "the count had reached its end"
            elif anew:
                why = "in a table of its own"
            elif self._what == "step":
                why = "unsure: no epoch is printed; it could be another run"
            else:
                why = "unsure: it could be another run"
            note(f"the {self._what} restarts at {n}: read as a new {self._part}, {why}")
        elif self.last - n > 2 * self.stride or self._what == "epoch":
            self.resumed = True
            note(f"the {self._what} went back from {self.last} to {n}: read as resumed from a "
                 "checkpoint")  # fmt: skip


_MAX_WAITING = 1000
_MAX_WEAK = 256
_ENOUGH = 3  # times that numbers without a known name are seen before they are metrics
_LEAD_WAIT = 4
_FAR = 5  # lines from a bar that has ended, after which metrics are not of it
_EVALUATES = re.compile(r"\bevaluat|\bvalidat|\btesting\b|\binference\b", re.IGNORECASE)
_PARTS = re.compile(r"(?:val|valid|validation|eval|test|dev)(?:[_/ -]|$)|_epoch$", re.IGNORECASE)
_PLANNED = re.compile(r"(?:max|num|train)_?(?:train_)?epochs[\"']?\s?[=:]\s?([0-9]{1,7})\b", re.I)
_LEARNING_RATE = re.compile(r"(?:^|[_/])(?:lr[0-9f]?|learning_?rate)$", re.IGNORECASE)
_LOG_HEAD = re.compile(  # the time and level of a logger
    r"\[?[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[ T,][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?Z?\]?"
    r"(?: ?[-|:]? ?\[?(?:INFO|DEBUG|WARNING)\]? {0,8}[-|:]?)?(?: ?[-:](?= ))?[ \t]?",
    re.IGNORECASE,
)
_BLOCK_LINE = re.compile(r"[\s|>*•-]*+[A-Za-z][\w /]{0,60}+: {0,8}[-+]?[0-9]")
_LETTER = re.compile(r"[^\W\d_]")
_KEY = re.compile(r"\s*[\w./@%-]{1,60}:(?:\s|$)")


@dataclass
class _Lead:
    """A name that may be that of the step: whole numbers at the beginning of lines."""

    last: int = -1
    rises: int = 0
    waiting: list[Line] = field(default_factory=list)
    decided: bool | None = None


class _Waiting(NamedTuple):
    line: Line
    cleared: bool  # the bar was removed first, and is drawn again behind it at the current step


class _Stream:
    """The lines of one process."""

    def __init__(self, choice: Choice, note: _Note, units: dict[str, str]) -> None:
        self._choice = choice
        self._note = note
        self._units = units
        self._units_seen: dict[str, str] | None = None
        self._tables, self._dicts = Tables(), OpenDict()
        self._above = ""  # the phase in the line above, if that ends in a colon
        self._step = 0
        self._finer = False  # than epochs
        self._fractional = False  # epochs such as 0.01, 0.02, which are no steps
        self._epoch: float | None = None
        self._part = -1.0  # the newest fractional epoch
        self._values: dict[str, float] = {}  # of the current step
        self._counts: dict[bool, _Counter] = {}  # of steps, and of bars
        self._outer: dict[tuple[str, int], int] = {}  # bars around others, with their n
        self._places = Places()
        self._headings, self._epochs = (_Counter("epoch", "training") for _ in range(2))
        self._by_epoch = False  # records say their epoch, which is their step
        self._bar: tuple[str, int] | None = None  # the bar that is the position: title, total
        self._bar_count: _Counter | None = None
        self._credit = False  # metrics belonged to the bar
        self._since_bar = 0  # lines since a bar was drawn
        self._says_steps = False  # in lines or in bars with metrics
        self._of_epoch = False  # the bar began below the heading of an epoch
        self._cleared = False
        self._waiting: list[_Waiting] = []
        self._in_bar: dict[str, float] = {}  # the newest values in a bar
        self._heading = False  # a position was printed, and its metrics follow a line each
        self._company = False  # one of them was read
        self._block: list[Line] = []
        self._weak: dict[str, list[Point]] = {}
        self._leads: dict[str, _Lead] = {}
        self._evaluates = False
        self._epochs_planned = 0  # as a setting says
        self._phases: set[str] = set()
        self._shapes: set[frozenset[str]] = set()  # names of lines outside evaluations
        self._counted = 0

    # --- lines ---

    def take(self, text: str, stays: bool) -> list[Point]:
        bar, rest = split_bar(text) if stays and "]" in text else ("", text)
        if bar:  # print, while a bar is drawn, begins at its end
            return self.take(bar, False) + self.take(_without_head(rest), True)
        if not stays or not self._dicts.may_hold(text):
            return self._take(text, stays)
        return [point for line in self._dicts.take(text) for point in self._take(line, True)]

    def _take(self, text: str, stays: bool) -> list[Point]:
        if not text or text.isspace():
            self._cleared = self._cleared or bool(text and not stays)
            points: list[Point] = []
            if stays:
                self._end_block(points)
            return points
        self._since_bar += 1
        if "\x1b[" in text and ("\x1b[A" in text or "\x1b[K" in text or "\x1b[2K" in text):
            self._cleared = True
        text = clean(text)
        if "pochs" in text and (planned := _PLANNED.search(text)):
            self._epochs_planned = int(planned[1])
        above, self._above = self._above, ""
        points = []
        rows = self._tables.take(text)
        if rows is not None:
            for line in rows:
                self._emit(self._row_as_chosen(line), points)
            return points
        line = read_clean(text)
        if line is not None and line.bar is not None and not stays:
            line.redrawn = True
        if line is not None and text.rstrip().endswith(":"):
            self._above = line.phase
        if line is not None and line.record and above and not line.phase:
            line.phase = above
            line.add_phase()
        if line is None:
            if text.isspace():
                self._cleared = True
            else:
                self._words(text, points)
            return points
        if self._choice.step:
            self._chosen(line, text, points)
        else:
            self._line(line, text, points)
        return points

    def finish(self) -> list[Point]:
        points = [point for text in self._dicts.finish() for point in self._take(text, True)]
        for line in self._tables.end():
            self._emit(line, points)
        self._end_block(points)
        for lead in self._leads.values():
            if lead.decided is not None or not lead.waiting:
                continue
            if lead.rises > 0:
                lead.decided = True
            if lead.decided or not any(line.weak for line in lead.waiting):
                self._release(lead, points)  # undecided if more lines follow after all
        if self._waiting:
            self._leave_ended(points)
        return points

    def _words(self, text: str, points: list[Point]) -> None:
        """A line without numbers of its own."""
        has_letters = _LETTER.search(text) is not None
        if has_letters:
            if _EVALUATES.search(text):
                self._evaluates = True
            if not (self._block and _KEY.match(text)):
                self._end_block(points)
            self._heading = False
        elif self._block:
            self._end_block(points)

    def _row_as_chosen(self, line: Line) -> Line:
        """A row of a table with the step that the user said, if it is in it."""
        value = line.metrics.get(self._choice.step)
        if value is not None and value >= 0 and value.is_integer():
            line.step, line.whole = int(value), True
        return line

    def _chosen(self, line: Line, text: str, points: list[Point]) -> None:
        """Places a line as the user said."""
        metrics = dict(line.metrics)
        if self._choice.step != COUNT:
            numbers = named_numbers(text)
            value = numbers.get(self._choice.step)
            if value is not None and value >= 0 and value.is_integer():
                self._step, self._finer = int(value), True
                self._say_if_resumed(self._step)
                metrics.pop(self._choice.step, None)
            elif line.weak:
                return
        elif metrics and not line.weak:
            self._step, self._counted = self._counted, self._counted + 1
        if line.epoch is not None:
            metrics.setdefault("epoch", line.epoch)
        if metrics:
            step, metrics = self._settle(line, self._step, metrics, said=True)
            points.append(Point(step, _renamed(metrics)))

    def _line(self, line: Line, text: str, points: list[Point]) -> None:
        counter = self._bar_count
        if counter is not None and self._since_bar > _FAR and not (self._credit or counter.active):
            self._leave_bar(points)  # it ended long ago, without a metric: of the data, perhaps
        if line.bar is not None and not line.metrics and line.step is None:
            self._draw(line, points)
            return
        if self._block and (not text[:1].isspace() or not (line.single or not line.metrics)):
            self._end_block(points)
        leads = line.lead is not None and not line.placed_by_step and line.metrics
        if leads and self._take_lead(line, points):
            return
        if line.weak:
            self._take_weak(line, text, points)
            return
        if line.single and not self._heading and text.startswith(("  ", "\t")):
            self._add_to_block(line, points)
            return
        if self._block and not line.metrics and line.step is not None:
            self._emit(line, points)
            self._end_block(points)  # its step was inside
            return
        if self._waits(line, points):
            self._waiting.append(_Waiting(line, self._cleared))
            self._cleared = False
            if len(self._waiting) > _MAX_WAITING:
                self._resolve(points, None)
            return
        self._emit(line, points)

    # --- blocks of a name and a number a line ---

    def _add_to_block(self, line: Line, points: list[Point]) -> None:
        if len(self._block) >= _MAX_WAITING:
            self._end_block(points)
        self._block.append(line)

    def _end_block(self, points: list[Point]) -> None:
        block, self._block = self._block, []
        whole = len(block) > 2 and any(not line.weak for line in block)
        for line in block:
            if not line.weak or whole:
                line.weak = False
                self._emit(line, points)

    def _take_weak(self, line: Line, text: str, points: list[Point]) -> None:
        """Numbers that may be no metrics: below the heading of a step they are, in company."""
        if self._heading and (line.single or _BLOCK_LINE.match(text)):
            self._block.append(line)
            if len(self._block) > 1 or self._company:
                for waiting in self._block:
                    waiting.weak = False
                    self._emit(waiting, points)
                self._block.clear()
            return
        if line.single and text.startswith(("  ", "\t")):
            self._add_to_block(line, points)
            return
        if not self._finer:
            return
        # Seen again and again at later steps, it is a metric.
        for name, value in line.metrics.items() if line.single else ():
            seen = self._weak.get(name)
            if seen is None:
                if len(self._weak) >= _MAX_WEAK:
                    self._weak.pop(next(iter(self._weak)))
                seen = self._weak[name] = []
            if seen and seen[-1].step == self._step:
                seen[-1] = Point(self._step, {name: value})
                self._note(f"'{name}' is printed several times at one step: its last value counts")
                if len(seen) < _ENOUGH:
                    continue
            elif len(seen) < _ENOUGH:
                seen.append(Point(self._step, {name: value}))
                if len(seen) == _ENOUGH:
                    points += [Point(step, _renamed(metrics)) for step, metrics in seen]
                continue
            points.append(Point(self._step, _renamed({name: value})))

    # --- steps under a name of their own ---

    def _take_lead(self, line: Line, points: list[Point]) -> bool:
        """Whether the line waits, or was placed, by the number at its beginning."""
        assert line.lead is not None
        name, n = line.lead
        lead = self._leads.get(name)
        if lead is None:
            if len(self._leads) >= _MAX_WEAK:
                return False
            lead = self._leads[name] = _Lead()
        if lead.decided is False:
            return False
        if lead.decided:
            self._place_by_lead(line, points)
            return True
        if n < lead.last or (self._finer and lead.last < 0):
            lead.decided = False
        elif lead.last >= 0:
            lead.rises += n > lead.last
        lead.last = n
        lead.waiting.append(line)
        if lead.decided is None and lead.rises >= 2:
            lead.decided = True
            self._note(
                f"the step is '{name}'" if name else "the step is the number that begins a line"
            )
        elif len(lead.waiting) > _LEAD_WAIT and lead.rises < 2:
            lead.decided = False
        if lead.decided is not None:
            self._release(lead, points)
        return True

    def _release(self, lead: _Lead, points: list[Point]) -> None:
        waiting, lead.waiting = lead.waiting, []
        for line in waiting:
            if lead.decided:
                self._place_by_lead(line, points)
            elif not line.weak:
                self._emit(line, points)

    def _place_by_lead(self, line: Line, points: list[Point]) -> None:
        assert line.lead is not None
        name, line.step = line.lead
        line.metrics.pop(name, None)
        line.weak = False
        self._emit(line, points)

    # --- progress bars without metrics ---

    def _waits(self, line: Line, points: list[Point]) -> bool:
        """Whether a line without a step belongs to a bar, and waits until it is drawn again."""
        counter = self._bar_count
        if self._places_itself(line):
            self._leave_ended(points)
            return False
        if line.placed_by_step or not line.metrics or self._is_config(line) or self._by_epoch:
            return False
        if self._counts:  # of bars with metrics
            return self._counts.keys() == {True} and (self._cleared or bool(self._waiting))
        if counter is None:
            return False
        if self._cleared:
            return True
        repeated = not self._values.keys().isdisjoint(line.metrics)
        if counter.ended and not self._credit:
            held = any(not item.line.metrics.keys().isdisjoint(line.metrics)
                       for item in self._waiting)  # fmt: skip
            if not held:
                return True  # the bar of an epoch is drawn again, that of the data is not
            self._leave_bar(points)
            return False
        return bool(self._waiting) or (repeated and line.record and line.epoch is not None)

    def _places_itself(self, line: Line) -> bool:
        """Whether the step of a line is the epoch that it says, whatever bars are drawn."""
        whole = line.says_epoch and line.epoch is not None and line.epoch.is_integer()
        return whole and not (line.placed_by_step or self._finer)

    def _leave_ended(self, points: list[Point]) -> None:
        """At a line with an epoch, and at the end of the log: a bar that has ended, and was of no
        epoch, is no position."""
        counter = self._bar_count
        if counter is not None and counter.ended and not self._credit and not self._of_epoch:
            self._leave_bar(points)
        self._resolve(points, None)

    def _leave_bar(self, points: list[Point]) -> None:
        """Takes the bar for that of something else; what waited for it has no step."""
        self._bar_count = None
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self._emit(item.line, points)

    def _draw(self, line: Line, points: list[Point]) -> None:
        assert line.bar is not None
        self._since_bar = 0
        self._end_block(points)
        if line.epoch is not None and not line.held_out:
            self._epoch = line.epoch
        if not line.held_out and not self._counts:
            key = (line.title, line.bar[1])
            self._draw_bar(key, *line.bar, line.epoch, line.epochs, points)
        elif not line.held_out:
            self._resolve(points, line.bar[0])
        self._cleared = False

    def _first_count(self, total: int, epoch: float | None, epochs: int) -> _Counter:
        """A counter for a log that begins in a later epoch, if the number of epochs says which."""
        counter = _Counter()
        if epoch and epochs and self._epochs_planned:
            first = {epochs: 1, epochs + 1: 0}.get(self._epochs_planned)  # counted from 1, from 0
            if first is not None and epoch.is_integer():
                counter.begin(min(int(epoch) - first, 1_000_000), total)
        return counter

    def _draw_bar(
        self,
        key: tuple[str, int],
        n: int,
        total: int,
        epoch: float | None,
        epochs: int,
        points: list[Point],
    ) -> None:
        """Moves to the position of a bar, unless it is inside or around that of the training."""
        counter = self._bar_count
        if counter is None:
            self._bar, self._credit, self._of_epoch = key, False, self._epoch is not None
            counter = self._bar_count = self._first_count(total, epoch, epochs)
        elif key != self._bar and self._waiting and counter.ended:
            return  # what waits says whether that one is the position
        elif key != self._bar:
            if key in self._outer:
                if n - self._outer[key] < 2:
                    return
                del self._outer[key]  # it goes on without the other: that was no epoch
            elif counter.last == 0 and counter.total > 0 and not self._credit:
                if self._bar is not None and len(self._outer) < 16:
                    self._outer[self._bar] = 0  # a loop over epochs around this one
            elif counter.active or self._credit:
                return  # inside the other, as an evaluation is
            self._bar, self._credit, self._of_epoch = key, False, self._epoch is not None
            counter = self._bar_count = _Counter()
        elif n <= counter.last:
            self._outer = {outer: count + 1 for outer, count in self._outer.items()}
        self._resolve(points, n)
        step = counter.at(n, total, epoch, self._note)
        if self._credit:
            self._move(step)
        self._finer = self._finer or self._credit

    def _resolve(self, points: list[Point], n: int | None) -> None:
        """Places what waited for the bar, which is now drawn at `n`; None if nothing is drawn."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        counter = self._counts.get(True) if self._counts else self._bar_count
        if counter is None:
            for item in waiting:
                self._emit(item.line, points)
            return
        self._credit = self._finer = True
        last = at = counter.step
        if n is not None and n >= counter.last:
            at = counter.before + n
        elif n is not None or (waiting[0].cleared and counter.near_end):
            last = at = counter.end  # it has begun again, or is gone: it had come to its end
        steps = [at if item.cleared else last for item in waiting]
        self._spread(waiting, steps)
        for item, step in zip(waiting, steps, strict=True):
            if not item.line.held_out:
                self._move(step)
            self._add(item.line, step, "", points)

    def _spread(self, waiting: Sequence[_Waiting], steps: list[int]) -> None:
        """Records that came in one piece: their epochs say how they are apart."""
        names: set[str] = set()
        repeated = False
        for item in waiting:
            repeated = repeated or not names.isdisjoint(item.line.metrics)
            names.update(item.line.metrics)
        end = waiting[-1].line.epoch
        if not repeated or not end:
            return
        self._note("unsure: records came in pieces, away from the bar (python -u prints at once); "
                   "their steps are from their epochs")  # fmt: skip
        for index, item in enumerate(waiting):
            if item.line.epoch is not None and item.line.epoch <= end:
                steps[index] = round(steps[-1] * item.line.epoch / end)

    # --- where a line belongs ---

    def _emit(self, line: Line, points: list[Point]) -> None:
        if line.phase:
            self._phases.add(line.phase)
        if line.epoch is not None and not line.held_out:
            self._epoch = line.epoch
        if self._is_config(line):
            return
        step, prefix = self._place(line, points)
        if not line.metrics:
            if step is not None:
                self._move(step)
                self._heading, self._company = line.step is not None, False
            elif line.epoch is not None:
                self._heading = self._heading or not self._finer
            return
        if line.placed:
            self._heading = False
        self._company = self._heading
        if step is None:
            step = self._next(line)
        if line.bar is not None:
            if line.drawn and line.bar[0] == 0:
                line.metrics.clear()  # of the epoch before
            self._unchanged(line)
        self._add(line, step, prefix, points)

    def _is_config(self, line: Line) -> bool:
        """Whether a line before the first step is one of the settings: only a learning rate in it
        is known."""
        if self._finer or line.placed or self._shapes or not line.metrics:
            return False
        return not any(
            traits(name).known and not _LEARNING_RATE.search(name) for name in line.metrics
        )

    def _add(self, line: Line, step: int, prefix: str, points: list[Point]) -> None:
        metrics = self._without_collisions(line, step, prefix)
        step, metrics = self._settle(line, step, metrics, self._says_steps)
        if line.epoch is not None and step != line.epoch and metrics:
            metrics.setdefault("epoch", line.epoch)
        if not line.held_out and not prefix:
            self._move(step)
            if len(self._values) < _MAX_NAMES:
                self._values.update(line.metrics)
            if not self._evaluates and len(self._shapes) < 64:
                self._shapes.add(frozenset(line.metrics))
        if line.units and line.units is not self._units_seen:
            self._add_units(line.units, metrics)
        if metrics:
            points.append(Point(step, _renamed(metrics)))

    def _settle(
        self, line: Line, step: int, metrics: dict[str, float], said: bool
    ) -> tuple[int, dict[str, float]]:
        """The place of a record: its own, where that of another record would be replaced. `said`
        is whether the log says its steps, so that a record keeps its step."""
        if line.redrawn:
            return step, self._places.without_recorded(step, metrics)
        if self._places.clashes(step, metrics):
            apart = None
            if line.held_out and line.placed_by_step:
                self._note("an evaluation that prints its progress: its last values count")
                apart = metrics
            elif said or not self._places.alike(step, metrics):
                apart = self._places.name_apart(step, metrics)
                self._note("unsure: steps are printed again with other values, as by another "
                           "process: these are 2nd/NAME")  # fmt: skip
            if apart is None:
                step = self._places.next_free(step, metrics)
                self._note("unsure: several records are printed at one position of a bar or in one "
                           "epoch: each has a step of its own")  # fmt: skip
            metrics = apart or metrics
        self._places.add(step, metrics)
        return step, metrics

    def _add_units(self, units: dict[str, str], metrics: dict[str, float]) -> None:
        self._units_seen = units
        for name in metrics if len(self._units) < _MAX_NAMES else ():
            unit = units.get(name) or units.get(name.partition("/")[2])
            if unit:
                self._units.setdefault("seconds" if name == "time" else name, unit)

    def _without_collisions(self, line: Line, step: int, prefix: str) -> dict[str, float]:
        """The metrics, under names of their own if they are of another phase."""
        metrics = line.metrics
        if line.phase == "test" and "val" in self._phases:
            metrics = {
                f"test/{name[4:]}" if name.startswith("val/") else name: value
                for name, value in metrics.items()
            }
        if line.summary and not line.placed:
            prefix = prefix or "val/"
        if not prefix and self._evaluates and not line.held_out and not line.bar:
            again = not line.placed and step == self._step and self._values.keys() >= metrics.keys()
            prefix = "val/" if again else self._after_evaluation(metrics)
        if not prefix and step == self._step and not line.held_out and not line.bar:
            known = self._values
            common = [name for name in metrics if name in known]
            another = len(common) < max(len(metrics), len(known)) and any(
                metrics[name] != known[name] for name in common
            )
            if another and line.phase == "train" and self._phases > {"train"}:
                prefix = "train/"
            elif another and self._finer and line.epoch is not None and not line.record:
                prefix = "" if line.placed_by_step else "epoch/"  # the mean of an epoch
        if not prefix:
            return dict(metrics)
        return {
            name if _PARTS.match(name) else f"{prefix}{name}": value
            for name, value in metrics.items()
        }

    def _after_evaluation(self, metrics: dict[str, float]) -> str:
        """The prefix of a line after words about an evaluation: none if it is as those before."""
        if any(map(_LEARNING_RATE.search, metrics)):  # only a training has one
            self._evaluates = False
            return ""
        names = frozenset(metrics)
        alike = [len(names & shape) / len(names | shape) for shape in self._shapes]
        if max(alike, default=0.0) > 0.6:
            self._evaluates = False
            return ""
        return "val/" if any(alike) else ""

    def _place(self, line: Line, points: list[Point]) -> tuple[int | None, str]:
        """The step of a line, None if it has none, and the prefix of its names."""
        if line.step is not None:
            return self._at_count(line, False, line.step, line.total, points)
        if line.bar is not None and line.metrics:
            return self._at_count(line, True, *line.bar, points)
        if self._places_itself(line):
            return self._at_epoch(line), ""
        row = line.row and not self._finer  # it has an epoch, or is of the row before
        shown = None if self._counts or self._by_epoch else self._bar_count
        if shown is not None and line.metrics and not row:
            self._credit = self._finer = True
            return (self._step if line.held_out else shown.step), ""
        if line.epoch is None or line.held_out:
            return None, ""
        self._fractional = self._fractional or not line.epoch.is_integer()
        return (None if self._finer or self._fractional else self._at_epoch(line)), ""

    def _at_epoch(self, line: Line) -> int:
        """The step of a record that says its epoch, in a log with nothing finer."""
        assert line.epoch is not None
        self._by_epoch = self._by_epoch or bool(line.metrics)
        counter = self._epochs if line.metrics else self._headings
        late = counter.before + int(line.epoch)
        passed = not line.metrics or self._places.passed(late, line.metrics)
        if line.held_out or (late < counter.step and not passed):
            return late
        step = counter.at(int(line.epoch), line.epochs, None, self._note, line.anew)
        if counter.resumed:
            self._places.forget_from(step)
        return step

    def _at_count(
        self, line: Line, bar: bool, n: int, total: int, points: list[Point]
    ) -> tuple[int | None, str]:
        counter = self._counts.get(bar)
        if line.held_out:
            return self._evaluation(line, bar, n, total, counter), ""
        if not line.metrics and self._bar_count is not None and not self._counts:
            return n, ""  # a heading beside bars, which are the position
        self._resolve(points, n if bar else None)
        self._finer = self._says_steps = True
        if line.whole:
            self._say_if_resumed(n)
            return n, ""
        if counter is None or counter.first < 0:
            counter = self._counts[bar] = self._first_count(total, line.epoch, line.epochs)
        elif bar and total and self._after_epoch(line, counter):
            self._note(f"counts to {total} after an epoch had ended are read as an evaluation: "
                       "eval/NAME")  # fmt: skip
            return self._step, "eval/"
        elif total and counter.total and total != counter.total:
            near = 0.8 < total / counter.total < 1.25
            later = line.epoch is not None and counter.epoch is not None
            later = later and line.epoch > counter.epoch  # type: ignore[operator]
            if not near and not later:
                if total < counter.total and (self._epoch is None or counter.epoch is not None):
                    self._note(f"counts to {total} inside those to {counter.total} are read as an "
                               "evaluation: eval/NAME")  # fmt: skip
                    return self._step, "eval/"
                counter = self._counts[bar] = _Counter()  # what came before was no training
        elif not total and line.epoch is None and n + counter.stride < counter.last < counter.total:
            return self._step, "eval/"
        epoch = line.epoch if line.epoch is not None else self._epoch
        epoch = None if epoch is not None and not epoch.is_integer() else epoch
        once = bar and n == total == counter.last and not line.redrawn  # a line for each epoch
        step = counter.at(n, total, epoch, self._note, line.anew or once)
        if counter.resumed:
            self._places.forget_from(step)
        return step, ""

    def _say_if_resumed(self, step: int) -> None:
        """Of a step that counts from the beginning of the training."""
        if self._places.goes_back(step):
            self._note(f"the step went back to {step}: read as resumed from a checkpoint")

    def _after_epoch(self, line: Line, counter: _Counter) -> bool:
        """Whether a bar is another than that of the epoch, which has ended: of other length, or
        printed once more at its end."""
        if line.bar is None or line.epoch is not None or not counter.ended:
            return False
        other, once = line.bar[1] != counter.total, line.bar[0] == line.bar[1] and not line.redrawn
        if self._epoch is None:
            return other and once
        return self._epoch == counter.epoch and (other or once)

    def _evaluation(
        self, line: Line, bar: bool, n: int, total: int, counter: _Counter | None
    ) -> int | None:
        """The step for a line about held-out data: that of the training, unless it has its own."""
        if line.whole:
            return n
        if bar or (total and (counter is None or total != counter.total)):
            return self._step if self._finer else None
        if self._finer and n < self._step:
            return self._step  # a loop of its own
        if total:
            return n
        if counter is None or n >= counter.last:
            return n + (counter.before if counter else 0)
        return self._step

    def _next(self, line: Line) -> int:
        """The step of a line without a position."""
        if self._finer or (self._epoch is not None and not self._fractional):
            return self._step
        if self._fractional or (line.epoch is not None and not line.epoch.is_integer()):
            part = line.epoch if line.epoch is not None else self._part
            further = part > self._part >= 0
            repeated = not self._values.keys().isdisjoint(line.metrics)
            self._part = part
            step = self._step + (further or repeated)
        else:
            step = self._step + (not self._values.keys().isdisjoint(line.metrics))
        self._note("unsure: no step is printed, so the records are counted; see --step")
        return step

    def _unchanged(self, line: Line) -> None:
        """Removes what a bar shows again: values of the last evaluation or epoch."""
        for name in [name for name in line.metrics if _PARTS.search(name)]:
            value = line.metrics[name]
            if self._in_bar.get(name) == value:
                del line.metrics[name]
            elif len(self._in_bar) < 1000:
                self._in_bar[name] = value

    def _move(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._values = {}


def _without_head(text: str) -> str:
    """A line without the time and level that a logger writes before it."""
    head = _LOG_HEAD.match(text) if text[:1] in "[0123456789" else None
    return text[head.end() :] if head else text


def _renamed(metrics: dict[str, float]) -> dict[str, float]:
    """A record has a "time" and a "step" of its own."""
    if "time" in metrics:
        metrics["seconds"] = metrics.pop("time")
    return metrics
