"""Setting points of one's own: a cursor that the keys move over the plane."""

from typing import ClassVar

import numpy as np
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from genui.points import MOST_CLASSES, MOST_POINTS, Fit, Point, fit
from genui.protocol import EDGE
from genui.render.plane import MARKS
from genui.render.scene import Scene
from genui.ui import keys, messages
from genui.ui.frame import set_border
from genui.ui.widgets.plane import PlaneView


class PointsEditor(PlaneView, can_focus=True):
    """The points as they are set, with the cursor. Done is posted with them."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("points")]

    class Done(Message):
        """The points as they are now."""

        def __init__(self, points: list[Point]) -> None:
            super().__init__()
            self.points = points

    def __init__(self) -> None:
        super().__init__(classes="editor")
        self.points: list[Point] = []
        self.label = 0
        self._fit = Fit()  # of points that were loaded
        self._column = self._row = -1

    def begin(self, points: list[Point]) -> None:
        """Go on from these, the cursor in the middle."""
        self.points = list(points)
        self._fit = fit(points) if points else Fit()
        self._column = self._row = -1
        self.paint()

    @property
    def place(self) -> tuple[float, float]:
        """Where the cursor is, as shares of the plane: the middle of a cell."""
        columns, rows = self.cells
        if not columns:  # not on the screen yet
            return 0.5, 0.5
        if self._column < 0:
            self._column, self._row = columns // 2, rows // 2
        self._column = max(0, min(self._column, columns - 1))
        self._row = max(0, min(self._row, rows - 1))
        return (self._column + 0.5) / columns, 1 - (self._row + 0.5) / rows

    def paint(self) -> None:
        """The points and the cursor."""
        placed = [self._fit.place(point) for point in self.points]
        shares = [((x / EDGE + 1) / 2, (y / EDGE + 1) / 2) for x, y, _ in placed]
        labels = np.array([point.label for point in placed], np.uint8)
        scene = Scene(np.array(shares).reshape(-1, 2), labels)
        self.show(scene, self.place)
        self._tell()

    def _tell(self) -> None:
        """How many there are and of which class the next will be, in the border around."""
        count = len(self.points)
        there = "no points yet" if not count else "1 point" if count == 1 else f"{count:,} points"
        if isinstance(self.parent, Widget):
            title = Content.assemble(("Setting points", "bold"), f" · {there}")
            set_border(self.parent, title, f"next: class {MARKS[self.label]} (c) · esc trains")

    def on_resize(self) -> None:
        super().on_resize()
        if self.display:
            self.call_after_refresh(self.paint)

    # --- keys -------------------------------------------------------------------------

    def action_move(self, right: int, up: int) -> None:
        """Move the cursor by that many cells."""
        _ = self.place  # where it has none yet
        self._column += right
        self._row -= up
        self.paint()

    def action_set(self) -> None:
        """Set a point at the cursor."""
        if len(self.points) >= MOST_POINTS:
            self.post_message(messages.Say(f"{MOST_POINTS:,} points: no more are taken", "note"))
            return
        across, up = self.place
        x, y = self._fit.back((2 * across - 1) * EDGE, (2 * up - 1) * EDGE)
        self.points.append(Point(x, y, self.label))
        self.post_message(messages.Acted())
        self.paint()

    def action_remove(self) -> None:
        """Remove the point nearest to the cursor."""
        if not self.points:
            self.post_message(messages.Say("no point is set yet: ⏎ sets one", "note"))
            return
        across, up = self.place
        x, y = self._fit.back((2 * across - 1) * EDGE, (2 * up - 1) * EDGE)
        nearest = min(self.points, key=lambda point: (point.x - x) ** 2 + (point.y - y) ** 2)
        self.points.remove(nearest)
        self.paint()

    def action_next_class(self) -> None:
        """Points that are set next are of the next class."""
        self.label = (self.label + 1) % MOST_CLASSES
        self.paint()

    def action_clear(self) -> None:
        """Remove every point."""
        self.points = []
        self._fit = Fit()
        self.paint()

    def action_done(self) -> None:
        """Train on them."""
        self.post_message(self.Done(list(self.points)))

    def on_click(self, event: events.Click) -> None:
        """A point where the mouse is."""
        columns, rows = self.cells
        self._column = event.x - (self.size.width - columns) // 2
        self._row = event.y - (self.size.height - rows) // 2
        self.action_set()
