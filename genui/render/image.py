"""Images as coloured cells within a budget of bytes; palettes, the colour map, waveforms."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genui.render.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas
from genui.render.colours import ColourMode

# --- Palettes of terminals --------------------------------------------------------------------

_CUBE = np.array([0, 95, 135, 175, 215, 255])
_CUBE_EDGES = (_CUBE[1:] + _CUBE[:-1]) // 2
_FIRST_CUBE, _FIRST_GREY, _GREYS = 16, 232, 24

# xterm's sixteen colours.
_SIXTEEN = np.array(
    [
        (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
        (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
        (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
        (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
    ]
)  # fmt: skip


def quantize_256(rgb: np.ndarray) -> np.ndarray:
    """Return the palette indices 16–255, int32 [...], nearest to `rgb`, uint8 [..., 3]."""
    colour = rgb.astype(np.int32)
    level = np.searchsorted(_CUBE_EDGES, colour)
    in_cube = _CUBE[level]
    grey = np.clip((colour.mean(axis=-1) - 8) / 10 + 0.5, 0, _GREYS - 1).astype(np.int32)
    grey_error = ((colour - (8 + 10 * grey)[..., None]) ** 2).sum(axis=-1)
    cube_error = ((colour - in_cube) ** 2).sum(axis=-1)
    cube = _FIRST_CUBE + level[..., 0] * 36 + level[..., 1] * 6 + level[..., 2]
    return np.where(grey_error < cube_error, _FIRST_GREY + grey, cube).astype(np.int32)


def quantize_16(rgb: np.ndarray) -> np.ndarray:
    """Return the palette indices 0–15, int32 [...], nearest to `rgb`, uint8 [..., 3]."""
    difference = rgb[..., None, :].astype(np.int32) - _SIXTEEN
    return (difference**2).sum(axis=-1).argmin(axis=-1).astype(np.int32)


def compute_luminance(rgb: np.ndarray) -> np.ndarray:
    """Compute the relative luminance, 0–255, float64 [...], with the weights of Rec. 709."""
    return rgb @ np.array([0.2126, 0.7152, 0.0722])


# --- Colour maps ------------------------------------------------------------------------------
# Spectrograms in frames and files are in cubehelix (Green 2011, eq. 2), from which they can be
# read back: its lightness increases evenly. On screen they are in magma, which is perceptually
# uniform.

START, ROTATIONS, HUE = 0.5, -1.5, 1.0  # Green's defaults, §3
LEVELS = 256


@cache
def build_colour_map() -> NDArray[np.uint8]:
    """Compute the colours from black to white, [256, 3]."""
    level = np.linspace(0, 1, LEVELS)
    angle = 2 * np.pi * (START / 3 + 1 + ROTATIONS * level)
    swing = HUE * level * (1 - level) / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    red = level + swing * (-0.14861 * cosine + 1.78277 * sine)
    green = level + swing * (-0.29227 * cosine - 0.90649 * sine)
    blue = level + swing * (1.97294 * cosine)
    rgb = np.stack((red, green, blue), axis=1)
    return np.rint(255 * rgb.clip(0, 1)).astype(np.uint8)


def apply_colour_map(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map values from -1 to 1 [...], others clipped, to colours [..., 3]."""
    index = np.rint((np.clip(values, -1, 1) + 1) / 2 * (LEVELS - 1))
    return build_colour_map()[index.astype(np.int64)]


