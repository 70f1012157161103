"""Any picture into a square of 32×32 pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genui.engine.data.pictures import SIDE


def fit_square(
    picture: Image.Image, margin: int = 0, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> NDArray[np.uint8]:
    """The whole picture, centred on nothing, its longer side `margin` pixels from the edges.

    Returns [32, 32, 4] for mode RGBA and [32, 32] for mode L.
    """
    longest = max(picture.size)
    square = Image.new(picture.mode, (longest, longest))
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    inner = SIDE - 2 * margin
    result = Image.new(picture.mode, (SIDE, SIDE))
    result.paste(square.resize((inner, inner), resample), (margin, margin))
    return np.asarray(result)
