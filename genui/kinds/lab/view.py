"""The plane of the Lab in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.strip import Strip

from genui.kinds.lab.files import last_scene
from genui.kinds.lab.scene import LOOKS, SHADES, PlaneCells, Scene, draw, fit_plane
from genui.ui.themes import colour_mode
from genui.ui.traces.compare import Moment
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lines import LineWidget, strip_of

CLASSES = 4
MAX_TINT = 0.42  # the share of a class's colour in its strongest shade


class PlaneView(LineWidget):
    """The largest square plane that fits, centred."""

    DEFAULT_CSS = """
    PlaneView {
        & > .plane--shade { color: $text-muted; }
        & > .plane--samples { color: $foreground; text-style: bold; }
        & > .plane--arrows { color: $warning; }
        & > .plane--means { color: $success; text-style: bold; }
        & > .plane--boundary { color: $foreground; text-style: bold; }
        & > .plane--cursor { color: $background; background: $warning; text-style: bold; }
        & > .plane--data-1 { color: $foreground 55%; }
        & > .plane--data-2 { color: #e3b341; }
        & > .plane--data-3 { color: $success; }
        & > .plane--data-4 { color: #f778ba; }
        & > .plane--ground-1 { color: $primary; }
        & > .plane--ground-2 { color: #bd7a1e; }
        & > .plane--ground-3 { color: $success; }
        & > .plane--ground-4 { color: #bf3989; }
        &:light > .plane--data-2 { color: #9a6700; }
    }
    """

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._scene: Scene | None = None
        self.cursor: tuple[float, float] | None = None  # in fractions of the plane

    @property
    def cells(self) -> tuple[int, int]:
        """The columns and rows of the plane; (0, 0) without room."""
        if not self.size:
            return 0, 0
        return fit_plane(*self.size)

    def show(self, scene: Scene, cursor: tuple[float, float] | None = None) -> None:
        """Show a scene, and a cursor on it if given."""
        self._scene, self.cursor = scene, cursor
        self.redraw()

    def show_trace(self, trace: ShownTrace[Any], moment: Moment) -> None:
        """Show the last plane of a training up to one of its steps."""
        scene = last_scene(trace.frames, moment.step)
        if scene is None:
            self.clear(moment.empty)
        else:
            self.show(scene)

    def scroll_text(self, by: int) -> None:
        """A plane does not scroll."""

    def clear(self, empty: str | None = None) -> None:
        if self._scene is not None or empty != self._empty:
            self._scene = None
            super().clear(empty)

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._scene is None:
            return self.message(self._empty, width, height)
        columns, rows = self.cells
        shaded = colour_mode(self.app) in ("truecolor", "256")
        cells = draw(self._scene, columns, rows, shaded=shaded, cursor=self.cursor)
        blank = Strip.blank(width, self.rich_style)
        before = (" " * ((width - columns) // 2), self.rich_style)
        strips = [strip_of([before, *self._runs(cells, y)]) for y in range(rows)]
        return [blank] * ((height - rows) // 2) + strips

    def _runs(self, cells: PlaneCells, y: int) -> Iterator[tuple[str, Style]]:
        """Yield a row as texts, each with its style."""
        codes, looks, ground = cells.codes[y], cells.looks[y], cells.ground[y]
        text = codes.astype("<u4").tobytes().decode("utf-32-le")
        changes = (looks[1:] != looks[:-1]) | (ground[1:] != ground[:-1])
        for start, end in pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(looks)]):
            look = f"plane--{LOOKS[int(looks[start])]}"
            yield text[start:end], self._style(look, int(ground[start]))

    def _style(self, look: str, ground: int) -> Style:
        style = self.style(look)
        shade = ground % SHADES
        if not shade or look == "plane--cursor":
            return style
        full = self.style(f"plane--ground-{ground // SHADES % CLASSES + 1}").color
        base = self.rich_style.bgcolor
        if full is None or base is None:
            return style
        return style + _shaded(base, full, MAX_TINT * shade / (SHADES - 1))


@lru_cache(maxsize=256)
def _shaded(base: Color, full: Color, share: float) -> Style:
    """Return a background mixed from `base` and the share of `full`."""
    pairs = zip(base.get_truecolor(), full.get_truecolor(), strict=True)
    mixed = ColorTriplet(*(round(low + share * (high - low)) for low, high in pairs))
    return Style(bgcolor=Color.from_triplet(mixed))
