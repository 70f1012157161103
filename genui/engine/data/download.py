"""Downloads of files with a pinned checksum, made only when the data is needed.

A download that breaks off leaves a `.part` file, and the next one continues it. Progress is
reported as progress of a preparation.
"""

import hashlib
import http
import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from genui.base import paths
from genui.base.config import load_config
from genui.base.errors import GenuiError
from genui.base.files import cannot_write, read_regular
from genui.engine.data.preparation import REPORT_S, Report, locked, say_nothing

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 20
_CHUNK = 64 * 1024


def describe_download(name: str, done: int, total: int) -> str:
    """`downloading images.zip, 8 of 16 MB`."""
    of = f" of {total / 1e6:.0f}" if total else ""
    return f"downloading {name}, {done / 1e6:.0f}{of} MB"


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def shared(name: str) -> Path | None:
    """The file or folder of that name in the folder of the setting `data`, or None."""
    folder = load_config().data
    path = Path(os.path.expanduser(folder)) / name
    return path if folder and path.exists() else None


def is_downloaded(name: str) -> bool:
    """Whether a file of that name is in the downloads folder; its checksum is not read."""
    return (paths.downloads_dir() / name).is_file()


def check_reachable(name: str, url: str, timeout: float = 5.0) -> None:
    """Raise GenuiError, one line with a remedy, if nothing can be downloaded from `url` now."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
            pass
    except (OSError, http.client.HTTPException) as error:
        raise _no_download(name, error) from None


def fetch(
    name: str,
    url: str,
    sha256: str,
    digest: Callable[[bytes], str] = sha256_of,
    report: Report = say_nothing,
) -> Path:
    """The file of that name in the downloads folder, downloaded from `url` if it is missing.

    `digest(body)` is compared with `sha256`; it may be a digest of an archive's contents instead of
    its bytes. Raises GenuiError if the download or the checksum fails, or if there is something
    else of that name or a file that is too large. A file with a wrong checksum is never kept.
    """
    target = paths.downloads_dir() / name

    def is_here() -> bool:
        return target.exists() and digest(read_regular(target, MAX_BYTES, "remove it")) == sha256

    if is_here():
        return target
    part = target.with_name(f"{name}.part")
    with locked(target.parent, name, report):
        if is_here():  # another process had the lock and has finished
            return target
        try:
            for _ in range(2):
                with part.open("ab") as file:
                    continued = file.tell()
                    _download(name, url, file, report)
                if digest(read_regular(part, MAX_BYTES + _CHUNK, "remove it")) == sha256:
                    part.replace(target)
                    return target
                part.unlink()
                if not continued:  # else the beginning may have been another file's
                    break
        except OSError as error:
            raise cannot_write(target, error) from None
    raise GenuiError(f"{name}: the download from {url} has the wrong checksum; it was deleted")


def _download(name: str, url: str, file: IO[bytes], report: Report) -> None:
    """Append the missing bytes of the file at `url`, or all of it if the server cannot continue.

    Raises GenuiError for a failure of the network, and OSError for one of the disk.
    """
    begin = file.tell()
    try:
        reply = urllib.request.urlopen(_request(url, begin), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not begin:
            raise _no_download(name, error) from None
        return  # all of it is here
    except (OSError, http.client.HTTPException) as error:
        raise _no_download(name, error) from None
    with reply:
        if getattr(reply, "status", None) != http.HTTPStatus.PARTIAL_CONTENT:
            begin = 0
            file.truncate(0)
        length = reply.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdecimal() else 0
        done, reported = begin, 0.0
        while done <= MAX_BYTES:
            try:
                chunk = reply.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _no_download(name, error) from None
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            if time.monotonic() - reported >= REPORT_S or done == total:
                reported = time.monotonic()
                report(describe_download(name, done, total))
    if done < total:
        raise _no_download(
            name, OSError(f"the connection broke off at {done:,} of {total:,} bytes")
        )


def _request(url: str, begin: int) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})


def _no_download(name: str, error: Exception) -> GenuiError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        reason = "no network"
    return GenuiError(
        f"{name}: cannot be downloaded ({reason}); copy it to {paths.downloads_dir()}, or give its "
        "folder with genui config set data, or use --data PATH"
    )
