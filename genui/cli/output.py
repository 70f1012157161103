"""How commands speak: answers on stdout, remarks on stderr, nothing from disk unsanitised."""

import math
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from genui.base.text import clean, clean_line, escape_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def say(line: str = "") -> None:
    """One line of the answer."""
    print(_one(line))


def note(line: str) -> None:
    """One remark for a person; a script that reads stdout never sees it."""
    print(_one(line), file=sys.stderr, flush=True)


def emit(value: Any, indent: bool = True) -> None:
    """`value` as JSON: indented for one answer, one line for a stream. NaN becomes null.

    What a terminal would obey is escaped: the data stays the same.
    """
    print(escape_json(_encode(value, indent)), flush=True)


def _encode(value: Any, indent: bool) -> str:
    try:
        data = msgspec.json.encode(value, enc_hook=str)
        return (msgspec.json.format(data, indent=2) if indent else data).decode()
    except UnicodeEncodeError:  # a file name that is no text, for which JSON has escapes
        import json  # late, because it is seldom needed

        known = _without_nan(msgspec.to_builtins(value, enc_hook=str))
        return json.dumps(known, indent=2 if indent else None)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """Columns as wide as their widest cell; the columns numbered in `right` align right."""
    from rich.cells import cell_len

    lines = [list(heads), *([clean_line(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(heads))]
    to_right = frozenset(right)
    for line in lines:
        cells = []
        for i, cell in enumerate(line):
            gap = " " * (widths[i] - cell_len(cell))
            cells.append(gap + cell if i in to_right else cell + gap)
        print("  ".join(cells).rstrip())


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Name and value, one fact a line, values under each other."""
    known = [(name, clean_line(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name:{width}}  {value}")


def _one(line: str) -> str:
    """Safe to print and on one line, its spacing kept."""
    return clean(line).replace("\n", " ")


# --- How far a command is, on stderr, where a person looks at it ------------------------------


class Progress:
    """One line that is painted over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def show(self, line: str) -> None:
        """Say how far it is."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave no line behind."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# --- Images on stdout -----------------------------------------------------------------------


def columns() -> int:
    """Cells in a row; 80 where there is no terminal."""
    return shutil.get_terminal_size().columns


def speaks_unicode() -> bool:
    """Whether stdout can carry half-blocks."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def draw(image: "NDArray[np.uint8]") -> None:
    """An [H, W, 3] image in the colours this terminal has.

    As large as it fits on one screen, but made smaller only where it is too wide.
    """
    from genui.render.colours import detect_colours
    from genui.render.image import draw_ansi, fit

    height, width, _ = image.shape
    screen = shutil.get_terminal_size()
    enlarged = fit(width, height, screen.columns, screen.lines - 2).scale * width
    mode = detect_colours(os.environ, sys.stdout.isatty()) if speaks_unicode() else "ascii"
    print(draw_ansi(image, mode, min(screen.columns, enlarged)), end="", flush=True)
