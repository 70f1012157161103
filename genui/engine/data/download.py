"""Downloads of files with a pinned checksum, made only when the data is needed."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from genui.base import paths
from genui.base.config import load_config
from genui.base.errors import GenuiError
from genui.base.files import read_regular

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 20


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def shared(name: str) -> Path | None:
    """The file or folder of that name in the folder of the setting `data`, or None."""
    folder = load_config().data
    path = Path(folder).expanduser() / name
    return path if folder and path.exists() else None


def fetch(name: str, url: str, sha256: str, digest: Callable[[bytes], str] = sha256_of) -> Path:
    """The file of that name in the downloads folder, downloaded from `url` if it is missing.

    `digest(body)` is compared with `sha256`; it may be a digest of an archive's contents instead
    of its bytes. Raises GenuiError if the download or the checksum fails, or if what has the name
    is not a regular file or too large. A file with a wrong checksum is never kept.
    """
    target = paths.downloads_dir() / name
    if target.exists() and digest(read_regular(target, MAX_BYTES, "remove it")) == sha256:
        return target
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            body = reply.read(MAX_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise GenuiError(
            f"{name}: cannot be downloaded ({getattr(error, 'reason', error)}); put the file at "
            f"{target}, or name its folder in GENUI_DATA, or pass --data FILE"
        ) from None
    if digest(body) != sha256:
        raise GenuiError(f"{name}: what {url} sent has another checksum than pinned; not kept")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{name}.{os.getpid()}.part")
        part.write_bytes(body)
        part.replace(target)
    except OSError as error:
        raise GenuiError(f"{target}: cannot be written ({error.strerror})") from None
    return target
