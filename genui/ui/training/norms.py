"""The Norms panel: gradients, updates, weights or activations of each layer over the steps."""

from typing import ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from genui.base import numbers
from genui.base.text import clean_line
from genui.runs.norms import NOT_MEASURED, STILL, NormKind, Points, first_movement, norms_of_kind
from genui.ui.training.rows import SidePanel
from genui.ui.training.system import HeatMap
from genui.ui.watcher import RunView
from genui.ui.widgets.bars import Line
from genui.ui.widgets.borders import set_border

NONE = f"None were measured: {NOT_MEASURED}"
SCALE = "▒ its median, each shade twice as much"

_MIDDLE, _DOUBLE = 50.0, 20.0  # per cent of a value at its median, and more for twice as much


def relative_levels(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """The steps of a layer, and its values against their median, as per cent for a HeatMap."""
    steps, values, _ = points
    levels = _MIDDLE + _DOUBLE * np.log2(values / np.median(values))
    return steps.astype(np.float64), np.clip(levels, 0, 99)


class NormsPanel(SidePanel, can_focus=True):
    """The norms of the first run that has them, a row for each layer; ↑ ↓ choose one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "layer(-1)", "Layer above", show=False),
        Binding("down", "layer(1)", "Layer below", show=False),
    ]
    DEFAULT_CSS = """
    NormsPanel {
        & > Line { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .norms-value, & > .norms-moved { height: 2; text-wrap: wrap; }
        & > .norms-none { height: 1fr; display: none; color: $text-muted; text-wrap: wrap; }
        &.-none > Line, &.-none > HeatMap { display: none; }
        &.-none > .norms-none { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._layers: list[str] = []
        self._chosen = 0
        self._shown_key: object = None
        self._read_key: object = None
        self._points: dict[str, Points] = {}  # of each layer, of the kind that is shown
        self._levels: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def compose(self) -> ComposeResult:
        yield Line(classes="norms-scale")
        yield HeatMap()
        yield Line(classes="norms-value")
        yield Line(classes="norms-moved")
        yield Line(NONE, classes="norms-none", markup=False)

    def write_border(self) -> None:
        keys = "↑↓ layer · esc back" if self.has_focus else "i layers"
        set_border(self, subtitle=keys if self._layers else "")

    def action_layer(self, by: int) -> None:
        """Choose another layer."""
        self._chosen = min(max(self._chosen + by, 0), max(len(self._layers) - 1, 0))
        self.draw_matches()

    def on_resize(self) -> None:
        self.draw_matches()

    def draw_matches(self) -> None:
        snapshot = self.snapshot
        view = next((one for one in snapshot.views if one.norms), None)
        count = view and max(len(points[0]) for points in view.norms.values())
        key = (view and view.summary.run, count, snapshot[1:], self._chosen, self.size)
        if key == self._shown_key:
            return
        self._shown_key = key
        name = view.summary.info.name if view is not None and len(snapshot.views) > 1 else ""
        set_border(self, title=f"Norms  {snapshot.norm}  {clean_line(name, 40)}".rstrip())
        if (key[:2], snapshot.norm) != self._read_key:
            self._read_key = key[:2], snapshot.norm
            found = {} if view is None else norms_of_kind(view.norms, snapshot.norm)
            self._points = {layer: points for layer, points in found.items() if len(points[0])}
            self._levels.clear()
        layers = self._points
        self._layers = [*layers]
        self.set_class(not layers, "-none")
        self.write_border()
        if view is not None and layers:
            self._show_layers(view, layers, snapshot.norm)

    def _show_layers(self, view: RunView, layers: dict[str, Points], kind: NormKind) -> None:
        self._chosen = min(self._chosen, len(layers) - 1)
        chosen = self._layers[self._chosen]
        last = max(int(points[0][-1]) for points in layers.values())
        first = min(int(points[0][0]) for points in layers.values())
        visible = self.snapshot.visible if self.snapshot.axis == "step" else None
        cursor = self.snapshot.cursor
        room = max(self.size.height - 5, 1)
        start = max(0, min(self._chosen - room // 2, len(layers) - room))
        shown = self._layers[start : start + room]
        for name in shown:
            if name not in self._levels:
                self._levels[name] = relative_levels(layers[name])
        rows = {name: self._levels[name] for name in shown}
        span = visible or (float(first), float(max(last, first + 1)))
        self.query_one(HeatMap).show(rows, span, cursor, chosen)
        self.query_one(".norms-scale", Line).show(Content.styled(SCALE, "$text-muted"))
        value = describe_value(view, chosen, kind, last if cursor is None else cursor)
        self.query_one(".norms-value", Line).show(value)
        self.query_one(".norms-moved", Line).show(describe_movement(layers, cursor))


def describe_value(view: RunView, layer: str, kind: NormKind, step: float) -> Content:
    """The norm of a layer at the last measured step up to `step`, and against its median."""
    steps, values, _ = view.norms[f"{kind}/{layer}"]
    place = int(np.searchsorted(steps, step, side="right")) - 1
    name = Content.styled(clean_line(layer, 40), "bold $accent")
    if place < 0:
        return Content.assemble(name, " not measured yet")
    value, usual = float(values[place]), float(np.median(values[values > 0]))
    where = f" step {numbers.count(int(steps[place]))}: "
    if not value:
        return Content.assemble(name, where, "Muon rests")
    return Content.assemble(
        name, where, (f"{value:.3g}", "bold"), f", {value / usual:.2g} × median"
    )


def describe_movement(layers: dict[str, Points], cursor: float | None) -> Content:
    """The layer that moved first in the measured steps up to the cursor."""
    moved = first_movement(layers, cursor)
    if moved is None:
        return Content.styled(STILL, "$text-muted")
    return Content.assemble((clean_line(moved.layer, 40), "bold $text-warning"), f" {moved.text}")
