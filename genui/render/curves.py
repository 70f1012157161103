"""Several series as they are looked at, drawn anew as they grow: a curve without a widget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genui.render.fault import Fault
from genui.render.nearest import nearest
from genui.render.plot import Chart, chart
from genui.render.series import Kind, Trace, drawn_lines, faults_in_sight, in_order
from genui.render.series_looks import legend
from genui.render.smooth import Smoother
from genui.render.window import View, Window, extent, window


@dataclass(frozen=True)
class Look:
    """How curves are looked at."""

    log_y: bool = False
    log_x: bool = False
    smoothing: float = 0.9  # 0 none … below 1, relative to the range of all x
    cursor: float | None = None
    view: View | None = None  # the stretch of x in sight; None for everything
    unit: str = "step"
    overlaps: Sequence[tuple[float, float]] = ()  # stretches of x that were written again
    legend: bool = True
    readout: bool = False  # the legend tells the values at the cursor


class Curves:
    """Series, and what of the last drawing the next one builds on."""

    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self._smoothers: dict[str, Smoother] = {}
        self._smoothing = 0.0  # that they were made for
        self._window: Window | None = None

    def set_series(
        self,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        kinds: Mapping[str, Kind],
    ) -> None:
        """These series from now on: name → (x, values), as `Curve.set_series` has them."""
        if not series:
            self._window = None
        self._smoothers = {name: kept for name, kept in self._smoothers.items() if name in series}
        self.traces = [
            in_order(name, x, values, kinds.get(name, "line"))
            for name, (x, values) in series.items()
        ]

    def chart(self, width: int, height: int, look: Look) -> Chart | None:
        """The chart in so many cells; None where there is no point or no room for one."""
        traces = self._smoothed(look)
        self._window = self._chosen_window(traces, look)
        return chart(
            traces,
            width,
            height,
            cursor=look.cursor,
            with_legend=look.legend,
            within=self._window,
            unit=look.unit,
            overlaps=look.overlaps,
            readings=self._readings(look),
        )

    def legend(self, look: Look) -> str:
        """The legend as plain text."""
        if not self.traces:
            return ""
        traces = self._smoothed(look)
        window = self._chosen_window(traces, look)
        faults = faults_in_sight(traces, window) if window is not None else Fault(0)
        readings = self._readings(look)
        parts = legend(traces, faults, rewritten=bool(look.overlaps), readings=readings)
        return "".join(text for text, _ in parts)

    def values_at(self, x: float) -> dict[str, tuple[float, float]]:
        """Of each series that has a point, (x, value) of the one nearest to `x`, not smoothed."""
        found = {trace.name: nearest(trace.steps, trace.values, x) for trace in self.traces}
        return {name: point for name, point in found.items() if point is not None}

    def window(self, look: Look) -> Window | None:
        """What is in sight; None where there is no point."""
        return self._chosen_window(self._smoothed(look), look)

    def extent(self, positive: bool) -> View | None:
        """From the first x to the last, or to it from the first above zero."""
        shown = [trace for trace in self.traces if len(trace.steps)]
        return extent(shown, positive) if shown else None

    def _chosen_window(self, traces: Sequence[Trace], look: Look) -> Window | None:
        shown = drawn_lines(traces)
        if not shown:
            return None
        return window(shown, look.log_y, self._window, log_x=look.log_x, view=look.view)

    def _smoothed(self, look: Look) -> list[Trace]:
        """The series with their moving averages, where they have one."""
        if look.smoothing != self._smoothing:
            self._smoothing, self._smoothers = look.smoothing, {}
        wanted = [trace for trace in self.traces if trace.kind == "smoothed"]
        if look.smoothing <= 0 or not any(len(trace.steps) for trace in wanted):
            return self.traces
        start, end = extent([trace for trace in self.traces if len(trace.steps)])
        traces = []
        for trace in self.traces:
            if trace.kind == "smoothed" and len(trace.steps):
                smoother = self._smoothers.setdefault(trace.name, Smoother(look.smoothing))
                average = smoother.extend(trace.steps, trace.values, end - start)
                trace = replace(trace, smoothed=average)
            traces.append(trace)
        return traces

    def _readings(self, look: Look) -> dict[str, float] | None:
        if not look.readout or look.cursor is None:
            return None
        return {name: value for name, (_, value) in self.values_at(look.cursor).items()}
