"""The files that a command writes: checked before anything is computed, written whole."""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genui.base.errors import GenuiError, MisuseError
from genui.formats.codec import CODECS, codec_of, codecs_for
from genui.formats.recipe import MOVING, Shows
from genui.protocol.kinds import Kind

_FRAME = re.compile(r"frame-\d{4,}\.png")


def check_target(target: Path, kind: Kind, medium: str) -> None:
    """Checks, before anything is generated, that a file can be written.

    Raises MisuseError for a suffix of another medium, a missing folder or a path that is a folder,
    and GenuiError if the folder is not writable or a program for the format is not installed.
    """
    codec, suffixes = codec_of(target), kind.files
    if codec is None or codec.suffix not in suffixes:
        suffixes += tuple(added.suffix for added in codecs_for(medium))
    check_file(target, "--out", suffixes, kind.makes)
    if codec is not None and codec.check_installed:
        codec.check_installed()


def check_file(
    target: Path, name: str, suffixes: Sequence[str] = (), what: str = "", force: bool = True
) -> None:
    """`check_target` for files that end in one of `suffixes`, or as they like. Without `force` the
    file must not exist yet."""
    if suffixes and target.suffix.lower() not in suffixes:
        *most, last = suffixes
        ends = f"{', '.join(most)} or {last}" if most else last
        raise MisuseError(f"{name} {target}: {what} is written as {ends}; change the suffix")
    if target.is_dir():
        raise MisuseError(f"{name} {target}: is a folder; name a file in it")
    if os.path.lexists(target) and not target.is_file():
        raise MisuseError(f"{name} {target}: is not a regular file; name another file")
    if target.exists() and not force:
        raise MisuseError(f"{name} {target}: exists already; --force replaces it")
    folder = target.parent
    if not folder.is_dir():
        raise MisuseError(f"{name} {target}: no folder {folder}; create it first")
    _check_writable(folder, f"{name} {target}")


def check_folder(folder: Path) -> None:
    """Makes the folder for frames.

    Raises MisuseError if it is a file or has other files than frames, and GenuiError if it cannot
    be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(folder)
    except FileExistsError:
        raise MisuseError(f"--frames {folder}: is a file; name a folder") from None
    except OSError as error:
        raise GenuiError(
            f"--frames {folder}: cannot be created ({error.strerror}); name another folder"
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


def frame_file(folder: Path, step: int) -> Path:
    """The path of a step's image."""
    return folder / f"frame-{step:04d}.png"


def remove_frames(folder: Path, written: set[str]) -> None:
    """Removes the frames of an earlier command that this one did not write."""
    for name in os.listdir(folder):
        if _FRAME.fullmatch(name) and name not in written:
            (folder / name).unlink(missing_ok=True)


# --- `--out -`: the file on standard output, for a pipe ----------------------------------------

DASH = Path("-")


def name_piped(out: Path, kind: Kind) -> Path:
    """A name whose suffix is the format: for `-` a sound if the kind has one, else the default of
    the kind."""
    if out != DASH:
        return out
    sounds = (suffix for suffix in kind.files if CODECS[suffix].shows == "sound")
    return Path(f"-{next(sounds, kind.files[0])}")


def shown_in(out: Path | None, kind: Kind) -> Shows | None:
    """What a file of that name, or what is piped, shows by default; None without a file."""
    codec = codec_of(name_piped(out, kind)) if out is not None else None
    return codec.shows if codec is not None else None


def is_animation(out: Path | None, kind: Kind) -> bool:
    """Whether a file of that name, or what is piped, shows an animation."""
    return shown_in(out, kind) in MOVING


def check_pipe(args: argparse.Namespace, kind: Kind) -> None:
    """Raises MisuseError if standard output is a terminal, or also needed for JSON."""
    if args.json or args.every_step:
        raise MisuseError("--out -: the file goes to standard output; leave out --json")
    if sys.stdout.isatty():
        suffix = name_piped(DASH, kind).suffix
        reader = "aplay" if CODECS[suffix].shows == "sound" else f"cat > sample{suffix}"
        raise MisuseError(f"--out -: standard output is a terminal; pipe it, as in | {reader}")
