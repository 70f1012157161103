"""Traces that move along one timeline together. Pure: it asks nobody and draws nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from genui.protocol import Frame
from genui.ui.compare import in_common, parting
from genui.ui.trace import Trace


@dataclass
class Column:
    """A trace and what it is called; `branch` is its number where it is one of the pane's."""

    trace: Trace[Any]
    label: str
    branch: int | None = None
    fault: str = ""  # why it could not go on

    def frame_at(self, step: int) -> Frame | None:
        """Its frame at that step, or its last where it ends before."""
        index = min(step, self.trace.computed) - self.trace.first
        return self.trace.frames[index] if 0 <= index < len(self.trace.frames) else None


@dataclass
class InStep:
    """The columns, the step that is shown in all of them, and the one to get to."""

    columns: tuple[Column, ...]
    goal: int = 0
    playing: bool = False
    position: int = 0
    parts_at: int | None = None  # the first step that is not the same in all

    @property
    def traces(self) -> list[Trace[Any]]:
        return [column.trace for column in self.columns]

    @property
    def _going(self) -> list[Trace[Any]]:
        """Those that nothing is wrong with; the others hold nobody up."""
        return [column.trace for column in self.columns if not column.fault] or self.traces

    @property
    def pictures(self) -> bool:
        """Whether the columns show pictures, not text."""
        return self.columns[0].trace.first == 0

    @property
    def total(self) -> int:
        """The last step of the longest."""
        return max(trace.total for trace in self._going)

    @property
    def available(self) -> int:
        """The last step that can be shown in all of them; one that has ended waits at its end."""
        short = [trace.computed for trace in self._going if trace.computed < trace.total]
        return min(short, default=self.total)

    # --- what the user does -------------------------------------------------------------

    def play(self) -> None:
        """Play on, or hold; from the end, again from the start."""
        self.playing = not self.playing
        if self.playing and self.position >= self.total:
            self.position = 0
        for column in self.columns:
            column.fault = ""  # it may go better this time
        self.goal = self.total if self.playing else self.position

    def step(self, by: int) -> None:
        """Move by that many steps."""
        self.seek((self.position if self.playing or by < 0 else self.goal) + by)

    def seek(self, step: int) -> None:
        """Go to that step and stay there; forward as soon as all have it."""
        self.playing = False
        self.goal = max(0, min(step, self.total))
        self.position = min(self.goal, self.available)

    def hold(self) -> None:
        """Stay here."""
        self.playing = False
        self.goal = self.position

    # --- what comes -----------------------------------------------------------------------

    def aim(self) -> Iterator[Trace[Any]]:
        """The traces that can go on, each told how far: the worker is to be asked for it."""
        if self.playing:
            self.goal = self.total
        for column in self.columns:
            trace = column.trace
            if column.fault:
                continue
            trace.goal = min(self.goal, trace.total)
            if not trace.frames and not trace.first:
                trace.goal = max(1, trace.goal)  # the noise it begins from is to be seen
            yield trace

    def tick(self, ticks_to_catch_up: float) -> bool:
        """Move on by a tick's share of what is behind. Returns whether it moved."""
        before, available = self.position, self.available
        if not self.playing:
            self.position = max(before, min(self.goal, available))
        else:
            if available > before:
                self.position += max(1, round((available - before) / ticks_to_catch_up))
            self.playing = self.position < self.total
        return self.position != before

    def compare(self) -> None:
        """Look where they part, among what has come."""
        self.parts_at = parting([trace.frames for trace in self.traces])

    @property
    def in_common(self) -> int:
        """The last step that has come in all of them."""
        return in_common([trace.frames for trace in self.traces])
