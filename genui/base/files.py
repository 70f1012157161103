"""Reading and writing small files so that a crash, a full disk or a stranger's file costs nothing.

A file is replaced whole or not at all: written aside in the same folder, synced, renamed.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from genui.base.errors import GenuiError

SMALL = 1024 * 1024
"""Bytes; the largest run.json, status.json or card.json that is read."""

_ASIDE = ".aside"


def plain(text: str, limit: int = 200) -> str:
    """Untrusted text for use in a message: one line, printable, `limit` characters at most."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def shown(path: Path) -> str:
    """The path for use in a message: file names are untrusted and may hold control characters."""
    return plain(str(path), 1000)


def cannot_write(path: Path, error: OSError) -> GenuiError:
    """The one line for a full disk, a missing permission and their kin."""
    return GenuiError(
        f"cannot write {shown(path)}: {(error.strerror or str(error)).lower()}; "
        "free some space, or set GENUI_HOME to a folder you may write to"
    )


def cannot_read(path: Path, error: OSError) -> GenuiError:
    """The one line for a file that is missing or not ours to read."""
    return GenuiError(
        f"cannot read {shown(path)}: {(error.strerror or str(error)).lower()}; "
        "check that it exists and that you may read it"
    )


def defect(path: Path, error: Exception) -> GenuiError:
    """The one line for a file that a reader failed on in a way that nobody thought of."""
    return GenuiError(
        f"cannot read {shown(path)}: {type(error).__name__} ({plain(str(error), 80)}); it is "
        "damaged, or genui has a defect: GENUI_DEBUG=1 genui inspect PATH shows where"
    )


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` if the block succeeds.

    With `durable` the contents reach the disk before the name does, so a power cut leaves
    the old file or the new one. Raises GenuiError naming `path` where the disk refuses.
    """
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_ASIDE}")
    try:
        yield aside
        if durable:
            _sync(aside)
        os.replace(aside, path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            aside.unlink()


def atomic_write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replaces the file by `data`, whole or not at all. Raises GenuiError naming `path`."""
    with atomic_path(path, durable=durable) as aside:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte: one `os.write` may take only a part. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def append_whole(fd: int, data: bytes) -> None:
    """Appends all of `data` or nothing; nobody else may append meanwhile. Raises OSError."""
    written = 0
    try:
        while written < len(data):
            written += os.write(fd, data[written:] if written else data)
    except OSError:
        if written:
            with suppress(OSError):
                os.ftruncate(fd, os.fstat(fd).st_size - written)
        raise


def remove_asides(folder: Path) -> None:
    """Removes what a killed writer left half-written. Call only while nobody else writes here."""
    for left in folder.glob(f".*{_ASIDE}"):
        with suppress(OSError):
            left.unlink()


@contextmanager
def open_regular(path: Path, strange: GenuiError) -> Iterator[BinaryIO]:
    """The file, to be read. Raises `strange` where it is no regular file, and GenuiError
    naming it where the disk refuses, also while it is read."""
    try:
        # Not blocking: a named pipe put here by a stranger must not hang the reader.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise strange
            yield file
    except OSError as error:
        raise cannot_read(path, error) from None


def read_regular(path: Path, most: int, remedy: str, fault: type[GenuiError] = GenuiError) -> bytes:
    """The whole of a regular file of a user's, which has at most `most` bytes.

    Both are looked at before anything is read: a named pipe would keep us waiting and a device
    never ends. Raises `fault`, one line that names the file and ends with the `remedy`.
    """
    name = shown(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise fault(f"{name}: is a folder; {remedy}")
            if not stat.S_ISREG(status.st_mode):
                raise fault(f"{name}: is not a regular file; {remedy}")
            if status.st_size > most:
                raise fault(f"{name}: is over {most >> 20} MB; {remedy}")
            with open(fd, "rb", closefd=False) as file:
                return file.read(most)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise fault(f"{name}: cannot be read ({reason}); {remedy}") from None


def read_small(path: Path) -> bytes:
    """The whole of a regular file of at most SMALL bytes. Raises GenuiError naming it."""
    strange = GenuiError(f"{shown(path)} is not a regular file: remove it")
    with open_regular(path, strange) as file:
        data = file.read(SMALL + 1)
    if len(data) > SMALL:
        raise GenuiError(f"{shown(path)} is over {SMALL} bytes and so not ours: remove it")
    return data


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
