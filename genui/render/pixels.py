"""Images as PNG and sixel data, within a budget of bytes, for terminals that show pixels.

A terminal that decodes PNG enlarges an image itself, but blurs it. So it gets each pixel several
times, which compresses well, or fewer pixels if the image takes too many bytes. Sixel data has the
final size. Its colours are reduced until it is small enough.
"""

import base64
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from genui.render.image import Fit

_LEAST_SCALE = 1.5  # of a copied pixel on the screen; smaller ones need no more copies
_FACTORS = {8: 2.5, 4: 1.7, 2: 1.35}  # of enlargement, and how many times the bytes, at least
_PALETTES = (256, 64, 16)
_SMALL = 64 * 64  # pixels
_MAX_REDUCED = 3.0  # by how much fewer colours reduce the bytes, at most
_MARGIN = 0.9  # of the size that is predicted to fit
_MAX_SHRINKS = 3


class Encoded(NamedTuple):
    """The data of an image. With a larger budget it would be better if `is_reduced`, and have more
    pixels if `is_coarse`."""

    data: str
    is_reduced: bool = False
    is_coarse: bool = False


def fit_pixels(width: int, height: int, cols: int, rows: int, aspect: float) -> Fit:
    """Choose the largest scale at which an image fits in `cols` × `rows` cells, by any factor.

    `aspect` is the height of a cell divided by its width.
    """
    cols, rows = max(cols, 1), max(rows, 1)
    across = min(cols / width, rows * aspect / height)
    size = (max(1, round(across * width)), max(1, round(across * height / aspect)))
    return Fit(across, 2 * across / aspect, *size)


def mix(rgb: np.ndarray, colour: tuple[int, int, int], share: float) -> np.ndarray:
    """Mix `rgb`, uint8 [H, W, 3], with a share, 0 to 1, of `colour`."""
    if not share:
        return rgb
    return (rgb + share * (np.array(colour) - rgb)).round().astype(np.uint8)


def encode_png(rgb: np.ndarray, size: tuple[int, int], budget: int) -> Encoded | None:
    """Encode `rgb`, uint8 [H, W, 3], as base64 of a PNG of at most `budget` bytes.

    It is shown in `size`, columns and rows of pixels. Returns None if it does not fit.
    """
    if rgb.shape[1] > size[0] and rgb.shape[0] > size[1]:
        rgb = _resize(rgb, size)
    data = _save_png(rgb)
    shrink = 1.0
    for _ in range(_MAX_SHRINKS):
        if len(data) <= budget:
            break
        shrink *= _MARGIN * (budget / len(data)) ** 0.5
        height, width = (max(1, round(shrink * length)) for length in rgb.shape[:2])
        data = _save_png(_resize(rgb, (width, height)))
    if len(data) > budget:
        return None
    if shrink < 1:
        return Encoded(data, is_reduced=True, is_coarse=True)
    factors = _list_factors(rgb, size)
    for factor in factors:
        if _FACTORS[factor] * len(data) <= budget:
            larger = _save_png(rgb.repeat(factor, axis=0).repeat(factor, axis=1))
            if len(larger) <= budget:
                return Encoded(larger, is_reduced=factor != factors[0])
    return Encoded(data, is_reduced=bool(factors))


def _list_factors(rgb: np.ndarray, size: tuple[int, int]) -> list[int]:
    """List by how much an image may be enlarged for `size`, the most first."""
    return [factor for factor in _FACTORS if _LEAST_SCALE * factor * rgb.shape[1] <= size[0]]


def encode_stretched_png(rgb: np.ndarray, size: tuple[int, int], budget: int) -> Encoded | None:
    """Encode as `encode_png`, with the proportions of `size`, for a terminal that keeps them."""
    factors = _list_factors(rgb, size)
    least = len(_save_png(rgb))
    for factor in factors:
        if _FACTORS[factor] * least > budget:
            continue
        data = _save_png(_stretch(rgb, size, factor))
        if len(data) <= budget:
            return Encoded(data, is_reduced=factor != factors[0])
    stretched = _stretch(rgb, size, 1)
    encoded = encode_png(stretched, (stretched.shape[1], stretched.shape[0]), budget)
    return encoded and encoded._replace(is_reduced=encoded.is_reduced or bool(factors))


def _stretch(rgb: np.ndarray, size: tuple[int, int], factor: int) -> np.ndarray:
    """Repeat each pixel at least `factor` times, if it fits, to the proportions of `size`."""
    share = min(1.0, factor * max(rgb.shape[1] / size[0], rgb.shape[0] / size[1]))
    width, height = (max(1, round(share * length)) for length in size)
    if width < rgb.shape[1] or height < rgb.shape[0]:
        return _resize(rgb, (width, height))
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.NEAREST))


