"""From printed bytes to metrics with steps.

`Lines` splits bytes into lines as a terminal shows them, and `PrintedLog` decides which process
printed each; a `Stream` of each reads them. Where it had to choose, `PrintedLog.notes` gives the
choice and the reason.
"""

import codecs
import re
from collections import deque
from typing import NamedTuple

from genui.logs.printed_choice import Choice
from genui.logs.printed_ranks import MAX_PROCESSES, RECENT, Across, Ranks
from genui.logs.printed_result import Notes, Point
from genui.logs.printed_stream import Stream
from genui.logs.printed_tokens import LONGEST, without_head
from genui.logs.printed_trials import Trials

_MAX_RANKS = 64  # ranks whose series are kept; only the spread of others is kept
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


class PrintedLog:
    """Gives every line with metrics its step.

    That is the step in the line (step, iteration, global_step …) or its position in a progress bar
    (120/1000), continued if either restarts in the next epoch; else its epoch, if the log has
    nothing finer; else the last known step. In a log without any position the records are counted.
    The lines of several processes, `[rank3]: step 10 loss 2.3`, are read apart: metrics of rank 0
    have the plain names, others `rank3/loss`.
    """

    def __init__(self, choice: Choice | None = None) -> None:
        self._choice = choice or Choice()
        self._notes = Notes()
        self.notes = self._notes.texts
        self.units = self._notes.units  # of metrics, as printed after the numbers
        self._ranks, self._of_ranks = Ranks(), dict[int, Stream]()
        self._trials, self._of_trials = Trials(), dict[str, Stream]()
        self._across = Across()
        self._recent: deque[Point] = deque(maxlen=RECENT)  # before a second rank printed

    def take(self, text: str, stays: bool = True) -> list[Point]:
        """The points that a line completes. Never raises."""
        rank, rest = self._ranks.split(text, self._of_ranks)
        rest = without_head(rest)
        if not rank and (trial := self._trials.other(rest)):
            return self._under(trial, self._of_trial(trial).take(rest, stays))
        return self._named(rank, self._of_rank(rank).take(rest, stays))

    def finish(self) -> list[Point]:
        """The points of what still waits for a later line, at the end of the log or in a pause."""
        return [
            point
            for rank, stream in self._of_ranks.items()
            for point in self._named(rank, stream.finish())
        ] + [
            point
            for trial, stream in self._of_trials.items()
            for point in self._under(trial, stream.finish())
        ]

    def describe(self) -> dict[str, object]:
        """How uncertain lines were read, and the units of the log, as fields of a config."""
        fields = {"printed lines": list(self.notes), "printed units": dict(self.units)}
        return {name: field for name, field in fields.items() if field}

    def _of_trial(self, trial: str) -> Stream:
        if trial not in self._of_trials:
            self._of_trials[trial] = Stream(self._choice, self._notes.for_stream())
            self._notes.add(
                "several trials print: the first has the plain names, others TRIAL/NAME"
            )
        return self._of_trials[trial]

    def _of_rank(self, rank: int) -> Stream:
        streams = self._of_ranks
        if rank not in streams and len(streams) > MAX_PROCESSES:
            rank = next(iter(streams))
        if rank not in streams:
            streams[rank] = Stream(self._choice, self._notes.for_stream())
            if len(streams) == 2:
                for step, metrics in self._recent if 0 in streams else ():  # it was the first
                    self._across.add(0, step, metrics, 1)
                self._notes.add(
                    "several ranks print: rank 0 has the plain names, others rankN/NAME"
                )
        return streams[rank]

    def _named(self, rank: int, points: list[Point]) -> list[Point]:
        if points and len(self._of_ranks) > 1:
            result: list[Point] = []
            for step, metrics in points:
                metrics = self._choice.keep(metrics)
                if rank and rank < _MAX_RANKS:
                    named = {f"rank{rank}/{name}": value for name, value in metrics.items()}
                else:
                    named = metrics if not rank else {}
                named |= self._across.add(rank, step, metrics, len(self._of_ranks))
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
