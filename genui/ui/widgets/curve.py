"""Curves of training, in which every point counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from genui.ui.widgets.lines import LineWidget, strip_of

# What computes is imported with the first points: an app that has none yet paints sooner.
if TYPE_CHECKING:
    import numpy as np

    from genui.render.plot import Chart, Kind, Trace
    from genui.render.smooth import Smoother
    from genui.render.window import Window

_SERIES_LOOKS = 4  # as plot.py has them

_LOOKS = (
    *("axis", "label", "cursor", "fault"),
    *(f"series-{number}" for number in range(1, _SERIES_LOOKS + 1)),
    *(f"raw-{number}" for number in range(1, _SERIES_LOOKS + 1)),
)


class Curve(LineWidget):
    """Minimum–maximum curves of dots with axes, a legend and a cursor.

    Series differ by a sign on the line as well as by colour; a NaN or an infinity is
    marked at the foot of its column.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "curve--empty",
        *(f"curve--{look}" for look in _LOOKS),
    }
    DEFAULT_CSS = """
    Curve {
        width: 1fr;
        height: 1fr;
        & > .curve--empty { color: $text-muted; }
        & > .curve--axis { color: $foreground 30%; }
        & > .curve--label { color: $text-muted; }
        & > .curve--cursor { color: $warning; }
        & > .curve--fault { color: $error; text-style: bold; }
        & > .curve--series-1 { color: $primary; }
        & > .curve--series-2 { color: $warning; }
        & > .curve--series-3 { color: $success; }
        & > .curve--series-4 { color: $accent; }
        & > .curve--raw-1 { color: $primary 40%; }
        & > .curve--raw-2 { color: $warning 40%; }
        & > .curve--raw-3 { color: $success 40%; }
        & > .curve--raw-4 { color: $accent 40%; }
    }
    """

    log_y: reactive[bool] = reactive(False, repaint=False)
    smoothing: reactive[float] = reactive(0.02, repaint=False)
    cursor: reactive[float | None] = reactive[float | None](None, repaint=False)

    @dataclass
    class Drawn(Message):
        """The caption changed."""

        curve: Curve
        caption: str

        @property
        def control(self) -> Curve:
            return self.curve

    def __init__(
        self,
        empty: str = "No points yet",
        *,
        legend: bool = True,
        log_y: bool = False,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._empty = empty
        self._with_legend = legend
        self._traces: list[Trace] = []
        self._smoothers: dict[str, Smoother] = {}
        self._window: Window | None = None
        self.caption = ""
        self.set_reactive(Curve.log_y, log_y)

    @property
    def legend_text(self) -> str:
        """The legend as plain text, for a border title."""
        if not self._traces:
            return ""
        from genui.render.plot import legend

        return "".join(text for text, _ in legend(self._traces))

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        """Show these series: name → (steps, values), two arrays of one length.

        The arrays are read when the curve is drawn, so give views that do not change.
        `kinds` says how each is drawn: `line`, `smoothed` (the raw values faint behind
        their moving average) or `marks` (few points, each with a sign).
        """
        kinds = kinds or {}
        if not series:
            self._window = None
        self._smoothers = {name: kept for name, kept in self._smoothers.items() if name in series}
        self._traces = [
            self._trace(name, steps, values, kinds.get(name, "line"))
            for name, (steps, values) in series.items()
        ]
        self.redraw()

    def _trace(self, name: str, steps: np.ndarray, values: np.ndarray, kind: Kind) -> Trace:
        from genui.render.plot import Trace
        from genui.render.smooth import Smoother

        if (steps[1:] < steps[:-1]).any():  # a resumed run may write steps again
            order = steps.argsort(kind="stable")
            steps, values = steps[order], values[order]
        if kind != "smoothed" or not self.smoothing:
            return Trace(name, steps, values, kind)
        factor = _memory(self.smoothing, len(values))
        smoother = self._smoothers.get(name)
        if smoother is None or smoother.factor != factor:
            smoother = self._smoothers[name] = Smoother(factor)
        return Trace(name, steps, values, kind, smoother.extend(values))

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        if empty is not None:
            self._empty = empty
        self.set_series({})

    def watch_log_y(self) -> None:
        self.redraw()

    def watch_cursor(self) -> None:
        self.redraw()

    def watch_smoothing(self) -> None:
        self._smoothers = {}
        self.set_series(
            {trace.name: (trace.steps, trace.values) for trace in self._traces},
            {trace.name: trace.kind for trace in self._traces},
        )

    def draw(self, width: int, height: int) -> list[Strip]:
        drawn = self._chart(width, height) if self._traces else None
        self._set_caption(drawn)
        if drawn is None:
            empty = "" if any(len(trace.steps) for trace in self._traces) else self._empty
            return self.message(empty, "curve--empty", width, height)
        looks = {look: self.style(f"curve--{look}") for look in _LOOKS}
        return [strip_of((text, looks[look]) for text, look in line) for line in drawn.lines]

    def _chart(self, width: int, height: int) -> Chart | None:
        from genui.render.plot import chart
        from genui.render.window import window

        shown = [trace for trace in self._traces if len(trace.steps)]
        self._window = window(shown, self.log_y, self._window) if shown else None
        return chart(
            self._traces,
            width,
            height,
            log_y=self.log_y,
            cursor=self.cursor,
            with_legend=self._with_legend,
            within=self._window,
        )

    def _set_caption(self, drawn: Chart | None) -> None:
        caption = drawn.caption if drawn else ""
        if caption != self.caption:
            self.caption = caption
            self.post_message(self.Drawn(self, caption))


def _memory(share: float, points: int) -> float:
    """The factor of a moving average over about `share` of the points.

    It changes only when their number doubles: each change moves the whole line.
    """
    doubled = 1 << max(points - 1, 0).bit_length()
    return math.exp(-1 / max(share * doubled, 1.0))
