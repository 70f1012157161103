"""Image files as images of the size of the models. Nothing in them is trusted."""

import io
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genui.base.errors import MisuseError
from genui.base.files import read_regular, show
from genui.formats.image import image_errors, open_image, strips

Result = TypeVar("Result")

SIDE = 32  # pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")

MAX_IMAGE_BYTES = 64 * 2**20

LARGE_PIXELS = 4_000_000
"""A larger image is decoded alone, whatever the number of threads: it may take 4 bytes a pixel."""

_decoding_large = threading.Lock()
_opening = threading.Lock()  # it changes the filters of warnings, which all threads share


class Square(NamedTuple):
    """An image in the size of the models, and the changes that made it fit."""

    rgba: NDArray[np.uint8]  # [side, side, 4]
    changes: tuple[str, ...]  # such as "96×64 fitted to 32×32"


def read_image(
    source: Path | bytes, use: Callable[[Image.Image, str], Result], name: str = ""
) -> Result:
    """What `use` makes of an image, RGBA and upright, and of its mode in the file.

    Raises MisuseError, which begins with the `name` or that of the file. An image that is too large
    is refused before it is decoded.
    """
    name = name or show(cast("Path", source))
    if isinstance(source, Path):
        remedy = f"name an image file of at most {MAX_IMAGE_BYTES >> 20} MB"
        source = read_regular(source, MAX_IMAGE_BYTES, remedy, MisuseError)
    try:
        with image_errors():
            with _opening:
                opened = open_image(io.BytesIO(source))
            is_large = opened.width * opened.height > LARGE_PIXELS
            with opened, _decoding_large if is_large else nullcontext():
                mode = opened.mode
                ImageOps.exif_transpose(opened, in_place=True)
                return use(_rgba(opened), mode)
    except ValueError as error:
        raise MisuseError(f"{name}: {error}") from None


def read_square(source: Path | bytes, name: str = "", side: int = SIDE) -> Square:
    """Read an image as `read_image`, pad it to a square and scale it to that side."""
    return read_image(source, lambda image, mode: _fit(image, mode, side), name)


def _fit(image: Image.Image, mode: str, side: int) -> Square:
    """The image in the size of the models; `mode` is its mode in the file."""
    hard_edged = max(image.size) < side or _is_enlarged_pixel_art(image, side)
    resampling = Image.Resampling.NEAREST if hard_edged else Image.Resampling.LANCZOS
    square = fit_square(image, resample=resampling, side=side)
    return Square(square, _changes(image, mode, side))


def _changes(image: Image.Image, mode: str, side: int) -> tuple[str, ...]:
    """Describe the changes that made the image fit; `mode` is its mode in the file."""
    changes = []
    if image.size != (side, side):
        changes.append(f"{image.width}×{image.height} fitted to {side}×{side}")
    if mode.startswith("I"):
        changes.append("16 bits reduced to 8")
    if min(image.getchannel("A").getextrema()) < 255:  # type: ignore[type-var]
        changes.append("transparent areas filled")
    return tuple(changes)


def _rgba(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image.convert("RGBA")
    grey = Image.new("L", image.size)  # 16 bits, which convert() would clip to white
    for top, strip in strips(image):
        values = np.rint(np.asarray(strip).astype(np.float64) / 257)
        grey.paste(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), (0, top))
    return grey.convert("RGBA")


def _is_enlarged_pixel_art(image: Image.Image, side: int) -> bool:
    """Whether it consists of side × side square blocks of one colour each."""
    factor = image.width // side
    if image.size != (factor * side, factor * side):
        return False
    for top in range(0, image.height, factor):
        row = np.asarray(image.crop((0, top, image.width, top + factor)))
        if (row != row[:1, ::factor].repeat(factor, axis=1)).any():
            return False
    return True


_HIGH = 4096
"""A narrow image higher than this is resized without the empty pixels beside it, which would take
seconds, and centred to a whole pixel."""


def fit_square(
    image: Image.Image,
    margin: int = 0,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
    side: int = SIDE,
) -> NDArray[np.uint8]:
    """Fit the whole image into a transparent square, its longer side `margin` pixels from the
    edges.

    Returns [side, side, 4] for mode RGBA and [side, side] for mode L.
    """
    longest, inner = max(image.size), side - 2 * margin
    left, top = (longest - image.width) // 2, (longest - image.height) // 2
    smooth = image.mode == "RGBA" and resample != Image.Resampling.NEAREST and longest != inner
    mode = "RGBa" if smooth else image.mode  # colours count by their opacity
    # As one resize of the square, which of a long image would take gigabytes: each row first and
    # then the columns, as Pillow does.
    columns = Image.new(mode, (inner, longest))
    is_high = image.height > max(_HIGH, 8 * image.width)
    width = max(1, round(inner * image.width / longest)) if is_high else inner
    for row, strip in strips(image, 8 * inner if is_high else longest):
        if not is_high:
            whole = Image.new(image.mode, (longest, strip.height))
            whole.paste(strip, (left, 0))
            strip = whole
        narrow = strip.convert(mode).resize((width, strip.height), resample)
        columns.paste(narrow, ((inner - width) // 2, top + row))
    result = Image.new(image.mode, (side, side))
    result.paste(columns.resize((inner, inner), resample).convert(image.mode), (margin, margin))
    return np.asarray(result)
