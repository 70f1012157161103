"""Samples that other tools logged: images, texts, tables, sounds and histograms, as text and image.

The files come from someone else: each is read up to LARGEST bytes, and one that cannot be read
becomes a line of text.
"""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.base.files import open_regular
from genui.base.text import align_columns
from genui.logs.base import Media
from genui.render.image import apply_colour_map, draw_spectrogram

Pixels = NDArray[np.uint8]

LARGEST = 16 * 1024 * 1024
"""Bytes of one sample."""

MAX_IMAGES = 16  # of one step, and
MAX_MAPS = 4  # heat maps
MAX_ROWS = 50  # of a table
_SIDE = 512  # pixels; larger images are made smaller if there are several
_GAP, _SHADE = 2, 40  # pixels between images, and their shade of grey
_LONGEST_TEXT = 64 * 1024  # characters
_LONGEST_CELL = 200
_MAP_WIDTH, _MAP_HEIGHT = 192, 48  # pixels of a heat map
_LINE = 96  # pixels of each side of a curve


def compose(media: Sequence[Media]) -> tuple[str, Pixels | None]:
    """All samples of one step: a text, and one image [H, W, 3] or None."""
    lines: list[str] = []
    images: list[Pixels] = []
    maps = 0
    for one in media:
        title = f"{one.name}: {one.caption}" if one.caption else one.name
        maps += one.kind in ("histogram", "curve")
        if (one.kind == "image" and len(images) >= MAX_IMAGES) or maps > MAX_MAPS:
            continue
        try:
            text, image = _load(one)
        except (GenuiError, OSError, ValueError, KeyError, TypeError) as error:
            text, image = f"cannot be read ({error})", None
        if not title:  # of a run of genui: its file is all there is to say
            lines.append(text)
        else:
            lines.append(f"{title}\n{text}\n" if "\n" in text else f"{title}  {text}".rstrip())
        if image is not None:
            images.append(image)
    hidden = len(media) - len(lines)
    if hidden > 0:
        lines.append(f"and {hidden} more")
    return "\n".join(filter(None, lines)), tile(images)