def _save_png(rgb: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _resize(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to `size`, columns and rows of pixels, by the means of what each covers."""
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


# --- Sixel ------------------------------------------------------------------------------------
# DEC's VT330/VT340 Graphics Programming, chapter 14. A band is six rows of pixels. Its colours are
# drawn one after the other over the same band: a character is six pixels of a column, `?` for none
# plus a bit for each; `!n` before it repeats it; `$` goes back to the start, `-` to the next band.

_BAND = 6
_END = "\x1b\\"
_LEAST_REPEAT = 4  # so many equal characters are shorter as `!n`


def encode_sixel(
    rgb: np.ndarray, size: tuple[int, int], budget: int, colours: int = 256
) -> Encoded | None:
    """Encode `rgb`, uint8 [H, W, 3], enlarged or shrunk to `size`, columns and rows of pixels.

    It has at most `colours` colours, fewer if it takes more than `budget` bytes. Returns None if
    it does not fit then either.
    """
    shape = rgb.shape[:2]
    rgb = _resize(rgb, (min(size[0], shape[1]), min(size[1], shape[0])))
    for count in _PALETTES:
        most = min(count, colours)
        indices, palette = _quantize(rgb, most)
        head = f'\x1bPq"1;1;{size[0]};{size[1]}{_format_palette(palette)}'
        bands, expected = _encode_bands(indices, size, budget - len(head + _END))
        if bands:
            return Encoded(head + bands + _END, is_reduced=most < min(colours, _PALETTES[0]))
        if expected > _MAX_REDUCED * budget:
            break
    return None


def _quantize(rgb: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce `rgb` [H, W, 3] to `count` colours: indices [H, W] and the colours [N, 3]."""
    packed = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    own = np.unique(packed)
    if len(own) <= count:
        palette = np.stack((own >> 16, own >> 8 & 255, own & 255), axis=1)
        return np.searchsorted(own, packed), palette.astype(np.uint8)
    # A better palette takes 0.1 s for large images.
    small = packed.size <= _SMALL
    method = Image.Quantize.MEDIANCUT if small else Image.Quantize.FASTOCTREE
    image = Image.fromarray(rgb).quantize(count, method, dither=Image.Dither.NONE)
    return np.asarray(image), np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)


def _format_palette(palette: np.ndarray) -> str:
    """Return the definitions of colours, in percent of red, green and blue."""
    percent = np.rint(palette / 255 * 100).astype(np.int64).tolist()
    return "".join(f"#{i};2;{red};{green};{blue}" for i, (red, green, blue) in enumerate(percent))


def _encode_bands(indices: np.ndarray, size: tuple[int, int], budget: int) -> tuple[str, float]:
    """Return the bands of palette `indices` [H, W], "" if they take more than `budget` bytes, and
    about how many they take."""
    width, height = size
    rows = (np.arange(height) * indices.shape[0] // height).tolist()
    edges = -(-np.arange(indices.shape[1] + 1) * width // indices.shape[1])  # of each column
    bands: list[str] = []
    known: dict[tuple[int, ...], str] = {}
    length = 0
    for top in range(0, height, _BAND):
        band = tuple(rows[top : top + _BAND])
        if band not in known:
            known[band] = _encode_band(indices[list(band)], edges)
        bands.append(known[band])
        length += len(bands[-1]) + bool(top)
        if length > budget:
            return "", length * height / (top + _BAND)
    return "-".join(bands), length


def _encode_band(band: np.ndarray, edges: np.ndarray) -> str:
    """Return the data of at most six rows of indices [rows, W] with columns between `edges`."""
    colours = np.unique(band)
    bits = 1 << np.arange(len(band))
    masks = ((band == colours[:, None, None]) * bits[:, None]).sum(axis=1)  # [colours, W]
    changed = np.ones_like(masks, bool)
    changed[:, 1:] = masks[:, 1:] != masks[:, :-1]
    layer, column = np.nonzero(changed)
    last = np.append(layer[1:] != layer[:-1], True)
    counts = edges[np.where(last, masks.shape[1], np.append(column[1:], 0))] - edges[column]
    runs = zip(
        layer.tolist(), masks[layer, column].tolist(), counts.tolist(), last.tolist(), strict=True
    )
    layers = [f"#{colour}" for colour in colours.tolist()]
    for number, mask, count, is_last in runs:
        if mask or not is_last:  # the rest of a band may be left as it is
            char = chr(63 + mask)
            layers[number] += f"!{count}{char}" if count >= _LEAST_REPEAT else char * count
    return "$".join(layers)
