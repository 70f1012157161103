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
from genui.base.late import late_imports
from genui.base.text import align_columns
from genui.logs.base import Media
from genui.logs.histograms import Histograms
from genui.render.image import draw_spectrogram

with late_imports():
    from genui.formats import audio
    from genui.formats import image as pictures

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
    scales = [min(height // image.shape[0], width // image.shape[1]) for image in images]
    larger = map(pictures.enlarge, images, scales)
    return pictures.sheet(list(larger), columns, _GAP, _SHADE)


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
        return "", pictures.read_still(BytesIO(data))
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
    """The properties of a WAV file, and its spectrogram."""
    sound = audio.decode_wav(data)
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
