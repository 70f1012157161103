"""One picture file, of a user's own, read into a square of 32×32 pixels. It is not trusted."""

import stat
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from genui.engine.data.fitting import fit_square
from genui.engine.data.pictures import SIDE

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_BYTES = 64 * 2**20


class UnusableError(Exception):
    """The file cannot be used; the message says why and what to do, and leaves out its name."""


class Square(NamedTuple):
    """A picture as it can be used, and what was done to make it so."""

    rgba: NDArray[np.uint8]  # [32, 32, 4]
    changes: tuple[str, ...]  # as "96×64 fitted to 32×32"


def read_square(path: Path, most_pixels: int) -> Square:
    """The picture, upright, padded to a square and fitted to 32×32.

    Raises UnusableError; one of more than `most_pixels` is refused before it is decoded.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnusableError("no such file; check its name") from None
    except (OSError, ValueError):  # closed to us, or no name a file can have
        raise UnusableError("cannot be reached; check its name and permissions") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError("is a folder; name a picture file")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("is no ordinary file; name a picture file")
    if status.st_size > MOST_BYTES:
        raise UnusableError(f"larger than {MOST_BYTES >> 20} MiB; make it smaller")
    try:
        picture, mode = _opened(path, most_pixels)
    except Image.DecompressionBombError:
        raise UnusableError(f"more than {most_pixels:,} pixels; make it smaller") from None
    except PermissionError:
        raise UnusableError("may not be read; change its permissions") from None
    except UnidentifiedImageError:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UnusableError(f"is no picture this can read; use a {known}") from None
    except Exception:  # a broken file makes Pillow's decoders raise nearly anything
        raise UnusableError("is broken or cut off; replace it with a whole one") from None
    hard_edged = max(picture.size) < SIDE or _is_enlarged_pixel_art(picture)
    resampling = Image.Resampling.NEAREST if hard_edged else Image.Resampling.LANCZOS
    return Square(fit_square(picture, resample=resampling), _changes(picture, mode))


def _changes(picture: Image.Image, mode: str) -> tuple[str, ...]:
    """What a person should know of the fitting; `mode` is the picture's as it was stored."""
    changes = []
    if picture.size != (SIDE, SIDE):
        changes.append(f"{picture.width}×{picture.height} fitted to {SIDE}×{SIDE}")
    if mode.startswith("I"):
        changes.append("16 bits made 8")
    if min(picture.getchannel("A").getextrema()) < 255:  # type: ignore[type-var]
        changes.append("what is transparent filled")
    return tuple(changes)


def _opened(path: Path, most_pixels: int) -> tuple[Image.Image, str]:
    """The picture as RGBA, and its mode in the file."""
    with warnings.catch_warnings():
        # Pillow's own limits: the error is an error, the warning comes below `most_pixels`.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as opened:  # reads no more than the header
            if opened.width * opened.height > most_pixels:
                raise Image.DecompressionBombError
            return _rgba(ImageOps.exif_transpose(opened)), opened.mode


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert() would clip to white
        grey = np.asarray(picture).astype(np.float64) / 257
        picture = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return picture.convert("RGBA")


def _is_enlarged_pixel_art(picture: Image.Image) -> bool:
    """Whether it is a square of 32×32 blocks of one colour each."""
    factor = picture.width // SIDE
    if picture.size != (factor * SIDE, factor * SIDE):
        return False
    pixels = np.asarray(picture)
    blocks = pixels[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1)
    return np.array_equal(pixels, blocks)
