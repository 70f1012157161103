"""How the watermark in the initial noise is found in an image.

The image is inverted to noise by the model that its recipe names. Without a recipe the models at
hand are tried. It may be the middle of what was drawn, so several sizes are tried too. All of this
is paid for in p.
"""

import io
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from genui.base.errors import GenuiError
from genui.base.files import read_regular, show
from genui.base.watermarks import Reading, Search, correct
from genui.engine.data.images import as_floats
from genui.engine.load import find_and_load
from genui.engine.loaders import try_models
from genui.engine.models.dit import DIT_SIDE
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import ImageMedium
from genui.engine.sample.noise_watermark import (
    PATTERNS,
    Noise,
    correlate,
    count_places,
    crop,
    find_chance,
)
from genui.formats import codec
from genui.formats.image import decode_frame, image_errors, open_image, seek_frames
from genui.formats.recipe import MAX_BYTES

Pixels = NDArray[np.uint8]

FINE = 8  # steps a pixel in which a part is placed

STAGES = ((1.0,), (0.95, 0.9, 0.85))
"""The shares of its side that are tried, by stages. These share the error equally, so that a whole
image pays little for the parts."""


def complete(pixels: Pixels, share: float) -> Pixels:
    """The image of the model's size that has `pixels` [H, W, 3] as the middle of this share of its
    side, with its edge repeated around it."""
    side = round(DIT_SIDE * FINE * share)
    rest = DIT_SIDE * FINE - side
    margin = rest // 2, rest - rest // 2
    part = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    whole = Image.fromarray(np.pad(np.asarray(part), (margin, margin, (0, 0)), "edge"))
    return np.asarray(whole.resize((DIT_SIDE, DIT_SIDE), Image.Resampling.BOX))


def read(search: Search) -> list[Reading]:
    """Invert an image, of an animation the last one; a row of `Watermark`. A file of several images
    is not read.

    Raises GenuiError, one line that names the file, if it is no image or too large.
    """
    pixels, recorded = _read_pixels(search.path), ""
    with suppress(GenuiError):
        recipe = codec.read(search.path).recipe
        recorded = recipe.model
        if recipe.count > 1 or recipe.grid:
            return []

    def count(noise: Noise, key: int) -> tuple[float, int]:
        return measure(noise, key), count_places(noise.shape[1:])

    noises = try_models("noise", search, recorded, lambda model: invert(model.ref, pixels))
    return [partial(count, noise) for noise in noises]


def invert(model: str, pixels: Pixels) -> Noise:
    """The initial noise of an image [H, W, 3] as each share of the stages in turn, without the
    border of the model, whose kind has the watermark: [shares, C, H, H]."""
    generator = find_and_load(model)
    assert isinstance(generator, DiffusionGenerator)
    medium = generator.medium
    assert isinstance(medium, ImageMedium)
    rgb = [complete(pixels, share) for shares in STAGES for share in shares]
    x = torch.from_numpy(as_floats(np.stack(rgb)))
    x = x if medium.shape[0] == x.shape[1] else x.mean(dim=1, keepdim=True)
    return crop(generator.invert(x).float().cpu().numpy(), medium.border)


def measure(noise: Noise, key: int) -> float:
    """The probability that an unmarked image, [shares, C, H, H], scores as high in any of them."""
    tries = [PATTERNS * len(shares) * len(STAGES) for shares in STAGES for _ in shares]
    best = correlate(noise, key).max(axis=1).tolist()
    places = count_places(noise.shape[1:])
    return min(correct(find_chance(r, places), n) for r, n in zip(best, tries, strict=True))


def _read_pixels(path: Path) -> Pixels:
    """The last image of a file, [H, W, 3]."""
    data = read_regular(path, MAX_BYTES, "give a smaller one")
    try:
        with image_errors(), open_image(io.BytesIO(data)) as image:
            *_, _ = seek_frames(image)  # stays at the last
            return decode_frame(image)
    except ValueError as error:
        raise GenuiError(f"{show(path)}: {error}") from None
