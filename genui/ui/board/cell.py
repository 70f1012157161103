"""One curve of the grid in its border: what it shows, with the values at the cursor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.style import Style

from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.render.series_looks import look_of, sign_of
from genui.ui.board.board import Line, series_of
from genui.ui.board.plots import Plot
from genui.ui.board.view_state import ViewState, looked_at
from genui.ui.frame import Framed, set_border
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.widgets.curve import Curve

_BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)
PIN = "★"
LATEST = 2.0  # seconds after which a curve is drawn again though little has come


class Cell(DeafWhenLeaving, Framed, Vertical):
    """A curve with its name and newest values above it, and below what one column stands for."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"cell--chosen"}
    DEFAULT_CSS = """
    Cell {
        width: 1fr;
        height: 1fr;
        & > .cell--chosen {
            border: round $border; border-title-color: $text-primary; border-title-style: bold;
        }
        &:nocolor > .cell--chosen { border: heavy $border; }
    }
    """

    def __init__(self, empty: str = "reading …") -> None:
        super().__init__(classes="box")
        self.curve = Curve(empty, legend=False)
        self.plot: Plot | None = None
        self._lines: Sequence[Line] = ()
        self._sources: object = None
        self._drawn_at, self._drawn_to = 0.0, [0]  # when, and how many points of each line
        self._waiting: Callable[[], None] | None = None  # what to show once it is mounted
        self.chosen = False
        self._titled: tuple[ViewState, int] | None = None  # what the title was written for
        self._ready = False  # there is a curve, with its colours

    def compose(self) -> ComposeResult:
        yield self.curve

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redress())
        self._ready = True
        if self.chosen:
            self._mark()
        if self._waiting is not None:
            self._waiting()

    def show(
        self, plot: Plot, lines: Sequence[Line], state: ViewState, runs: int, flowing: bool = False
    ) -> None:
        """This plot's lines, of so many runs, looked at in this way. Cheap where nothing is new.

        While data are `flowing`, the values in the title are the newest, and the curve is
        drawn anew once that would show.
        """
        if not self._ready:
            self._waiting = partial(self.show, plot, lines, state, runs)
            return
        self._waiting = None
        if flowing and plot is self.plot and self._may_wait(lines):
            self._lines = lines
            self._write_title(state, runs)
            return
        curve = self.curve
        for name, value in looked_at(state).items():
            setattr(curve, name, value)
        sources = (plot, state.axis, [(line.label, line.kind, id(line.points)) for line in lines])
        fresh = sources != self._sources  # a series that has grown hands out other arrays
        self.plot, self._lines, self._sources = plot, lines, sources
        if fresh:
            self._drawn_at, self._drawn_to = time.monotonic(), [len(line.x) for line in lines]
            if lines:
                curve.set_series(*series_of(lines))
            else:
                curve.clear("no points on this axis")
        self._write_title(state, runs)

    def _may_wait(self, lines: Sequence[Line]) -> bool:
        """Whether what these lines have beyond the drawn ones takes less room than a dot."""
        if len(lines) != len(self._drawn_to) or time.monotonic() - self._drawn_at > LATEST:
            return False
        room = self.curve.column() / 4
        for line, drawn in zip(lines, self._drawn_to, strict=True):
            new = line.values[drawn:]
            if not 0 < drawn <= len(line.x) or not math.isfinite(float(new.sum())):
                return False
            if line.x[-1] - line.x[drawn - 1] > room:
                return False
        return True

    def say(self, text: str) -> None:
        """There is nothing to show: why not, or what to press."""
        self.plot, self._lines, self._sources = None, (), None
        self.curve.clear(text)
        set_border(self, title="", subtitle="")

    def mark_chosen(self, chosen: bool) -> None:
        """Look like the curve that the keys are about, or not."""
        if chosen != self.chosen:
            self.chosen = chosen
            if self._ready:
                self._mark()

    def _mark(self) -> None:
        """Through a class, Textual would set every rule anew and draw the curve again."""
        look = self.get_component_styles("cell--chosen")
        for rule in _BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if self.chosen else None)
        self.refresh()

    def look(self, index: int) -> Style:
        """The colour of the curve's series of that number."""
        style = self.curve.get_visual_style(f"curve--{look_of(index)}")
        return Style(foreground=style.foreground)

    def _redress(self) -> None:
        """Another theme: the border and the words in it name their colours when they are made."""
        self._mark()
        if self._titled is not None:
            self._write_title(*self._titled)

    def _write_title(self, state: ViewState, runs: int) -> None:
        self._titled = state, runs
        if self.plot is None:
            return
        title = self._title(state)
        whole = len(self._lines) == runs * len(self.plot.metrics)
        ways = [(False, " ")]
        if runs > 1 and whole:  # the head says which sign is which run's
            ways += [(True, "  "), (True, " ")]
        for short, gap in ways:
            if title.cell_length > self.size.width - 4:
                title = self._title(state, short, gap)
        set_border(self, title=title)

    def _title(self, state: ViewState, short: bool = False, gap: str = "  ") -> Content:
        assert self.plot is not None
        name = clean_line(self.plot.key, 60)
        parts: list[str | tuple[str, str | Style]] = [name]
        if self.plot.key in state.pins:
            parts = [(f"{PIN} ", "$accent"), name]
        at = state.cursor
        readings = self.curve.values_at(at) if at is not None else {}
        part = ""
        for index, line in enumerate(self._lines):
            label = f"{sign_of(index, line.kind) or '━'} {line.label} "
            if short:
                label = f"{sign_of(index, line.kind) or '━'} "
                if line.part != part:
                    part, label = line.part, f"{line.part} {label}"
            elif line.label == name:
                label = ""
            value = readings[line.label][1] if line.label in readings else line.values[-1]
            parts += [gap, (label, self.look(index))]
            parts.append((numbers.value(float(value)), "bold $foreground"))
        return Content.assemble(*parts)

    @on(Curve.Drawn)
    def _drawn(self, event: Curve.Drawn) -> None:
        event.stop()
        set_border(self, subtitle=event.caption)
