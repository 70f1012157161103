"""Writing what was generated to files that say how it was made."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genui.errors import GenuiError, MisuseError
from genui.kinds import Kind
from genui.runs.disk import atomic_write
from genui.saved import SUFFIXES, Sample, TraceRecipe, encode

_FRAME = re.compile(r"frame-\d{4,}\.png")


def check_target(target: Path, kind: Kind, name: str = "--out") -> None:
    """Refuse a file that could not be written, before anything is generated.

    Raises MisuseError for an extension of another medium, a folder that is not there or a
    path that is a folder, and GenuiError where the folder takes no file or a program to write
    it with is not installed.
    """
    check_file(target, name, kind.files, kind.makes)
    if target.suffix.lower() == ".mp4":
        from genui.saved import mp4

        mp4.ffmpeg()


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


def _check_writable(folder: Path, asked: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise GenuiError(
            f"{asked}: cannot write in {folder} ({error.strerror}); choose another folder"
        ) from None


def write(
    target: Path, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None = None
) -> None:
    """The whole file or none of it, of the kind its name ends in.

    Raises GenuiError where the disk refuses.
    """
    atomic_write(target, encode(SUFFIXES[target.suffix.lower()], samples, recipe, rate))


def frame_file(folder: Path, step: int) -> Path:
    """The picture of a step."""
    return folder / f"frame-{step:04d}.png"


def remove_frames(folder: Path, kept: set[str]) -> None:
    """Remove the frames that an earlier command left and this one did not write."""
    for name in os.listdir(folder):
        if _FRAME.fullmatch(name) and name not in kept:
            (folder / name).unlink(missing_ok=True)
