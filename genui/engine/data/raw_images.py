"""Images as the loader of a dataset returns them, and how an image becomes one of them."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.formats.image import strips

SIDE = 32  # pixels


class RawImages(NamedTuple):
    """What `load` of a row returns, as this or as a plain tuple."""

    rgba: NDArray[np.uint8]  # [N, 32, 32, 4], alpha not premultiplied
    captions: tuple[str, ...]  # lower case, one space between words
    test: int = 0  # the last so many images are the dataset's own test set
    fingerprint: str = ""  # computed from the arrays if it is empty


def fingerprint(rgba: NDArray[np.uint8], captions: Sequence[str]) -> str:
    """16 hexadecimal digits that change when any image or caption does."""
    digest = hashlib.sha256(np.ascontiguousarray(rgba).tobytes())
    digest.update("\n".join(captions).encode())
    return digest.hexdigest()[:16]


_HIGH = 4096
"""A narrow image higher than this is resized without the empty pixels beside it, which would take
seconds, and centred to a whole pixel."""


def fit_square(
    image: Image.Image, margin: int = 0, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> NDArray[np.uint8]:
    """Fit the whole image into a transparent square, its longer side `margin` pixels from the
    edges.

    Returns [32, 32, 4] for mode RGBA and [32, 32] for mode L.
    """
    longest, inner = max(image.size), SIDE - 2 * margin
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
    result = Image.new(image.mode, (SIDE, SIDE))
    result.paste(columns.resize((inner, inner), resample).convert(image.mode), (margin, margin))
    return np.asarray(result)
