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


def draw(picture: "NDArray[np.uint8]") -> None:
    """An [H, W, 3] picture in the colours this terminal has."""
    from genui.render.ansi import picture_to_ansi
    from genui.render.colour import detect

    mode = detect(os.environ, sys.stdout.isatty())
    print(picture_to_ansi(picture, mode, columns()), flush=True)
