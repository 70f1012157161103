"""An image in the terminal, cheap enough to move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.strip import Strip

from genui.base.text import clean_line
from genui.protocol import ImageFrame
from genui.protocol.registry import kind_of_trace, resolve
from genui.ui.traces.compare import Column, Part
from genui.ui.traces.trees import Trace
from genui.ui.widgets.base import (
    LifecycleGuard,
    LineWidget,
    Moment,
    TraceView,
    colour_mode,
    run_style,
    set_border,
    strip_of,
)

if TYPE_CHECKING:
    import numpy as np

    from genui.render.image import Fit

# What computes is imported with the first image: an app that has none yet paints sooner.

MOST_LABEL = 12  # cells of a row's label
SHARP = 4  # times the budget of a step that an image may cost once it stands still
MOST_RUNS = 1100  # of one colour each, in an image of noise within the budget


class ImageView(LineWidget):
    """Keeps the image's aspect at the largest whole scale that fits, in the middle.

    A step costs the rows that changed and never more than `BUDGET` bytes; where that makes it
    coarse, `sharpen` draws it finer once it stands still. A grid has its values
    along the top and the left edge where they leave the image as large as it is.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"image--empty", "image--label"}
    DEFAULT_CSS = """
    ImageView {
        width: 1fr;
        height: 1fr;
        & > .image--empty { color: $text-muted; }
        & > .image--label { color: $text-muted; }
    }
    """

    def __init__(
        self,
        empty: str = "No image yet",
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(empty, id=id, classes=classes)
        self._rgb: np.ndarray | None = None
        self._labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._coarse = False  # drawn with less detail, or fewer colours, than there could be
        self._sharp = False  # to be drawn with all of it

    @property
    def has_image(self) -> bool:
        return self._rgb is not None

    @property
    def scale_text(self) -> str:
        """The image's size and scale, `32×32 at 2×`; empty where there is no image."""
        room = self._room()
        if self._rgb is None or room is None:
            return ""
        return f"{self._rgb.shape[1]}×{self._rgb.shape[0]} at {room.text}"

    @property
    def labelled(self) -> bool:
        """Whether the values of a grid have room along its edges."""
        return self._margins(*self.size) != (0, 0)

    def label(self, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> None:
        """The image is a grid with these values along the top and the left edge."""
        labels = (tuple(map(clean_line, columns)), tuple(map(clean_line, rows)))
        if labels != self._labels:
            self._labels = labels
            self.redraw()

    def show(self, rgb: bytes | np.ndarray, width: int = 0, height: int = 0) -> bool:
        """Show uint8 [H, W, 3], or `width` × `height` × 3 bytes row by row.

        False where it is the image already shown, and nothing is sent. Raises ValueError
        on any other shape.
        """
        import numpy as np

        pixels = np.asarray(rgb) if isinstance(rgb, np.ndarray) else np.frombuffer(rgb, np.uint8)
        if pixels.ndim == 1:
            pixels = pixels.reshape(height, width, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            found = f"{pixels.dtype} {list(pixels.shape)}"
            raise ValueError(f"an image is uint8 [H, W, 3], not {found}")
        if self._rgb is not None and np.array_equal(self._rgb, pixels):
            return False
        self._rgb = pixels.copy()
        self._sharp = False
        self.redraw()
        return True

    def sharpen(self) -> None:
        """Draw finer, until it changes, what was drawn coarser to keep within the budget."""
        if self._coarse and not self._sharp:
            self._sharp = True
            self.redraw()

    def show_frame(self, frame: ImageFrame, part: Part = "denoised", clip_frame: int = 0) -> bool:
        """Show one image of a denoising step; of a clip one frame, counted from 0."""
        rgb = {"denoised": frame.denoised, "x": frame.x, "noise": frame.noise}[part]
        if rgb:
            size = frame.width * frame.height * 3
            start = clip_frame % frame.images * size
            return self.show(rgb[start : start + size], frame.width, frame.height)
        had, self._rgb = self.has_image, None
        return self.redraw() if had else False

    def show_trace(self, trace: Trace[Any], moment: Moment) -> None:
        """Show a trace at one of its steps."""
        if moment.frame is None:
            self.clear(moment.empty)
        else:
            self.show_frame(moment.frame, moment.part, moment.clip_frame)

    def scroll_text(self, by: int) -> None:
        """An image does not scroll."""

    def clear(self, empty: str | None = None) -> None:
        """Back to the empty state, with another text where one is given."""
        self._rgb = None
        if empty is not None:
            self._empty = empty
        self.redraw()

    def _room(self, left: int = 0, top: int = 0) -> Fit | None:
        """How the image fits beside margins of that many cells; None where there is none."""
        if self._rgb is None or not self.size:
            return None
        from genui.render.image import fit

        height, width = self._rgb.shape[:2]
        cols, rows = self.size.width - left, self.size.height - top
        room = fit(width, height, cols, rows)
        # Enlarged so much that noise would have to be drawn coarser it would show less.
        while room.scale > 2 and width * room.rows > MOST_RUNS:
            scale = room.scale - 1
            room = fit(width, height, width * scale, (height * scale + 1) // 2)
        return room

    def _margins(self, width: int, height: int) -> tuple[int, int]:
        """Cells kept free at the left and the top for labels: none where they cost size."""
        columns, rows = self._labels
        left = min(max(map(cell_len, rows)), MOST_LABEL) + 1 if rows else 0
        top = 1 if columns else 0
        if left >= width or top >= height or self._room() != self._room(left, top):
            return 0, 0
        return left, top

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._rgb is None:
            return self.message(self._empty, "image--empty", width, height)
        from genui.render.image import BUDGET, draw

        left, top = self._margins(width, height)
        room = self._room(left, top)
        assert room is not None
        budget = SHARP * BUDGET if self._sharp else BUDGET
        mode = colour_mode(self.app)
        drawing = draw(self._rgb, room, mode, budget)
        fewer = drawing.palette and mode == "truecolor"
        self._coarse = self._sharp or fewer or drawing.coarser > 1
        base, label = self.rich_style, self.style("image--label")
        ground = Style(bgcolor=base.bgcolor)
        before = (width - left - room.cols) // 2
        strips = [Strip.blank(width, base)] * ((height - top - room.rows) // 2)
        if top:
            words = _along(self._labels[0], room.cols)
            strips.append(strip_of([(" " * (before + left), ground), (words, label)]))
        beside = _down(self._labels[1], room.rows, left) if left else {}
        for y, row in enumerate(drawing.rows):
            runs = [(text, run_style(fg, bg, drawing.palette, ground)) for text, fg, bg in row]
            words = beside.get(y, " " * left)
            strips.append(strip_of([(" " * before, ground), (words, label), *runs]))
        return strips


def _along(labels: Sequence[str], cells: int) -> str:
    """Each label in the middle of its column, in a line of `cells`."""
    line = ""
    for i, label in enumerate(labels):
        start, end = cells * i // len(labels), cells * (i + 1) // len(labels)
        shown = clean_line(label, max(1, end - start - 1))
        indent = (end - start - cell_len(shown)) // 2
        line += (" " * indent + shown).ljust(end - start - cell_len(shown) + len(shown))
    return line


def _down(labels: Sequence[str], rows: int, width: int) -> dict[int, str]:
    """Each label, right-aligned in `width` cells with one free, by the middle line of its row."""
    lines = {}
    for i, label in enumerate(labels):
        shown = clean_line(label, width - 1)
        lines[(2 * i + 1) * rows // (2 * len(labels))] = (
            " " * (width - 1 - cell_len(shown)) + shown + " "
        )
    return lines


# --- One of several traces side by side: its label, and its text or image at a step ---------

NARROW = 20  # cells; a column that is narrower has no room beside its border


class ColumnView(LifecycleGuard, Vertical):
    """Draws a column at the step that `paint` is given."""

    def __init__(self, column: Column) -> None:
        super().__init__(classes="column")
        self.column = column

    def compose(self) -> ComposeResult:
        trace = self.column.trace
        view = resolve(kind_of_trace(trace.medium, trace.request.settings).view)()
        view.can_focus = False  # the screen has the keys
        yield view

    def on_resize(self) -> None:
        self.set_class(self.outer_size.width < NARROW, "-narrow")

    @property
    def view(self) -> TraceView:
        """The widget that shows the trace."""
        return cast("TraceView", self.children[0])

    def scroll_text(self, by: int) -> None:
        """Scroll text or music."""
        self.view.scroll_text(by)

    def paint(
        self,
        step: int,
        part: Part,
        focused: bool,
        playing: bool,
        waited: float,
        clip_frame: int = 0,
    ) -> None:
        """Show the step; `waited` is how long, in seconds, this may have been loading."""
        trace = self.column.trace
        self.set_class(focused, "-focused")
        label, mark = clean_line(self.column.label), "▸ " if focused else ""
        if self.has_class("-narrow"):  # without what all columns have in common
            label, mark = label.removeprefix("seed "), mark.strip()
        set_border(self, title=Content(f"{mark}{label}"))
        set_border(self, subtitle=Content(self._place(step)))
        empty = self.column.fault
        if not empty:
            model = clean_line(trace.request.model, 30)
            empty = f"loading {model} … {waited:.0f} s" if trace.loading else "Press space to start"
        frame = self.column.frame_at(step)
        step = min(step, trace.computed)
        self.view.show_trace(trace, Moment(step, frame, part, clip_frame, playing, empty))

    def _place(self, step: int) -> str:
        """Where it ended, if it is not at the shared step; else the note of the model."""
        trace = self.column.trace
        if self.column.fault and trace.frames:
            return clean_line(self.column.fault, 60)
        if 0 < trace.total < step:
            return f"ended at {trace.total}"
        return clean_line(trace.note, 60)


# --- Where a walk through latent space is along each of its directions ------------------------

SPAN = 4.0  # standard deviations drawn to either side
_NAME = 4  # cells before a bar
_VALUE = 6  # and behind it


class Bearings(LineWidget):
    """A bar a direction, from -4 to 4 standard deviations of the latents, `●` where we are.

    The direction that is walked along has `▸` before it and a heavier line.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "bearings--empty", "bearings--name", "bearings--walked", "bearings--line",
        "bearings--place", "bearings--value",
    }  # fmt: skip
    DEFAULT_CSS = """
    Bearings {
        width: 1fr;
        height: 1fr;
        & > .bearings--empty { color: $text-muted; }
        & > .bearings--name { color: $text-muted; }
        & > .bearings--walked { color: $text-primary; text-style: bold; }
        & > .bearings--line { color: $border-blurred; }
        & > .bearings--place { color: $accent; text-style: bold; }
        & > .bearings--value { color: $foreground; }
    }
    """

    def __init__(self, empty: str = "Where the walk is shows here") -> None:
        super().__init__(empty)
        self._along: Sequence[float] = ()
        self._walked = 0

    def show(self, along: Sequence[float], walked: int) -> None:
        """The place along each direction; `walked` is the one in use, counted from 1, or 0."""
        if (tuple(along), walked) != (tuple(self._along), self._walked):
            self._along, self._walked = tuple(along), walked
            self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not self._along:
            return self.message(self._empty, "bearings--empty", width, height)
        return [self._bar(number, at, width) for number, at in enumerate(self._along, 1)]

    def _bar(self, number: int, at: float, width: int) -> Strip:
        """`▸2 ━━━━━━┿━━●━━━ +1.3`."""
        cells = max(5, width - _NAME - _VALUE)
        walked = number == self._walked
        place = round((cells - 1) * (min(max(at, -SPAN), SPAN) + SPAN) / (2 * SPAN))
        rule = ["━" if walked else "─"] * cells
        rule[cells // 2] = "┿" if walked else "┼"
        mark = "◂" if at < -SPAN else "▸" if at > SPAN else "●"
        name = self.style("bearings--walked" if walked else "bearings--name")
        line = name if walked else self.style("bearings--line")
        return strip_of(
            [
                (f"{'▸' if walked else ' '}{number:<2} ", name),
                ("".join(rule[:place]), line),
                (mark, self.style("bearings--place")),
                ("".join(rule[place + 1 :]), line),
                (f"{at:+.1f}".rjust(_VALUE), self.style("bearings--value")),
            ]
        )


# --- Painting on a small image what may change of it, by keyboard ---------------------------

LARGEST_BRUSH = 9
_TINT = (255, 0, 200)  # what is painted leans towards it


class _Signs(NamedTuple):
    """What marks a cell: all of it, its upper pixel only, its lower pixel only."""

    whole: str
    upper: str
    lower: str


_PAINTED = _Signs("╱", "╹", "╻")
_PAINTED_PLAIN = _Signs("/", "'", ",")  # not among the brightnesses of the ramp
_CURSOR = _Signs("X", "^", "v")  # one cell has two pixels


class MaskPainter(LineWidget):
    """The image, what is painted of it (tinted, and hatched) and the brush (`[]`, or `^` and
    `v` where a cell has two pixels).

    A key costs the cells that it changed.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "mask--painted", "mask--cursor", "mask--cursor-painted",
    }  # fmt: skip
    DEFAULT_CSS = """
    MaskPainter {
        width: 1fr;
        height: 1fr;
        & > .mask--painted { color: $accent; text-style: bold; }
        & > .mask--cursor { color: black; background: #ffd75f; text-style: bold; }
        & > .mask--cursor-painted { color: white; background: #af0087; text-style: bold; }
    }
    """

    def __init__(self, rgb: np.ndarray) -> None:
        """`rgb`: uint8 [H, W, 3]."""
        import numpy as np

        super().__init__()
        self._rgb = rgb
        self._shape = (int(rgb.shape[0]), int(rgb.shape[1]))  # rows, columns
        self._mask = np.zeros(self._shape, bool)
        self.brush = 1
        self.x, self.y = rgb.shape[1] // 2, rgb.shape[0] // 2

    # --- what is painted --------------------------------------------------------------

    @property
    def painted(self) -> int:
        """How many pixels may change."""
        return int(self._mask.sum())

    @property
    def pixels(self) -> int:
        """How many pixels there are."""
        return self._mask.size

    @property
    def mask(self) -> bytes:
        """One byte a pixel, row by row: 1 where the image may change."""
        return self._mask.astype("uint8").tobytes()

    @property
    def painted_here(self) -> bool:
        """Whether the pixel in the middle of the brush is painted."""
        return bool(self._mask[self.y, self.x])

    def move(self, dx: int, dy: int, painting: bool = False) -> None:
        """Move the brush by pixels, painting under it where asked."""
        if painting:
            self._mask[self._under()] = True
        height, width = self._shape
        self.x = max(0, min(self.x + dx, width - 1))
        self.y = max(0, min(self.y + dy, height - 1))
        if painting:
            self._mask[self._under()] = True
        self.redraw()

    def toggle(self) -> None:
        """Paint under the brush, or unpaint where its middle is painted already."""
        self._mask[self._under()] = not self.painted_here
        self.redraw()

    def resize_brush(self, by: int) -> None:
        self.brush = max(1, min(self.brush + by, LARGEST_BRUSH))
        self.redraw()

    def clear(self) -> None:
        """Nothing may change."""
        self._mask[:] = False
        self.redraw()

    def invert(self) -> None:
        """What may change and what may not, the other way round."""
        self._mask = ~self._mask
        self.redraw()

    def _under(self) -> tuple[slice, slice]:
        """The pixels under the brush, as far as they are in the image."""
        left, top = self.x - (self.brush - 1) // 2, self.y - (self.brush - 1) // 2
        return (
            slice(max(top, 0), max(top + self.brush, 0)),
            slice(max(left, 0), max(left + self.brush, 0)),
        )

    # --- drawing ----------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        import numpy as np

        from genui.render.image import Fit, draw

        rows, cols = self._shape
        scale = whole_scale(cols, rows, width, height)
        room = Fit(scale, 1, cols * scale, (rows * scale + 1) // 2)
        tinted = np.where(
            self._mask[..., None], self._rgb // 2 + np.array(_TINT, np.uint8) // 2, self._rgb
        )
        mode = colour_mode(self.app)
        drawing = draw(tinted, room, mode, None)
        signs = _PAINTED_PLAIN if mode == "ascii" else _PAINTED
        coloured = mode in ("truecolor", "256")
        ground = Style(bgcolor=self.rich_style.bgcolor)
        brush = np.zeros_like(self._mask)
        brush[self._under()] = True
        before = (" " * ((width - room.cols) // 2), ground)
        strips = []
        for y, row in enumerate(drawing.rows):
            cells = [
                (char, run_style(fg, bg, drawing.palette, ground))
                for text, fg, bg in row
                for char in text
            ]
            self._hatch(cells, y, scale, signs, coloured)
            self._point(cells, y, scale, signs, brush)
            strips.append(strip_of([before, *_gathered(cells)]))
        return strips

    def _hatch(
        self, cells: list[tuple[str, Style]], y: int, scale: int, signs: _Signs, coloured: bool
    ) -> None:
        """Mark the cells of line `y` that hold painted pixels."""
        upper, lower = _pixel_rows(self._mask, y, scale)
        mark = self.style("mask--painted")
        for x in range(len(cells)):
            sign = _sign(signs, upper[x // scale], lower[x // scale])
            if sign:
                style = cells[x][1]
                # In colour the tint says it too: the hatching stays out of the image's way.
                faint = style + Style(color="white", bold=False)
                cells[x] = (sign, faint if coloured else mark)

    def _point(
        self, cells: list[tuple[str, Style]], y: int, scale: int, signs: _Signs, brush: np.ndarray
    ) -> None:
        """Draw the part of the brush that lies in line `y`."""
        over, under = _pixel_rows(brush, y, scale)
        upper, lower = _pixel_rows(self._mask, y, scale)
        for x in range(len(cells)):
            pixel = x // scale
            if not (over[pixel] or under[pixel]):
                continue
            painted = upper[pixel] if over[pixel] else lower[pixel]
            if painted:  # hatched still, which tells it where there are no colours
                text = _sign(signs, over[pixel], under[pixel])
            elif scale == 1:
                text = _sign(_CURSOR, over[pixel], under[pixel])
            else:
                text = "[" if x % scale == 0 else "]" if x % scale == scale - 1 else " "
            style = self.style("mask--cursor-painted" if painted else "mask--cursor")
            cells[x] = (text, style)


def whole_scale(cols: int, rows: int, width: int, height: int) -> int:
    """Cells a pixel is wide in that room: 1 or an even number, as a cell is two high."""
    scale = max(1, min(width // cols, 2 * height // rows))
    return scale if scale == 1 else scale - scale % 2


def _pixel_rows(grid: np.ndarray, y: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of pixels in the upper and the lower half of line `y`."""
    last = len(grid) - 1
    return grid[min(2 * y // scale, last)], grid[min((2 * y + 1) // scale, last)]


def _sign(signs: _Signs, upper: bool, lower: bool) -> str:
    if upper and lower:
        return signs.whole
    return signs.upper if upper else signs.lower if lower else ""


def _gathered(cells: list[tuple[str, Style]]) -> list[tuple[str, Style]]:
    """Neighbours of one style as one run."""
    runs: list[tuple[str, Style]] = []
    for char, style in cells:
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + char, style)
        else:
            runs.append((char, style))
    return runs


# --- A sound in the terminal: its waveform, and below it how long it lasts and how to hear it -


class Waveform(LineWidget):
    """Takes no room where there is no sound."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"waveform--dots", "waveform--words"}
    DEFAULT_CSS = """
    Waveform {
        display: none;
        height: 4;
        &.-heard { display: block; }
        & > .waveform--dots { color: $primary; }
        & > .waveform--words { color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sound = b""
        self._rate = 0
        self._words = ""

    def show(self, sound: bytes, rate: int, words: str = "") -> bool:
        """Show int16 samples, one channel; `words` follow its length. False where nothing moved."""
        if (sound, rate, words) == (self._sound, self._rate, self._words):
            return False
        self._sound, self._rate, self._words = sound, rate, words
        self.set_class(bool(sound and rate), "-heard")
        return self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not (self._sound and self._rate):
            return []
        import numpy as np

        from genui.render.image import draw_waveform

        pcm = np.frombuffer(self._sound, "<i2")
        dots, words = self.style("waveform--dots"), self.style("waveform--words")
        lines = draw_waveform(pcm, width, max(1, height - 1)) if width else []
        strips = [strip_of([(line, dots)]) for line in lines]
        if height > 1:
            text = f"{len(pcm) / self._rate:.2f} s at {self._rate:,} samples a second"
            if self._words:
                text = f"{self._words} · {text}"
            strips.append(strip_of([(clean_line(text, width), words), ("", Style.null())]))
        return strips
