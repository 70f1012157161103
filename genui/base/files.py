"""Safe reading and atomic writing of files.

A file is replaced whole or not at all: written beside it in the same folder, synced, renamed.
"""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from genui.base.errors import GenuiError, MisuseError

SMALL = 1024 * 1024
"""Bytes; the largest run.json, status.json or card.json that is read."""

LARGEST_JSON = 64 * 1024 * 1024
"""Bytes; the largest JSON of others that is read: tokenizers of 262,144 tokens have about 33 MB."""

_PARTIAL = ".aside"
_BLOCK = 64 * 1024  # bytes of a file that are searched at once

T = TypeVar("T")


def sanitize(text: str, limit: int = 200) -> str:
    """Untrusted text for use in a message: one line, printable, `limit` characters at most."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def show(path: Path) -> str:
    """The path for use in a message: file names are untrusted and may hold control characters."""
    return sanitize(str(path), 1000)


def cannot_write(path: Path, error: OSError) -> GenuiError:
    """The error for a full disk, a missing permission and the like."""
    return GenuiError(
        f"cannot write {show(path)}: {(error.strerror or str(error)).lower()}; "
        "free some space, or set GENUI_HOME to a folder you may write to"
    )


def cannot_read(path: Path, error: OSError) -> GenuiError:
    """The error for a file that is missing or may not be read."""
    return GenuiError(
        f"cannot read {show(path)}: {(error.strerror or str(error)).lower()}; "
        "check that it exists and that you may read it"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises `cannot_write` of the path for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_use(path: Path, fault: str, remedy: str) -> MisuseError:
    return MisuseError(f"{show(path)}: {fault}; {remedy}")


def report_defect(path: Path, error: Exception) -> GenuiError:
    """The error for a file on which a reader failed unexpectedly."""
    return GenuiError(
        f"cannot read {show(path)}: {type(error).__name__} ({sanitize(str(error), 80)}); it is "
        "damaged, or genui has a defect: GENUI_DEBUG=1 genui inspect PATH shows where"
    )


def free_space(path: Path) -> int:
    """The free bytes of the disk of a path, which need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a path beside `path` to write to; renames it to `path` if the block succeeds.

    With `durable` the contents are synced before the rename, so a power cut leaves the old file
    or the new one. Raises GenuiError, which names `path`, if writing fails.
    """
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}{_PARTIAL}")
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


def atomic_write(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o644) -> None:
    """Replaces the file by `data`, whole or not at all. Raises GenuiError naming `path`."""
    with atomic_path(path, durable=durable) as aside:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte: one `os.write` may take only a part. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def open_append(path: Path) -> int:
    """A descriptor to append to a file, which is made if it is missing. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def append_line(path: Path, value: Any) -> None:
    """Appends a value as a whole line of JSON; if a killed writer left the last line incomplete, a
    new line begins first. Raises GenuiError naming the file."""
    line = msgspec.json.encode(value) + b"\n"
    with writing(path):
        fd = open_append(path)
        try:
            size = os.fstat(fd).st_size
            torn = size and os.pread(fd, 1, size - 1) != b"\n"
            append_whole(fd, b"\n" + line if torn else line)
        finally:
            os.close(fd)


def drop_torn_line(path: Path) -> None:
    """Removes an incomplete last line, as a killed writer leaves it. Raises OSError."""
    with suppress(FileNotFoundError), path.open("r+b") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            end = start + newline + 1
            if newline >= 0:
                break
        if end < size:
            file.truncate(end)


def last_record(path: Path) -> dict[str, Any]:
    """The last JSON object in a file with one a line; empty if there is none near its end."""
    with suppress(OSError):
        for line in reversed(read_end(path, 2 * SMALL).splitlines()):
            with suppress(msgspec.DecodeError, RecursionError):
                return msgspec.json.decode(line, type=dict[str, Any])
    return {}


def read_end(path: Path, octets: int, begin: int = 0) -> bytes:
    """The last bytes of a file, at most so many, and none before `begin`. Raises OSError."""
    with open_unblocked(path) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - octets, begin if begin <= end else 0))
        return file.read(octets) or b""


def append_whole(fd: int, data: bytes) -> None:
    """Appends all of `data` or nothing; there must be no other writer. Raises OSError."""
    written = 0
    try:
        while written < len(data):
            written += os.write(fd, data[written:] if written else data)
    except OSError:
        if written:
            with suppress(OSError):
                os.ftruncate(fd, os.fstat(fd).st_size - written)
        raise


