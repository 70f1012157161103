"""`--mask FILE`: where a picture may change."""

from pathlib import Path

import numpy as np

from genui.errors import MisuseError


def read(path: Path) -> bytes:
    """One byte a pixel, 1 where the file is white; a picture of another size is made to fit.

    Raises MisuseError where the file is no picture, or nothing or all of it is white.
    """
    from genui.engine.data.picture_file import UnusableError, read_square
    from genui.engine.generate.picture_start import MOST_PIXELS

    try:
        rgba = read_square(path, MOST_PIXELS).rgba
    except UnusableError as reason:
        raise MisuseError(f"--mask {path}: {reason}") from None
    # What is transparent is black: it was not painted.
    light = rgba[..., :3].astype(np.float32).mean(axis=-1) * (rgba[..., 3] / 255)
    white = light >= 128
    if not white.any():
        raise MisuseError(f"--mask {path}: nothing in it is white; paint white what may change")
    if white.all():
        raise MisuseError(f"--mask {path}: all of it is white; leave black what is to stay")
    return white.astype(np.uint8).tobytes()
