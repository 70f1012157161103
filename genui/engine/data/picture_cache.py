"""Drawn pictures kept between runs; a broken or read-only cache is ignored."""

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.paths import cache_dir

Drawn = tuple[NDArray[np.uint8], tuple[str, ...]]
"""Pictures [N, 32, 32, 4] and their N captions."""


def read_cache(key: str) -> Drawn | None:
    """What was drawn under this key, or None."""
    try:
        with np.load(_path(key), allow_pickle=False) as stored:
            rgba, captions = stored["rgba"], tuple(map(str, stored["captions"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if rgba.dtype != np.uint8 or rgba.shape != (len(captions), 32, 32, 4):
        return None
    return rgba, captions


def write_cache(key: str, drawn: Drawn) -> None:
    """Keep what was drawn, if the disk allows; whole or not at all."""
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, rgba=drawn[0], captions=np.array(drawn[1]))
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise


def _path(key: str) -> Path:
    return cache_dir() / "pictures" / f"{key}.npz"
