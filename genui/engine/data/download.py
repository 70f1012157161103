"""Pinned, checksummed downloads, made only when asked for."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import read_regular

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 20


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def shared(name: str) -> Path | None:
    """The file or folder of that name in the folder GENUI_DATA, where it is there already."""
    folder = os.environ.get("GENUI_DATA", "")
    path = Path(folder).expanduser() / name
    return path if folder and path.exists() else None


def fetch(name: str, url: str, sha256: str, digest: Callable[[bytes], str] = sha256_of) -> Path:
    """The file of that name in the downloads folder, fetched from `url` where it is missing.

    `digest` is what `sha256` pins of its bytes: of an archive, say, what is in it.

    Raises GenuiError where the network or the checksum fails, or something that is no file of
    its size has its name; nothing wrong is ever kept.
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
        aside = target.with_name(f"{name}.{os.getpid()}.part")
        aside.write_bytes(body)
        aside.replace(target)
    except OSError as error:
        raise GenuiError(f"{target}: cannot be written ({error.strerror})") from None
    return target
