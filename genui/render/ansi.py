"""Pictures on standard output, for the commands that draw without the app."""

import numpy as np

from genui.render.colour import ColourMode
from genui.render.halfblocks import Drawing, Run, draw, fit

_UNLIMITED_ROWS = 1 << 20
_RESET = "\x1b[0m"


def picture_to_ansi(rgb: np.ndarray, mode: ColourMode, cols: int) -> str:
    """`rgb` (uint8 [H, W, 3]) as lines of at most `cols` cells, each ended by a newline.

    Every line resets its colours, so the text can be cut at any line. In mode `ascii`
    it holds no escape code at all.
    """
    height, width = rgb.shape[:2]
    drawing = draw(rgb, fit(width, height, cols, _UNLIMITED_ROWS), mode, budget=None)
    return "".join(_line(row, drawing) for row in drawing.rows)


def _line(row: list[Run], drawing: Drawing) -> str:
    if all(run.fg is None and run.bg is None for run in row):
        return "".join(run.text for run in row).rstrip() + "\n"
    return "".join(_coloured(run, drawing.palette) for run in row) + _RESET + "\n"


def _coloured(run: Run, palette: bool) -> str:
    codes = [
        _code(ground, colour, palette)
        for ground, colour in ((38, run.fg), (48, run.bg))
        if colour is not None
    ]
    return (f"\x1b[{';'.join(codes)}m" if codes else _RESET) + run.text


def _code(ground: int, colour: int, palette: bool) -> str:
    """The SGR code of `colour`; `ground` is 38 for the foreground, 48 for the background."""
    if not palette:
        return f"{ground};2;{colour >> 16};{colour >> 8 & 255};{colour & 255}"
    if colour >= 16:
        return f"{ground};5;{colour}"
    return str(ground - 8 + colour if colour < 8 else ground + 44 + colour)
