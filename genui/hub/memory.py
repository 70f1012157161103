"""A cache of the descriptions in the headers of models, so that lists of models are quick."""

import math
import os
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError
from genui.base.files import recall, remember, report_defect, show
from genui.base.paths import cache_dir
from genui.hub import formats
from genui.hub.open_model import OpenModel


class _Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """A description of one state of a file or folder."""

    state: int
    model: OpenModel


class _Memory(msgspec.Struct):
    """The descriptions of files, for one version of the code."""

    version: str = ""
    known: dict[str, _Known] = {}


_looked_at: dict[Path, float] = {}
"""When each path was last compared with its description, in seconds of the monotonic clock."""


def describe_all(
    paths: Iterable[Path], patience: float = float("inf"), trust: float = 0.0
) -> Mapping[Path, OpenModel]:
    """The models of paths. One that cannot be used has no format, and the reason as its summary.

    A header is read once and remembered in the cache folder until the file changes. After
    `patience` seconds no more headers are read: paths without an answer are left out. A path that
    was looked at in the last `trust` seconds is not looked at again.
    """
    now = time.monotonic()
    memory, answers, is_new = _load_memory(_memory_file(), _version()), {}, False
    for path in paths:
        known = memory.known.get(str(path))
        if known is None or now - _looked_at.get(path, -math.inf) >= trust:
            state = formats.state_of(path)
            if known is None or known.state != state:
                if time.monotonic() - now > patience:
                    continue
                known = memory.known[str(path)] = _describe(path, state)
                is_new = True
            _looked_at[path] = now
        answers[path] = known.model
    if is_new:
        _save_memory(memory)
    return answers


def _describe(path: Path, state: int) -> _Known:
    try:
        return _Known(state, formats.describe(path))
    except Exception as error:  # a defect of ours leaves out one model, not the list
        known = isinstance(error, GenuiError)
        fault = str(error if known else report_defect(path, error))
        fault = fault.removeprefix(f"{show(path)}: ")
        if not os.path.exists(path):
            fault = f"{show(path)} is gone: pull or add it again"
        return _Known(state, OpenModel(path=path, format="", name=path.stem, summary=fault))


def _memory_file() -> Path:
    return cache_dir() / "open-models.json"


def _version() -> str:
    """The inputs of a description besides its file: this room's code."""
    return str(formats.state_of(Path(__file__).parent))


@lru_cache(maxsize=1)
def _load_memory(file: Path, version: str) -> _Memory:
    memory = recall(file, _Memory)
    return memory if memory is not None and memory.version == version else _Memory(version)


def _save_memory(memory: _Memory) -> None:
    """Write the memory without files that are gone. A disk that is full is no fault."""
    memory.known = {path: each for path, each in memory.known.items() if os.path.lexists(path)}
    remember(_memory_file(), memory)