def tile(images: Sequence[Pixels]) -> Pixels | None:
    """Images side by side in rows, on grey; None without any."""
    if len(images) < 2:
        return images[0] if images else None
    images = [_shrink(image) for image in images]
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    # About twice as wide as high, as a panel is.
    columns = max(1, min(len(images), round((2 * len(images) * height / width) ** 0.5)))
    rows = -(-len(images) // columns)
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    canvas = np.full(shape, _SHADE, np.uint8)
    for number, image in enumerate(images):
        y, x = number // columns * (height + _GAP), number % columns * (width + _GAP)
        scale = min(height // image.shape[0], width // image.shape[1])
        image = image.repeat(scale, axis=0).repeat(scale, axis=1)
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def _shrink(image: Pixels) -> Pixels:
    stride = -(-max(image.shape[:2]) // _SIDE)
    return image[::stride, ::stride]


def _load(media: Media) -> tuple[str, Pixels | None]:
    """The text and the image of a sample. Raises GenuiError, OSError, ValueError and others."""
    if media.kind == "histogram":
        return "", cast("Histograms", media.content).heat_map(media.step)
    if media.kind == "curve":
        return "", draw_curve(*media.content)
    if media.kind == "table" and media.content is not None:
        return format_table(media.content), None
    if media.kind == "file":
        return str(media.path), None
    data = _read(media)
    if media.kind == "image":
        from genui.formats.image import read_still  # brings Pillow

        return "", read_still(BytesIO(data))
    if media.kind == "audio":
        return _sound(data)
    if media.kind == "table":
        return format_table(json.loads(data)), None
    return data.decode(errors="replace")[:_LONGEST_TEXT], None


def _read(media: Media) -> bytes:
    if not media.path.is_file():
        raise ValueError("not beside the log")
    with open_regular(media.path, GenuiError("not a regular file")) as file:
        file.seek(media.start)
        data = file.read(LARGEST + 1 if media.size < 0 else min(media.size, LARGEST + 1))
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST // 2**20} MiB")
    return data


def _sound(data: bytes) -> tuple[str, Pixels]:
    """What a WAV file is, and its spectrogram."""
    from genui.formats.audio import decode_wav  # only for a sound

    sound = decode_wav(data)
    text = f"{len(sound.samples) / sound.rate:.2f} s, {sound.rate:,} Hz"
    return text, draw_spectrogram(sound.samples)


def format_table(table: Any) -> str:
    """A table of W&B, {"columns": […], "data": [[…], …]}, in columns."""
    names = [str(name) for name in table["columns"]]
    rows = [[_cell(cell) for cell in row[: len(names)]] for row in table["data"][:MAX_ROWS]]
    more = len(table["data"]) - len(rows)
    lines = align_columns([names, *rows])
    return "\n".join([*lines, *([f"and {more} more rows"] if more > 0 else [])])


def _cell(cell: object) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path") or cell.get("_type") or cell
    return " ".join(str(cell)[:_LONGEST_CELL].split())


def draw_curve(x: Sequence[float], y: Sequence[float]) -> Pixels:
    """A line through points from 0 to 1, upwards, as of precision over recall."""
    image = np.full((_LINE, _LINE, 3), 24, np.uint8)
    order = np.argsort(x, kind="stable")
    columns = np.linspace(0, 1, _LINE)
    heights = np.interp(columns, np.asarray(x)[order], np.asarray(y)[order])
    rows = np.rint((1 - heights.clip(0, 1)) * (_LINE - 1)).astype(int)
    for column, (before, row) in enumerate(zip(np.append(rows[:1], rows), rows, strict=False)):
        image[min(before, row) : max(before, row) + 1, column] = 200
    return image


class Histograms:
    """The histograms of one name over time. Those of many steps are thinned out."""

    MAX_HISTOGRAMS = 256
    MAX_COUNTS = 512

    def __init__(self) -> None:
        self._items: list[tuple[int, NDArray[np.float32], NDArray[np.float32]]] = []
        self._stride = 1
        self._count = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, step: int, edges: Sequence[float], counts: Sequence[float]) -> bool:
        """Adds the counts [N] between the edges [N + 1]; False if they are none, or left out."""
        try:
            with np.errstate(over="ignore"):
                edges_array = np.asarray(edges, float).astype(np.float32)
                counts_array = np.asarray(counts, float).astype(np.float32)
        except (TypeError, ValueError):  # no numbers
            return False
        if counts_array.ndim != 1 or not 1 <= len(counts_array) <= self.MAX_COUNTS:
            return False
        if edges_array.shape != (len(counts_array) + 1,):
            return False
        if not (np.isfinite(edges_array).all() and np.isfinite(counts_array).all()):
            return False
        if (np.diff(edges_array) < 0).any() or (counts_array < 0).any():
            return False
        self._count += 1
        if (self._count - 1) % self._stride:
            return False
        self._items.append((step, edges_array, counts_array))
        if len(self._items) > self.MAX_HISTOGRAMS:
            self._items = self._items[::2]
            self._stride *= 2
        return True

    def forget_after(self, step: int) -> None:
        """Drops the histograms of steps later than `step`."""
        self._items = [item for item in self._items if item[0] <= step]

    def heat_map(self, until: int) -> Pixels:
        """A column for each step up to `until`, the values upwards, more counts brighter."""
        items = sorted((item for item in self._items if item[0] <= until), key=lambda one: one[0])
        items = items[:: -(-len(items) // _MAP_WIDTH) or 1]
        if not items:
            raise ValueError("no histogram by then")
        low = min(float(edges[0]) for _, edges, _ in items)
        high = max(float(edges[-1]) for _, edges, _ in items)
        if not low < high:
            low, high = low - 0.5, high + 0.5
        rows = np.linspace(low, high, _MAP_HEIGHT + 1)
        columns: list[NDArray[np.float64]] = []
        for _, edges, counts in items:
            below = np.concatenate(([0.0], np.cumsum(counts, dtype=float)))
            share = np.diff(np.interp(rows, edges, below))
            columns.append(share / max(float(share.max()), 1e-30))
        image = apply_colour_map((2 * np.sqrt(np.array(columns).T[::-1]) - 1).astype(np.float32))
        return image.repeat(max(1, _MAP_WIDTH // len(columns)), axis=1)
