"""Pictures on stdout."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def columns() -> int:
    """Cells in a row; 80 where there is no terminal."""
    return shutil.get_terminal_size().columns


def speaks_unicode() -> bool:
    """Whether stdout can carry half-blocks."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def draw(picture: "NDArray[np.uint8]") -> None:
    """An [H, W, 3] picture in the colours this terminal has.

    As large as it fits on one screen, but made smaller only where it is too wide.
    """
    from genui.render.ansi import picture_to_ansi
    from genui.render.colour import detect
    from genui.render.halfblocks import fit

    height, width, _ = picture.shape
    screen = shutil.get_terminal_size()
    enlarged = fit(width, height, screen.columns, screen.lines - 2).scale * width
    mode = detect(os.environ, sys.stdout.isatty()) if speaks_unicode() else "ascii"
    print(picture_to_ansi(picture, mode, min(screen.columns, enlarged)), end="", flush=True)
