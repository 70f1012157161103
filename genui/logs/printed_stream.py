"""The lines of one process, from text to points.

Lines of a table, a dict over several lines and a block are put together first. Then a line waits,
if it needs to, for what says its step: the number that leads lines, or a bar. `printed_position.py`
gives it its step.
"""

import re
from collections.abc import Iterable

from genui.logs.printed_blocks import Blocks, Repeats
from genui.logs.printed_choice import COUNT, Choice
from genui.logs.printed_dicts import OpenDict
from genui.logs.printed_leads import Leads
from genui.logs.printed_line import read_clean
from genui.logs.printed_position import Positions
from genui.logs.printed_result import Line, Notes, Point
from genui.logs.printed_tables import Tables
from genui.logs.printed_tokens import clean, named_numbers, split_bar, without_head

_LETTER = re.compile(r"[^\W\d_]")
_INDENTS = ("  ", "\t")


class Stream:
    """Reads the lines of one process."""

    def __init__(self, choice: Choice, notes: Notes) -> None:
        self._choice = choice
        self._dicts, self._tables = OpenDict(), Tables()
        self._above = ""  # the phase in the line above, if that ends in a colon
        self._leads, self._blocks, self._repeats = Leads(notes), Blocks(), Repeats(notes)
        self._positions = Positions(notes)
        self._counted = 0  # records, if that was chosen

    def take(self, text: str, stays: bool) -> list[Point]:
        """The points that a line completes; one that does not stay is drawn over."""
        while stays and "]" in text:
            bar, rest = split_bar(text)
            if not bar:
                break
            self._read(bar, False)  # print, while a bar is drawn, begins at its end
            text = without_head(rest)
        whole = self._dicts.take(text) if stays and self._dicts.may_hold(text) else (text,)
        for line in whole:
            self._read(line, stays)
        return self._take_points()

    def finish(self) -> list[Point]:
        """The points of what still waits, at the end of the log or in a pause."""
        for text in self._dicts.finish():
            self._read(text, True)
        self._add(self._tables.end())
        self._end_block()
        self._add(self._leads.finish())
        self._positions.finish()
        return self._take_points()

    def _take_points(self) -> list[Point]:
        points = self._positions.points
        if points:
            self._positions.points = []
        return points

    def _add(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._positions.add(line)

    def _end_block(self) -> None:
        if self._blocks:
            self._add(self._blocks.end())

    # --- from text to lines ---

    def _read(self, text: str, stays: bool) -> None:
        bars = self._positions.bars
        if not text or text.isspace():
            bars.cleared = bars.cleared or bool(text and not stays)
            if stays:
                self._end_block()
            return
        bars.since += 1
        if "\x1b[" in text and ("\x1b[A" in text or "\x1b[K" in text or "\x1b[2K" in text):
            bars.cleared = True
        text = clean(text)
        if "pochs" in text:
            self._positions.epochs.read_settings(text)
        above, self._above = self._above, ""
        rows = self._tables.take(text)
        if rows is not None:
            self._add(map(self._choose_step, rows))
            return
        line = read_clean(text)
        if line is None:
            self._read_words(text)
            return
        line.redrawn = line.redrawn or (line.bar is not None and not stays)
        if text.rstrip().endswith(":"):
            self._above = line.phase
        if line.record and above and not line.phase:
            line.phase = above
            line.add_phase()
        if self._choice.step:
            self._place_as_chosen(line, text)
        else:
            self._place(line, text)

    def _read_words(self, text: str) -> None:
        """A line without numbers of its own."""
        if text.isspace():
            self._positions.bars.cleared = True
            return
        if not _LETTER.search(text):
            self._end_block()
            return
        self._positions.phases.read_words(text)
        if not self._blocks.goes_on(text, None):
            self._end_block()
        self._positions.now.heading = False

    # --- from lines to those that have a step ---

    def _choose_step(self, row: Line) -> Line:
        """A row of a table with the step that the user said, if it is in it."""
        value = row.metrics.get(self._choice.step)
        if value is not None and value >= 0 and value.is_integer():
            row.step, row.whole = int(value), True
        return row

    def _place_as_chosen(self, line: Line, text: str) -> None:
        metrics, now = dict(line.metrics), self._positions.now
        step = now.step
        if self._choice.step != COUNT:
            value = named_numbers(text).get(self._choice.step)
            if value is not None and value >= 0 and value.is_integer():
                step, now.finer = int(value), True
                self._positions.check_resumed(step)
                metrics.pop(self._choice.step, None)
            elif line.weak:
                return
        elif metrics and not line.weak:
            step, self._counted = self._counted, self._counted + 1
        now.step = step
        if line.epoch is not None:
            metrics.setdefault("epoch", line.epoch)
        if metrics:
            self._positions.add_at(line, step, metrics)

    def _place(self, line: Line, text: str) -> None:
        positions, blocks = self._positions, self._blocks
        if positions.bars.count is not None and positions.bars.past:
            positions.leave_bar()
        if line.bar is not None and not line.metrics and line.step is None:
            self._end_block()
            positions.draw(line)
            return
        if blocks and not blocks.goes_on(text, line):
            self._end_block()
        leads = line.lead is not None and line.metrics and not line.placed_by_step
        ready = self._leads.take(line, positions.now.finer) if leads else None
        if ready is not None:
            self._add(ready)
        elif line.weak:
            self._place_weak(line, text)
        elif line.look.single and not positions.now.heading and text.startswith(_INDENTS):
            self._add(blocks.add(line))
        elif blocks and not line.metrics and line.step is not None:
            positions.add(line)
            self._end_block()  # its step was inside
        elif not positions.hold(line):
            positions.add(line)

    def _place_weak(self, line: Line, text: str) -> None:
        """Numbers that may be no metrics: below the heading of a step they are, in company."""
        now = self._positions.now
        below = self._blocks.add_below(line, text, now.company) if now.heading else None
        if below is not None:
            self._add(below)
        elif line.look.single and text.startswith(_INDENTS):
            self._add(self._blocks.add(line))
        elif now.finer and line.look.single:
            for step, metrics in self._repeats.take(line.metrics, now.step):
                self._positions.add_point(step, metrics)
