"""Images in the terminal: a view for animation, direction bars, a mask painter
and a waveform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len
from rich.style import Style
from textual.color import TRANSPARENT, Color
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer

from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.protocol import ImageFrame
from genui.ui.generate.look import ImagePart
from genui.ui.graphics import Images, Placement
from genui.ui.terminal import get_images, get_metered_driver
from genui.ui.themes import colour_mode
from genui.ui.widgets.lines import LineWidget, run_style, strip_of

with late_imports():
    from genui.formats import image as image_files
    from genui.render import canvas
    from genui.render import image as render_image
    from genui.render import pixels as render_pixels

if TYPE_CHECKING:
    import numpy as np

    from genui.render.image import Fit
    from genui.render.pixels import Encoded
    from genui.ui.traces.compare import Moment
    from genui.ui.traces.trees import ShownTrace

# numpy and genui.render are imported with the first image, so that the app paints sooner.

MAX_LABEL = 12  # cells of a row's label
REST = 0.5  # seconds without a change after which an image stands still
STILL_FACTOR = 4  # an image that stands still may take this multiple of the budget
FINE = 8  # levels of a colour that can be told apart only just
NO_NOISE = "No noise is left at σ 0"
NOT_READ = "Read from a file, which stores no predicted noise. Space computes it"
LABELLED_SHARE = 0.85  # of the size that an image has without labels, at least


class ImageView(LineWidget):
    """An image at the largest scale that fits, centred. A spectrogram fills the whole widget.

    A terminal with a protocol for images draws it in pixels, any other one in half-blocks.

    A step repaints the rows that changed, in at most `BUDGET` bytes; if that reduces the
    image, it is drawn in more detail once it stands still: noise only in more pixels. The values
    of a grid are written along its top and left edge, unless that would make the image much
    smaller.
    """

    DEFAULT_CSS = """
    ImageView {
        & > .image--label { color: $text-muted; }
    }
    """

    class Resized(Message):
        """The widget has another size, so its image has another scale."""

    def __init__(self, empty: str = "No image yet", *, classes: str | None = None) -> None:
        super().__init__(empty, classes=classes)
        self._rgb: np.ndarray | None = None
        self._spectrogram = False
        self._labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._reduced = False  # drawn with less detail or fewer colours than possible
        self._is_noise = False  # more colours would not improve it
        self._sharp = False  # draw with full detail
        self._rest_timer: Timer | None = None
        self._placement: Placement | None = None  # in a terminal that shows pixels
        # What was encoded last: the image, its size, the budget and a tint.
        self._encoded: tuple[np.ndarray, Fit, int, Color, Encoded | None] | None = None

    @property
    def has_image(self) -> bool:
        return self._rgb is not None

    @property
    def scale_text(self) -> str:
        """The size and scale of the image, `32×32 at 2×`; "" without one."""
        fit = self._fit()
        if self._rgb is None or fit is None:
            return ""
        size = f"{self._rgb.shape[1]}×{self._rgb.shape[0]}"
        return f"{size} at {fit.text}" if fit.text else size

    def gain(self, cols: int, more_cols: int, rows: int) -> float:
        """The factor by which the image is larger in `more_cols` × `rows` cells than in `cols`."""
        narrow, wide = self._fit_within(cols, rows), self._fit_within(more_cols, rows)
        # A spectrogram needs no more room: it fills what there is.
        if narrow is None or wide is None or self._spectrogram:
            return 1.0
        return wide.across / narrow.across

    @property
    def labelled(self) -> bool:
        """Whether there is room for the values of a grid along its edges."""
        return self._margins(*self.size) != (0, 0)

    def label(self, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> None:
        """Set the values along the top and left edge of an image that is a grid."""
        labels = (tuple(map(clean_line, columns)), tuple(map(clean_line, rows)))
        if labels != self._labels:
            self._labels = labels
            self.redraw()

    def show(self, pixels: np.ndarray, spectrogram: bool = False, is_noise: bool = False) -> bool:
        """Show uint8 [H, W, 3].

        A `spectrogram` in the colours of its file is shown in those of the screen. Returns False,
        and sends nothing, if this image is shown already. Raises ValueError for any other shape.
        """
        import numpy as np

        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ValueError(
                f"an image is uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}"
            )
        self._spectrogram, self._is_noise = spectrogram, is_noise
        if spectrogram:
            pixels = render_image.recolour_spectrogram(pixels, colour_mode(self.app))
        if self._rgb is not None and np.array_equal(self._rgb, pixels):
            return False
        self._rgb = pixels.copy()
        self._sharp = False
        self.redraw()
        return True

    def sharpen(self) -> None:
        """Redraw the image in full detail, until it changes, if the budget reduced it."""
        if self._reduced and not self._sharp:
            self._sharp = True
            self.redraw()

    def _sharpen_later(self) -> None:
        """Sharpen after REST without a change, once the terminal is free."""
        if self._rest_timer is not None:
            self._rest_timer.stop()
        self._rest_timer = self.set_timer(REST, self._sharpen_if_idle)

    def _sharpen_if_idle(self) -> None:
        driver = get_metered_driver(self.app)
        if driver is not None and driver.busy:
            self._sharpen_later()
        else:
            self.sharpen()

    def show_frame(
        self, frame: ImageFrame, part: ImagePart = "denoised", clip_frame: int = 0
    ) -> bool:
        """Show one of the images of a denoising step; one frame of a clip, counted from 0.

        At σ 0 there is no noise to predict: that is said in place of a flat image.
        """
        if part == "noise" and not (frame.sigma and frame.noise):
            self.clear(NOT_READ if frame.sigma else NO_NOISE)
            return True
        if getattr(frame, part):
            image = image_files.clip_pixels(frame, part)[clip_frame % frame.images]
            return self.show(image, bool(frame.rate), part != "denoised" and frame.sigma > 0)
        if not self.has_image:
            return False
        self._rgb = None
        return self.redraw()

    def show_trace(self, trace: ShownTrace[Any], moment: Moment) -> None:
        """Show a trace at one of its steps."""
        if moment.frame is None:
            self.clear(moment.empty)
        else:
            self.show_frame(moment.frame, moment.part, moment.clip_frame)

    def scroll_text(self, by: int) -> None:
        """An image does not scroll."""

    def clear(self, empty: str | None = None) -> None:
        self._rgb = None
        super().clear(empty)

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def on_unmount(self) -> None:
        self._remove_placement()

    def change_protocol(self) -> None:
        """Draw again: the terminal shows images in another way."""
        self._stale = True
        self.refresh()
        self.post_message(self.Resized())

    def _fit(self, left: int = 0, top: int = 0) -> Fit | None:
        """Return how the image fits beside margins of so many cells; None without an image."""
        return self._fit_within(self.size.width - left, self.size.height - top)

    def _fit_within(self, cols: int, rows: int) -> Fit | None:
        if self._rgb is None or not self.size:
            return None
        height, width = self._rgb.shape[:2]
        images = get_images(self.app)
        if images is None or self._spectrogram:
            return (render_image.stretch if self._spectrogram else render_image.fit)(
                width, height, cols, rows
            )
        return render_pixels.fit_pixels(width, height, cols, rows, images.aspect)

    def _margins(self, width: int, height: int) -> tuple[int, int]:
        """Return the cells for labels at the left and top: none if they take too much of it."""
        columns, rows = self._labels
        left = min(max(map(cell_len, rows)), MAX_LABEL) + 1 if rows else 0
        top = 1 if columns else 0
        whole, rest = self._fit(), self._fit(left, top)
        if whole is None or rest is None or left >= width or top >= height:
            return 0, 0
        return (left, top) if rest.cols >= LABELLED_SHARE * whole.cols else (0, 0)

    def draw(self, width: int, height: int) -> list[Strip]:
        if self._rgb is None:
            self._remove_placement()
            return self.message(self._empty, width, height)
        left, top = self._margins(width, height)
        fit = self._fit(left, top)
        assert fit is not None
        budget = STILL_FACTOR * render_image.BUDGET if self._sharp else render_image.BUDGET
        base, label = self.rich_style, self.style("image--label")
        ground = Style(bgcolor=base.bgcolor)
        lines = self._draw_pixels(fit, budget) or self._draw_cells(fit, budget, ground)
        if self._reduced and not self._sharp:
            self._sharpen_later()
        before = (width - left - fit.cols) // 2
        strips = [Strip.blank(width, base)] * ((height - top - fit.rows) // 2)
        if top:
            line = _draw_column_labels(self._labels[0], fit.cols)
            strips.append(strip_of([(" " * (before + left), ground), (line, label)]))
        row_labels = _draw_row_labels(self._labels[1], fit.rows, left) if left else {}
        for y, runs in enumerate(lines):
            beside = row_labels.get(y, " " * left)
            strips.append(strip_of([(" " * before, ground), (beside, label), *runs]))
        return strips

    def _draw_cells(self, fit: Fit, budget: int, ground: Style) -> list[list[tuple[str, Style]]]:
        """Return the lines of the image in half-blocks."""
        assert self._rgb is not None
        mode = colour_mode(self.app)
        drawing = render_image.draw(self._rgb, fit, mode, budget)
        fewer_colours = mode == "truecolor" and (drawing.palette or drawing.rounding > FINE)
        could_be_pixels = get_images(self.app) is not None
        improves = fewer_colours and not self._is_noise
        self._reduced = improves or drawing.is_coarse or could_be_pixels
        return [
            [(text, run_style(fg, bg, drawing.palette, ground)) for text, fg, bg in row]
            for row in drawing.rows
        ]

    def _draw_pixels(self, fit: Fit, budget: int) -> list[list[tuple[str, Style]]] | None:
        """Return lines of markers for an image that the terminal draws; None for half-blocks."""
        driver, images = get_metered_driver(self.app), get_images(self.app)
        if images is None or driver is None:
            self._remove_placement()
            return None
        # Sixel data is no smaller than half-blocks and takes longer to make: at rest only.
        waits = images.protocol == "sixel" and not self._sharp
        encoded = None if waits else self._encode(images, fit, budget)
        if encoded is None:
            self._remove_placement()
            return None
        placement = self._placement
        if placement is None or (placement.cols, placement.rows) != (fit.cols, fit.rows):
            self._remove_placement()
            stack = self.app.screen_stack
            layer = stack.index(self.screen) if self.screen in stack else 0
            placement = self._placement = images.place(fit.cols, fit.rows, layer)
            if placement is None:
                return None
        if placement.data != encoded.data:
            placement.update(encoded.data)
            driver.paint_images()
        self._reduced = encoded.is_coarse or (encoded.is_reduced and not self._is_noise)
        plain = Style()
        return [[(markers, plain)] for markers in placement.markers]

    def _encode(self, images: Images, fit: Fit, budget: int) -> Encoded | None:
        """Encode the image, unless that was done last."""
        assert self._rgb is not None
        last, tint = self._encoded, self._tint(images)
        if last is None or last[0] is not self._rgb or last[1:4] != (fit, budget, tint):
            rgb = render_pixels.mix(self._rgb, tint.rgb, tint.a)
            encoded = images.encode(rgb, fit.cols, fit.rows, budget)
            self._encoded = last = self._rgb, fit, budget, tint, encoded
        return last[4]

    def _tint(self, images: Images) -> Color:
        """Return the translucent colour of a window that lies above the image."""
        top = self.app.screen
        if top is self.screen or images.protocol == "sixel":
            return TRANSPARENT
        return top.styles.background

    def _remove_placement(self) -> None:
        driver = get_metered_driver(self.app)
        if driver is not None and self._placement is not None:
            driver.images.remove(self._placement)
        self._placement = None


def _draw_column_labels(labels: Sequence[str], cells: int) -> str:
    """Return a line of `cells` with each label in the middle of its column."""
    line = ""
    for i, label in enumerate(labels):
        start, end = cells * i // len(labels), cells * (i + 1) // len(labels)
        text = clean_line(label, max(1, end - start - 1))
        indent = (end - start - cell_len(text)) // 2
        line += (" " * indent + text).ljust(end - start - cell_len(text) + len(text))
    return line


def _draw_row_labels(labels: Sequence[str], rows: int, width: int) -> dict[int, str]:
    """Return each label, right-aligned in `width` - 1 cells, by the middle line of its row."""
    lines = {}
    for i, label in enumerate(labels):
        text = clean_line(label, width - 1)
        middle = (2 * i + 1) * rows // (2 * len(labels))
        lines[middle] = " " * (width - 1 - cell_len(text)) + text + " "
    return lines


# --- Painting a mask on a small image by keyboard ---------------------------------------------

MAX_BRUSH = 9
_TINT = (255, 0, 200)  # mixed with the colours of painted pixels


class _Signs(NamedTuple):
    """The marks of a cell: for both of its pixels, only the upper one, only the lower one."""

    whole: str
    upper: str
    lower: str


_PAINTED = _Signs("╱", "╹", "╻")
_PAINTED_ASCII = _Signs("/", "'", ",")  # none of them is in the ramp of brightness
_CURSOR = _Signs("X", "^", "v")


class MaskPainter(LineWidget):
    """An image, its painted pixels (tinted and hatched), and the brush.

    The brush is drawn as `[]`, or `^` and `v` if a cell has two pixels.
    """

    DEFAULT_CSS = """
    MaskPainter {
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

    # --- painting ---------------------------------------------------------------------

    @property
    def painted(self) -> int:
        """The number of painted pixels."""
        return int(self._mask.sum())

    @property
    def pixels(self) -> int:
        """The number of pixels of the image."""
        return self._mask.size

    @property
    def mask(self) -> bytes:
        """One byte per pixel, row by row: 1 if it is painted, so it may change."""
        return self._mask.astype("uint8").tobytes()

    @property
    def painted_here(self) -> bool:
        """Whether the pixel in the middle of the brush is painted."""
        return bool(self._mask[self.y, self.x])

    def move(self, dx: int, dy: int, painting: bool = False) -> None:
        """Move the brush by pixels; with `painting`, paint under it before and after."""
        if painting:
            self._mask[self._under()] = True
        height, width = self._shape
        self.x = max(0, min(self.x + dx, width - 1))
        self.y = max(0, min(self.y + dy, height - 1))
        if painting:
            self._mask[self._under()] = True
        self.redraw()

    def toggle(self) -> None:
        """Paint under the brush, or unpaint if its middle is painted already."""
        self._mask[self._under()] = not self.painted_here
        self.redraw()

    def resize_brush(self, by: int) -> None:
        self.brush = max(1, min(self.brush + by, MAX_BRUSH))
        self.redraw()

    def erase(self) -> None:
        """Unpaint everything."""
        self._mask[:] = False
        self.redraw()

    def invert(self) -> None:
        """Paint the unpainted pixels and unpaint the others."""
        self._mask = ~self._mask
        self.redraw()

    def _under(self) -> tuple[slice, slice]:
        """Return the pixels of the image that are under the brush."""
        left, top = self.x - (self.brush - 1) // 2, self.y - (self.brush - 1) // 2
        return (
            slice(max(top, 0), max(top + self.brush, 0)),
            slice(max(left, 0), max(left + self.brush, 0)),
        )

    # --- drawing ----------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        import numpy as np

        rows, cols = self._shape
        scale = choose_scale(cols, rows, width, height)
        room = render_image.Fit(scale, scale, cols * scale, (rows * scale + 1) // 2)
        tinted = np.where(
            self._mask[..., None], self._rgb // 2 + np.array(_TINT, np.uint8) // 2, self._rgb
        )
        mode = colour_mode(self.app)
        drawing = render_image.draw(tinted, room, mode, None)
        signs = _PAINTED_ASCII if mode == "ascii" else _PAINTED
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
            self._draw_brush(cells, y, scale, signs, brush)
            strips.append(strip_of([before, *canvas.merge_runs(cells)]))
        return strips

    def _hatch(
        self, cells: list[tuple[str, Style]], y: int, scale: int, signs: _Signs, coloured: bool
    ) -> None:
        """Hatch the cells of line `y` that have painted pixels."""
        upper, lower = _pixel_rows(self._mask, y, scale)
        mark = self.style("mask--painted")
        for x in range(len(cells)):
            sign = _sign(signs, upper[x // scale], lower[x // scale])
            if sign:
                style = cells[x][1]
                # In colour the tint shows it too, so the hatching is less prominent.
                faint = style + Style(color="white", bold=False)
                cells[x] = (sign, faint if coloured else mark)

    def _draw_brush(
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
            if painted:  # keep the hatching, which shows it without colours
                text = _sign(signs, over[pixel], under[pixel])
            elif scale == 1:
                text = _sign(_CURSOR, over[pixel], under[pixel])
            else:
                text = "[" if x % scale == 0 else "]" if x % scale == scale - 1 else " "
            style = self.style("mask--cursor-painted" if painted else "mask--cursor")
            cells[x] = (text, style)


def choose_scale(cols: int, rows: int, width: int, height: int) -> int:
    """Return the width of a pixel in cells that fits: 1, or even so that it is whole cells high."""
    scale = max(1, min(width // cols, 2 * height // rows))
    return scale if scale == 1 else scale - scale % 2


def _pixel_rows(grid: np.ndarray, y: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of pixels in the upper and lower half of line `y`."""
    last = len(grid) - 1
    return grid[min(2 * y // scale, last)], grid[min((2 * y + 1) // scale, last)]


def _sign(signs: _Signs, upper: bool, lower: bool) -> str:
    if upper and lower:
        return signs.whole
    return signs.upper if upper else signs.lower if lower else ""


# --- Sound ------------------------------------------------------------------------------------


class Waveform(LineWidget):
    """A waveform and, below it, the length of the sound and a note; hidden without a sound."""

    DEFAULT_CSS = """
    Waveform {
        display: none;
        height: 4;
        &.-heard { display: block; }
        & > .waveform--dots { color: $primary; }
        & > .waveform--text { color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sound = b""
        self._rate = 0
        self._note = ""

    def show(self, sound: bytes, rate: int, note: str = "") -> bool:
        """Show int16 samples of one channel, `rate` per second; return whether that changes it."""
        if (sound, rate, note) == (self._sound, self._rate, self._note):
            return False
        self._sound, self._rate, self._note = sound, rate, note
        self.set_class(bool(sound and rate), "-heard")
        return self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not (self._sound and self._rate):
            return []
        import numpy as np

        pcm = np.frombuffer(self._sound, "<i2")
        dots, muted = self.style("waveform--dots"), self.style("waveform--text")
        lines = render_image.draw_waveform(pcm, width, max(1, height - 1)) if width else []
        strips = [strip_of([(line, dots)]) for line in lines]
        if height > 1:
            text = f"{len(pcm) / self._rate:.2f} s at {self._rate:,} samples a second"
            if self._note:
                text = f"{self._note} · {text}"
            strips.append(strip_of([(clean_line(text, width), muted)]))
        return strips
