"""The log of a script that was not changed: metrics out of what it prints for people.

`Lines` cuts the stream into lines as a terminal would show them, `read_line` finds the numbers
in one (genui.runs.printed_line), and `PrintedLog` decides which step they belong to.
"""

import codecs
import re
from typing import NamedTuple

from genui.runs.printed_line import LONGEST, Line, read_line

_BREAK = re.compile(r"\r\n|\n|\r")


class Printed(NamedTuple):
    """One line as a terminal would show it."""

    text: str
    stays: bool  # it ends in a line feed; what a progress bar draws over does not


class Lines:
    """Text in pieces of any size, cut at line feeds and at the carriage returns by which a
    progress bar draws itself anew; bytes that are no UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def take(self, data: bytes, final: bool = False) -> list[Printed]:
        """The lines that `data` completes; with `final` also what no line end follows.

        A line longer than what is looked at for metrics is given in parts.
        """
        text = self._rest + self._decode(data, final)
        lines: list[Printed] = []
        start = 0
        for end in _BREAK.finditer(text):
            if end[0] == "\r" and end.end() == len(text) and not final:
                break  # perhaps half of \r\n
            lines.append(Printed(text[start : end.start()], end[0] != "\r"))
            start = end.end()
        self._rest = text[start:]
        if len(self._rest) > LONGEST or (final and self._rest):
            lines.append(Printed(self._rest, True))
            self._rest = ""
        return lines


class PrintedLog:
    """Gives every line with measurements its step.

    That is the step the line names (step, iteration, global_step …), or its place in a progress
    bar (120/1000), counted on where either begins anew in the next epoch; else its epoch, where
    the log has nothing finer; else the step last named. A measurement that comes again without
    a new step counts one step on.
    """

    def __init__(self) -> None:
        self._step = 0
        self._finer = False  # than epochs
        self._counters: dict[str, _Counter] = {}
        self._given: set[str] = set()  # metrics of the present step
        self._fractional = False  # epochs as 0.01, 0.02: they count no steps

    def take(self, text: str) -> tuple[int, dict[str, float]] | None:
        """(step, metrics) of a line; None where it has no measurement. Never raises."""
        line = read_line(text)
        if line is None:
            return None
        if "time" in line.metrics:  # a record has another of its own
            line.metrics["seconds"] = line.metrics.pop("time")
        step = self._place(line)
        if not line.metrics:
            if step is not None:
                self._move(step)
            return None
        if step is None:
            again = not self._given.isdisjoint(line.metrics)
            step = self._step + again
        if line.epoch is not None and step != line.epoch:
            line.metrics.setdefault("epoch", line.epoch)
        self._move(step)
        self._given.update(line.metrics)
        return step, line.metrics

    def _place(self, line: Line) -> int | None:
        """The step the line says it is at; None where it says none."""
        if line.step is not None:
            self._finer = True
            return line.step if line.whole else self._count("step", line.step, 0)
        if line.bar is not None and line.metrics and not line.held_out:
            self._finer = True
            return self._count("bar", *line.bar)
        if line.epoch is None:
            return None
        self._fractional = self._fractional or not line.epoch.is_integer()
        return None if self._finer or self._fractional else int(line.epoch)

    def _count(self, kind: str, n: int, total: int) -> int:
        return self._counters.setdefault(kind, _Counter()).at(n, total)

    def _move(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._given.clear()


class _Counter:
    """A count that begins anew in every epoch, made to go on."""

    def __init__(self) -> None:
        self._before = 0  # steps of the epochs before this one
        self._first = -1
        self._last = -1
        self._stride = 1

    def at(self, n: int, total: int) -> int:
        """The step that `n` is; `total` is the length of an epoch, 0 where it is not known."""
        if self._first < 0:
            self._first = n
        elif n < self._last and (n == self._first or 2 * n < self._last or self._last == total):
            # Anew, and not only out of order, as several processes print.
            self._before += total if total >= self._last else self._last + self._stride
        elif n > self._last:
            self._stride = n - self._last
        self._last = n
        return self._before + n