def list_names(folder: Path) -> list[str]:
    """The names in a folder, in order; none if there is no such folder. Raises GenuiError naming
    it if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise cannot_read(folder, error) from None


def files_below(
    folder: Path, suffixes: tuple[str, ...] = ("",), most: int | None = None
) -> list[Path]:
    """The regular files in a folder and below it that end so, without hidden ones, in order; at
    most so many, and none if there is no folder."""
    found = (
        os.path.join(above, name)
        for above, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(suffixes) and not name.startswith(".")
    )
    return sorted(map(Path, islice(filter(os.path.isfile, found), most)))


def remove_partial_files(folder: Path) -> None:
    """Removes the partial files of killed writers. Call only while there is no other writer."""
    for aside in folder.glob(f".*{_PARTIAL}"):
        with suppress(OSError):
            aside.unlink()


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """The inode of a file, its size and when it was last written, in ns; None if it is missing."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def open_unblocked(path: Path) -> FileIO:
    """Opens a file for reading, without a buffer: a named pipe must not hang the reader."""
    return FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


@contextmanager
def open_regular(path: Path, irregular: GenuiError) -> Iterator[BinaryIO]:
    """Opens a file for reading. Raises `irregular` if it is not a regular file, and GenuiError,
    which names it, if reading fails, also inside the block."""
    try:
        # Not blocking: a named pipe must not hang the reader.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise irregular
            yield file
    except OSError as error:
        raise cannot_read(path, error) from None


def read_regular(
    path: Path, most: int, remedy: str = "remove it", fault: type[GenuiError] = GenuiError
) -> bytes:
    """The whole of a regular file of at most `most` bytes.

    Type and size are checked first: a named pipe would block and a device never ends. Raises
    `fault`, one line that names the file and ends with the `remedy`.
    """
    name = show(path)
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
    except (OSError, ValueError) as error:  # ValueError: an impossible file name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise fault(f"{name}: cannot be read ({reason}); {remedy}") from None


def read_toml(path: Path, remedy: str) -> dict[str, Any] | None:
    """The table of a TOML file; None if there is none.

    Raises MisuseError, one line that names the file and ends with the `remedy`.
    """
    if not os.path.exists(path):
        return None
    data = read_regular(path, SMALL, remedy, MisuseError)
    import tomllib  # late: the app paints sooner for those without a file

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MisuseError(f"{path}: not TOML ({error}); {remedy}") from None


def read_json(
    path: Path,
    kind: type[T],
    remedy: str,
    most: int = SMALL,
    fault: type[GenuiError] = GenuiError,
    dec_hook: Callable[[type, Any], Any] | None = None,
) -> T:
    """A regular file of at most `most` bytes of JSON, as a `kind`; `dec_hook` is msgspec's.

    Raises `fault`, one line that names the file and ends with the `remedy`, and GenuiError if it
    cannot be read.
    """
    with open_regular(path, fault(f"{show(path)} is not a regular file; {remedy}")) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise fault(f"{show(path)} is over {most >> 20} MB; {remedy}")
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=dec_hook)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        reason = sanitize(str(error)).replace("`", "'")
        raise fault(f"{show(path)} is damaged ({reason}); {remedy}") from None


def recall(path: Path, kind: type[T]) -> T | None:
    """What `remember` wrote; None if there is nothing, or if it is damaged or of another kind."""
    with suppress(OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=_convert)
    return None


def remember(path: Path, value: Any) -> None:
    """Write a value as JSON. Never raises: if it cannot be written, it is only forgotten."""
    with suppress(OSError, GenuiError, UnicodeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, msgspec.json.encode(value, enc_hook=str), durable=False)


def _convert(kind: type, value: Any) -> Any:
    """A value of a type that JSON does not have: a path."""
    return kind(value)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


LOCK = "lock"
"""The file in a folder that the process which writes there has locked."""

_RETRY_S = 0.2


@contextmanager
def lock_folder(
    folder: Path, report_waiting: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is missing. While another process holds it,
    waits and calls `report_waiting` some times a second. Raises GenuiError naming the folder."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        while True:
            with writing(folder), suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            report_waiting()
            time.sleep(_RETRY_S)
        yield
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Lock an open file or folder for this process alone; returns whether it did."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