def invert_colour_map(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map `rgb` [..., 3] to the values, -1 to 1 [...], of the nearest colours of the map."""
    difference = rgb[..., None, :].astype(np.int32) - build_colour_map().astype(np.int32)
    index = (difference**2).sum(-1).argmin(-1)
    return (index / np.float32((LEVELS - 1) / 2) - 1).astype(np.float32)


_BELOW, _ZERO, _ABOVE = np.array([(70, 150, 255), (20, 20, 24), (255, 150, 50)], np.float32)
"""The colours of -1, 0 and 1: blue and orange differ for colour-blind people too."""


def signed_colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map values from -1 to 1 [...], others clipped, to colours [..., 3]: blue, dark for 0,
    orange."""
    clipped = np.clip(values, -1, 1)[..., None]
    ends = np.where(clipped < 0, _BELOW, _ABOVE)
    return np.rint(_ZERO + np.abs(clipped) * (ends - _ZERO)).astype(np.uint8)


DIM = 0.2  # of the brightness of an image where a map over it is 0


def light_up(rgb: NDArray[np.uint8], weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image [H, W, 3], dimmed where a map [h, w] of weights from 0 is below its largest; h and w
    divide H and W."""
    height, width = (whole // part for whole, part in zip(rgb.shape, weights.shape, strict=False))
    light = DIM + (1 - DIM) * weights / max(float(weights.max()), 1e-9)
    whole = light.repeat(height, axis=0).repeat(width, axis=1)[..., None]
    return np.rint(rgb * whole).astype(np.uint8)


# Ten evenly spaced colours of magma (Smith and van der Walt 2015, CC0).
_MAGMA = (
    *(0x000004, 0x180F3E, 0x451077, 0x721F81, 0x9F2F7F),
    *(0xCD4071, 0xF1605D, 0xFD9567, 0xFEC98D, 0xFCFDBF),
)


@cache
def build_magma() -> NDArray[np.uint8]:
    """Interpolate the colours of `_MAGMA`, from black to pale yellow, [256, 3]."""
    points = np.array([(rgb >> 16, rgb >> 8 & 255, rgb & 255) for rgb in _MAGMA])
    at, levels = np.linspace(0, 1, len(points)), np.linspace(0, 1, LEVELS)
    rgb = np.stack([np.interp(levels, at, channel) for channel in points.T], axis=1)
    return np.rint(rgb).astype(np.uint8)


_DECIBELS = 80.0  # from the loudest to black


def draw_spectrogram(
    samples: NDArray[np.float32],
    width: int = 160,
    height: int = 64,
    colours: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Draw samples [N] as an image [height, width, 3]: time to the right, the lowest frequency at
    the bottom, the frequency on a logarithmic scale. `colours` [LEVELS, 3] are by default magma."""
    window = 1024
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    starts = np.linspace(0, len(padded) - window, width).astype(np.int64)
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.geomspace(2, power.shape[1], height + 1)
    rows = [
        power[:, int(low) : max(int(low) + 1, int(high))].max(axis=1)
        for low, high in pairwise(edges)
    ]
    decibels = 10 * np.log10(np.stack(rows[::-1]) + 1e-12)
    share = 1 + (decibels - decibels.max()) / _DECIBELS
    colours = build_magma() if colours is None else colours
    return colours[np.rint(share.clip(0, 1) * (LEVELS - 1)).astype(np.int64)]


@cache
def _build_grey() -> NDArray[np.uint8]:
    return np.arange(LEVELS, dtype=np.uint8)[:, None].repeat(3, axis=1)


_FEW = 8  # colours, which any image may share with the map


def is_spectrogram(rgb: NDArray[np.uint8]) -> bool:
    """Return whether all colours of `rgb` [..., 3] are of `build_colour_map`, more than a few."""
    colours = np.unique(_pack(rgb))
    return len(colours) > _FEW and bool(np.isin(colours, _pack(build_colour_map())).all())


def recolour_spectrogram(rgb: NDArray[np.uint8], mode: ColourMode) -> NDArray[np.uint8]:
    """Replace the colours of `build_colour_map` in `rgb` [..., 3] by magma.

    A terminal of at most 16 colours gets greys, which it draws as a ramp of characters.
    """
    colours = _pack(build_colour_map())
    order = colours.argsort()
    level = order[np.searchsorted(colours[order], _pack(rgb)).clip(0, LEVELS - 1)]
    return (_build_grey() if mode in ("16", "ascii") else build_magma())[level]


# --- Images as rows of coloured cells ---------------------------------------------------------
# A cell holds two pixels, one above the other: an upper half block in the top colour on the
# bottom colour. If both are equal it is a space with a background, which takes half the bytes.
# Neighbouring cells of the same colours share an escape code, so colours are rounded until enough
# neighbours are equal. If that is not enough, as for pure noise, the shorter codes of the
# 256-colour palette are used.

BUDGET = 25_000  # bytes
RAMP = " .:-=+*#%@"

_HALF_BLOCK = "▀"
_HALF_BLOCK_BYTES = len(_HALF_BLOCK.encode())
_RESET_BYTES = len("\x1b[0m")
# The cursor move to the row, and the background of the pane left of the image.
_ROW_BYTES = 48
_ROUNDINGS = (1, 4, 8, 16, 32)


class Run(NamedTuple):
    """Cells of one style. A colour of None is the terminal's default."""

    text: str
    fg: int | None
    bg: int | None


@dataclass(frozen=True)
class Drawing:
    """An image in cells. Colours are 0xRRGGBB, or palette indices if `palette` is true.

    `is_coarse` is whether the resolution was reduced to meet the budget, and `rounding` the step
    to which truecolour was rounded.
    """

    rows: list[list[Run]]
    cols: int
    palette: bool
    is_coarse: bool = False
    rounding: int = 1


@dataclass(frozen=True)
class Fit:
    """The size of an image in cells. A pixel is `across` cells wide and `down` half cells high."""

    across: float
    down: float
    cols: int
    rows: int
    stretched: bool = False  # its pixels need not be square

    @property
    def text(self) -> str:
        """The scale, `2.5×` or `0.53×`; "" for an image that is stretched."""
        return "" if self.stretched else f"{self.across:.3g}×"


def fit(width: int, height: int, cols: int, rows: int) -> Fit:
    """Choose the largest scale at which an image fits in `cols` × `rows` cells.

    An image is enlarged by half steps, 1.5×, 2×, 2.5× …, so that its pixels stay crisp, and shrunk
    by any factor. At scale 1 a pixel is one cell wide and half a cell high, which is about square.
    """
    cols, rows = max(cols, 1), max(rows, 1)
    scale = min(cols / width, 2 * rows / height)
    if scale >= 1:
        scale = floor(2 * scale) / 2
    # Rounded first: 131 * (64 / 131) is a little more than 64.
    across, down = (ceil(round(length * scale, 6)) for length in (width, height))
    return Fit(scale, scale, across, ceil(down / 2))


def stretch(width: int, height: int, cols: int, rows: int) -> Fit:
    """Fill `cols` × `rows` cells with an image whose pixels need not be square."""
    cols, rows = max(cols, 1), max(rows, 1)
    return Fit(cols / width, 2 * rows / height, cols, rows, stretched=True)


def draw(rgb: np.ndarray, room: Fit, mode: ColourMode, budget: int | None = BUDGET) -> Drawing:
    """Draw `rgb`, uint8 [H, W, 3], in cells that take at most `budget` bytes in the terminal.

    Colours are rounded only as far as necessary; if the 256-colour palette takes too many bytes
    as well, the resolution is reduced. `budget=None` draws the image unchanged.
    """
    pixels = _resample(rgb, room)
    if mode == "ascii":
        return _draw_ramp(pixels)
    if mode == "16":
        return Drawing(_build_runs(quantize_16(pixels)), room.cols, palette=True)
    if mode == "truecolor":
        for rounding in _ROUNDINGS:
            packed = _pack(_round_colours(pixels, rounding))
            if budget is None or _count_bytes(packed, palette=False) <= budget:
                return Drawing(_build_runs(packed), room.cols, palette=False, rounding=rounding)
    indices = quantize_256(pixels)
    if budget is None or _count_bytes(indices, palette=True) <= budget:
        return Drawing(_build_runs(indices), room.cols, palette=True)

    def reduce(factors: tuple[float, float]) -> np.ndarray:
        return quantize_256(_resample(rgb, room, *factors))

    options = list(_list_coarser(rgb.shape[1], room))
    least = bisect_left(
        options, -budget, key=lambda factors: -_count_bytes(reduce(factors), palette=True)
    )
    indices = reduce(options[min(least, len(options) - 1)])
    return Drawing(_build_runs(indices), room.cols, palette=True, is_coarse=True)


def _list_coarser(width: int, room: Fit) -> Iterator[tuple[float, float]]:
    """Yield by how much to reduce the resolution across and down, the least first.

    Every row of cells is sent anyway, so few pixels across are what saves bytes. Down it is enough
    that a pixel fills whole cells, which have one colour then.
    """
    side = max(room.down, 1.0)
    whole = 2 * ceil(side / 2) / side
    across = 1.0
    while across <= 2 * width:
        if across * whole > 1:
            yield across, whole
        across += 0.5 if across < 4 else across / 4


_BAND = 1 << 20  # pixels of a band


def _resample(rgb: np.ndarray, room: Fit, across: float = 1, down: float = 1) -> np.ndarray:
    """Resample `rgb` to half cells, uint8 [2 * rows, cols, 3], in pixels so many times larger."""
    # In bands, so that the numbers for the means of a large image take little memory.
    columns = max(1, _BAND // len(rgb))
    tall = np.concatenate(
        [
            _resample_axis(
                rgb[:, left : left + columns].astype(np.float32), 2 * room.rows, room.down, down
            )
            for left in range(0, rgb.shape[1], columns)
        ],
        axis=1,
    )
    wide = _resample_axis(tall.swapaxes(0, 1), room.cols, room.across, across)
    return wide.swapaxes(0, 1).round().astype(np.uint8)


def _resample_axis(values: np.ndarray, size: int, scale: float, coarser: float) -> np.ndarray:
    """Resample the first axis to `size`: means of the pixels to shrink it, copies to enlarge it."""
    length = len(values)
    step = max(scale, 1.0) * coarser  # the length of a resulting pixel
    count = min(length, ceil(size / step))
    if count < length:
        # The area under the values up to each edge; its differences are the means.
        sums = np.concatenate((np.zeros_like(values[:1]), values.cumsum(axis=0)))
        edges = np.linspace(0, length, count + 1)
        whole = np.minimum(edges.astype(np.int64), length - 1)
        share = (edges - whole).astype(np.float32)[:, None, None]
        values = np.diff(sums[whole] + share * values[whole], axis=0) * np.float32(count / length)
    if count == size:
        return values
    copies = np.minimum((np.arange(size) / step).astype(np.int64), count - 1)
    return values[copies]


def _round_colours(pixels: np.ndarray, step: int) -> np.ndarray:
    if step == 1:
        return pixels
    return np.minimum((pixels.astype(np.int32) + step // 2) // step * step, 255)


def _pack(pixels: np.ndarray) -> np.ndarray:
    wide = pixels.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _find_run_starts(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return where runs of one style begin: bool [rows, cols]."""
    first = np.ones(top.shape, dtype=bool)
    first[:, 1:] = (top[:, 1:] != top[:, :-1]) | (bottom[:, 1:] != bottom[:, :-1])
    return first


def _count_bytes(colours: np.ndarray, *, palette: bool) -> int:
    """Count the bytes of the image as Textual writes it: a code and a reset for each run."""
    top, bottom = colours[0::2], colours[1::2]
    first = _find_run_starts(top, bottom)
    split = top != bottom
    code = np.where(split, _count_code_bytes(top, palette) + 1, 0) + _count_code_bytes(
        bottom, palette
    )
    wrapping = len("\x1b[m") + _RESET_BYTES
    runs = int((code + wrapping)[first].sum())
    text = top.size + int(split.sum()) * (_HALF_BLOCK_BYTES - 1)
    return runs + text + top.shape[0] * _ROW_BYTES


def _count_code_bytes(colours: np.ndarray, palette: bool) -> np.ndarray:
    """Return the length of `48;5;n` or `48;2;r;g;b` for each colour."""
    if palette:
        return len("48;5;") + _count_digits(colours)
    red, green, blue = colours >> 16, colours >> 8 & 255, colours & 255
    return len("48;2;;;") + _count_digits(red) + _count_digits(green) + _count_digits(blue)


def _count_digits(numbers: np.ndarray) -> np.ndarray:
    return 1 + (numbers >= 10).astype(np.int32) + (numbers >= 100)


def _build_runs(colours: np.ndarray) -> list[list[Run]]:
    top, bottom = colours[0::2], colours[1::2]
    first = _find_run_starts(top, bottom)
    rows = []
    for above, below, begins in zip(top.tolist(), bottom.tolist(), first, strict=True):
        edges = [*np.flatnonzero(begins).tolist(), len(above)]
        row = []
        for start, end in pairwise(edges):
            fg, bg = above[start], below[start]
            same = fg == bg
            text = (" " if same else _HALF_BLOCK) * (end - start)
            row.append(Run(text, None if same else fg, bg))
        rows.append(row)
    return rows


def _draw_ramp(pixels: np.ndarray) -> Drawing:
    """Draw luminance as characters, one per cell, without colour."""
    cells = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1], 3).mean(axis=1)
    shade = (compute_luminance(cells) / 255 * (len(RAMP) - 1)).round().astype(np.int32)
    rows = [[Run("".join(RAMP[level] for level in levels), None, None)] for levels in shade]
    return Drawing(rows, pixels.shape[1], palette=True)


# --- Images on standard output ----------------------------------------------------------------

_UNLIMITED_ROWS = 1 << 20
_RESET = "\x1b[0m"


def draw_ansi(rgb: np.ndarray, mode: ColourMode, cols: int) -> str:
    """Return `rgb`, uint8 [H, W, 3], as lines of at most `cols` cells, each with a newline.

    Every line resets its colours, so the text can be cut after any line. In mode `ascii` there
    are no escape codes.
    """
    height, width = rgb.shape[:2]
    drawing = draw(rgb, fit(width, height, cols, _UNLIMITED_ROWS), mode, budget=None)
    return "".join(_format_line(row, drawing) for row in drawing.rows)


def _format_line(row: list[Run], drawing: Drawing) -> str:
    if all(run.fg is None and run.bg is None for run in row):
        return "".join(run.text for run in row).rstrip() + "\n"
    return "".join(_format_run(run, drawing.palette) for run in row) + _RESET + "\n"


def _format_run(run: Run, palette: bool) -> str:
    codes = [
        _format_code(ground, colour, palette)
        for ground, colour in ((38, run.fg), (48, run.bg))
        if colour is not None
    ]
    return (f"\x1b[{';'.join(codes)}m" if codes else _RESET) + run.text


def _format_code(ground: int, colour: int, palette: bool) -> str:
    """Return the SGR code of `colour`; `ground` is 38 for the foreground, 48 for the background."""
    if not palette:
        return f"{ground};2;{colour >> 16};{colour >> 8 & 255};{colour & 255}"
    if colour >= 16:
        return f"{ground};5;{colour}"
    return str(ground - 8 + colour if colour < 8 else ground + 44 + colour)


# --- Waveforms --------------------------------------------------------------------------------


def draw_waveform(pcm: NDArray[np.int16], cols: int, rows: int) -> list[str]:
    """Draw samples, int16 [N], in `cols` × `rows` cells: the minimum and maximum per dot column.

    The loudest sample has the full height; silence is a line in the middle.
    """
    columns, dots = cols * DOTS_ACROSS, rows * DOTS_DOWN
    middle = (dots - 1) / 2
    edges = np.linspace(0, len(pcm), columns + 1).astype(np.int64)
    starts = np.minimum(edges[:-1], max(0, len(pcm) - 1))
    samples = pcm.astype(np.float64) if len(pcm) else np.zeros(1)
    # With fewer samples than columns, a sample fills several columns.
    high = np.maximum.reduceat(samples, starts)
    low = np.minimum.reduceat(samples, starts)
    loudest = max(1.0, float(np.abs(samples).max()))
    canvas = Canvas(cols, rows)
    canvas.spans(middle - high / loudest * middle, middle - low / loudest * middle, 0)
    return ["".join(text for text, _ in line) for line in canvas.lines()]
