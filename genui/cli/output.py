"""Output of commands: answers on stdout, remarks on stderr, text from disk sanitised."""

import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.text import align, clean, clean_line, escape_json

with late_imports():
    from genui.render import colours
    from genui.render import image as render_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genui.runs.layout import RunDir


def print_line(line: str = "") -> None:
    """Prints one line of the answer."""
    print(_one(line))


def confirm(question: str, asks: str) -> bool:
    """Asks on the terminal. Raises MisuseError if stdin is not one; `asks` begins its line."""
    if not sys.stdin.isatty():
        raise MisuseError(f"{asks}: give --yes if nobody can answer")
    note(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def note(line: str) -> None:
    """Prints one remark on stderr, where scripts that read stdout do not see it."""
    print(_one(line), file=sys.stderr, flush=True)


def print_json(value: Any, indent: bool = True) -> None:
    """Prints `value` as JSON: indented for one answer, one line for a stream. NaN becomes null.

    Characters that control a terminal are escaped, which does not change the data.
    """
    known = _without_nan(msgspec.to_builtins(value, enc_hook=str))
    # Not by msgspec: a file name that is not UTF-8 has no encoding there.
    form: dict[str, Any] = {"indent": 2} if indent else {"separators": (",", ":")}
    print(escape_json(json.dumps(known, ensure_ascii=False, **form)), flush=True)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_started(run: "RunDir", as_json: bool) -> None:
    """Prints the id of a run, or a sweep, that was started: all that is on stdout."""
    if as_json:
        print_json({"id": run.id, "path": run.path}, indent=False)
    else:
        print(run.id, flush=True)


def print_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str] | str],
    right: Container[int] = (),
    optional: Container[int] = (),
) -> None:
    """Prints columns as `align` does, and as a line of its own a row that is a text. On a terminal
    that is too narrow the last column wraps."""
    lines = [heads, *rows]
    aligned = iter(align([row for row in lines if not isinstance(row, str)], right, optional))
    for line in lines:
        if isinstance(line, str):
            print_line(line)
            continue
        *cells, last = next(aligned)
        print_hanging("".join(f"{cell}  " for cell in cells), last)


def print_facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints names and aligned values, one fact a line; empty values are left out."""
    known = [(clean_line(name), clean_line(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print_hanging(f"{name:{width}}  ", value)


def print_hanging(begin: str, rest: str) -> None:
    """Prints a line, of sanitised texts; on a terminal that is too narrow, the rest of it wraps."""
    from rich.cells import cell_len

    width, column = columns(), cell_len(begin)
    lines = [rest]
    if column + cell_len(rest.rstrip()) > width and column < width * 3 // 4 and sys.stdout.isatty():
        lines = textwrap.wrap(rest, width - column) or lines
    for line in lines:
        print((begin + line).rstrip())
        begin = " " * column


def _one(line: str) -> str:
    """The text sanitised and on one line, with its spacing."""
    return clean(line).replace("\n", " ")


# --- The progress of a command, on stderr -------------------------------------------------------


class ProgressLine:
    """One changing line, which the end of a `with` block removes; nothing if stderr is not a
    terminal. With `as_lines` it is printed as a JSON line, for the app."""

    def __init__(self, as_lines: bool = False) -> None:
        self._as_lines = as_lines
        self._live = sys.stderr.isatty() and not as_lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def show(self, line: str) -> None:
        """Replace the line. On a terminal it is cut to one row: only that is removed again."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line[: max(20, columns() - 1)]}")
            sys.stderr.flush()
        elif self._as_lines:
            print_json({"progress": line}, indent=False)

    def clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# --- Images on stdout -----------------------------------------------------------------------


def columns() -> int:
    """The columns of the terminal; 80 without one."""
    return shutil.get_terminal_size().columns


def speaks_unicode() -> bool:
    """Whether stdout can encode half blocks."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def draw(image: "NDArray[np.uint8]") -> None:
    """Draws an image [H, W, 3] in the colours of this terminal.

    It is enlarged to fit the screen, and made smaller only if it is too wide.
    """
    height, width, _ = image.shape
    screen = shutil.get_terminal_size()
    enlarged = max(width, render_image.fit(width, height, screen.columns, screen.lines - 2).cols)
    mode = colours.detect_colours(os.environ, sys.stdout.isatty()) if speaks_unicode() else "ascii"
    print(render_image.draw_ansi(image, mode, min(screen.columns, enlarged)), end="", flush=True)
