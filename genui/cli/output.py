"""How commands speak: answers on stdout, remarks on stderr, nothing from disk unsanitised."""

import argparse
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.text import clean, clean_line, escape_json
from genui.formats.codec import CODECS, Sample, codec_of, codecs_for, encode
from genui.formats.recipe import TraceRecipe
from genui.protocol.registry import Kind, resolve

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


# --- Pictures on stdout -----------------------------------------------------------------------


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
    from genui.render.colours import detect_colours
    from genui.render.image import draw_ansi, fit

    height, width, _ = picture.shape
    screen = shutil.get_terminal_size()
    enlarged = fit(width, height, screen.columns, screen.lines - 2).scale * width
    mode = detect_colours(os.environ, sys.stdout.isatty()) if speaks_unicode() else "ascii"
    print(draw_ansi(picture, mode, min(screen.columns, enlarged)), end="", flush=True)


# --- Files that a command writes ---------------------------------------------------------------

_FRAME = re.compile(r"frame-\d{4,}\.png")


def check_target(target: Path, kind: Kind, medium: str, name: str = "--out") -> None:
    """Refuse a file that could not be written, before anything is generated.

    Raises MisuseError for an extension of another medium, a folder that is not there or a
    path that is a folder, and GenuiError where the folder takes no file or a program to write
    it with is not installed.
    """
    codec, suffixes = codec_of(target), kind.files
    if codec is None or codec.suffix not in suffixes:
        suffixes += tuple(added.suffix for added in codecs_for(medium))
    check_file(target, name, suffixes, kind.makes)
    if codec is not None and codec.check_installed:
        resolve(codec.check_installed)()


def check_file(target: Path, name: str, wanted: Sequence[str], what: str) -> None:
    """`check_target` for files that end in one of `wanted`."""
    if target.suffix.lower() not in wanted:
        *most, last = wanted
        ends = f"{', '.join(most)} or {last}" if most else last
        raise MisuseError(f"{name} {target}: {what} is written as {ends}; end the name in it")
    if target.is_dir():
        raise MisuseError(f"{name} {target}: is a folder; name a file in it")
    folder = target.parent
    if not folder.is_dir():
        raise MisuseError(f"{name} {target}: there is no folder {folder}; make it first")
    _check_writable(folder, f"{name} {target}")


def check_folder(folder: Path) -> None:
    """Make the folder that frames go to.

    Raises MisuseError where it is a file or holds anything but such frames, and GenuiError
    where it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(folder)
    except FileExistsError:
        raise MisuseError(f"--frames {folder}: is a file; name a folder") from None
    except OSError as error:
        raise GenuiError(
            f"--frames {folder}: cannot be made ({error.strerror}); name another folder"
        ) from None
    others = [name for name in names if not _FRAME.fullmatch(name)]
    if others:
        raise MisuseError(
            f"--frames {folder}: holds other files ({others[0]}); name an empty or a new folder"
        )
    _check_writable(folder, f"--frames {folder}")


def _check_writable(folder: Path, name: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise GenuiError(
            f"{name}: cannot write in {folder} ({error.strerror}); choose another folder"
        ) from None


def write_file(
    target: Path, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None = None
) -> None:
    """The whole file or none of it, of the kind its name ends in.

    Raises GenuiError where the disk refuses.
    """
    atomic_write(target, encode(target.suffix.lower(), samples, recipe, rate))


def frame_file(folder: Path, step: int) -> Path:
    """The image of a step."""
    return folder / f"frame-{step:04d}.png"


def remove_frames(folder: Path, kept: set[str]) -> None:
    """Remove the frames that an earlier command left and this one did not write."""
    for name in os.listdir(folder):
        if _FRAME.fullmatch(name) and name not in kept:
            (folder / name).unlink(missing_ok=True)


# --- `--out -`: the file on standard output, for what reads it at the other end of a pipe -----

DASH = Path("-")


def target(out: Path, kind: Kind) -> Path:
    """A name with the suffix of what is written: of `-` a sound where there is one to hear, else
    what a model of that kind usually writes."""
    if out != DASH:
        return out
    sounds = (suffix for suffix in kind.files if CODECS[suffix].shows == "sound")
    return Path(f"-{next(sounds, kind.files[0])}")


def check(args: argparse.Namespace, kind: Kind) -> None:
    """Raises MisuseError where standard output is a screen, or is to take something else too."""
    if args.json or args.every_step:
        raise MisuseError("--out -: standard output is for the file; leave out --json")
    if sys.stdout.isatty():
        suffix = target(DASH, kind).suffix
        reader = "aplay" if CODECS[suffix].shows == "sound" else f"cat > sample{suffix}"
        raise MisuseError(f"--out -: would fill the screen with bytes; pipe it, as in | {reader}")


def write(data: bytes) -> None:
    """All of it, at once. Raises GenuiError where what reads it has gone."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nothing is left for the interpreter to flush as it ends, which would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise GenuiError("--out -: what was to read it ended first; look at its message") from None
