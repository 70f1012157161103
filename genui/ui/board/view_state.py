"""What the Training screen looks like, remembered for each thing that is watched.

One small file each in the state folder, so that two apps never write the same one unless
they watch the same.
"""

import hashlib
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from genui import paths
from genui.render.axis_names import UNITS, Axis

FOLDER = "views"
MOST = 200  # files that are kept: the ones used last

SideTab = Literal["sample", "console", "config", "system"]
SIDE_TABS: tuple[SideTab, ...] = get_args(SideTab)


class ViewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a person has chosen. `view` and `cursor` are places on the x axis."""

    runs: tuple[str, ...] = ()  # their folders or files; the first is the one that is steered
    filter: str = ""  # a regular expression
    pins: tuple[str, ...] = ()
    axis: Axis = "step"
    smoothing: float = 0.9  # 0 off, below 1
    log_y: bool = False
    log_x: bool = False
    view: tuple[float, float] | None = None  # None: everything, following the newest
    follow: bool = True  # the view moves with the newest
    cursor: float | None = None
    chosen: str = ""  # the key of a plot
    alone: bool = False  # the chosen plot has all the room
    side: SideTab = "sample"
    side_shown: bool = False  # in place of the curves, where there is no room for both


def looked_at(state: ViewState) -> dict[str, Any]:
    """How curves are drawn for it, by the names that a Curve and a Look have for that."""
    return {
        "unit": UNITS[state.axis],
        "smoothing": state.smoothing,
        "log_x": state.log_x,
        "log_y": state.log_y,
        "view": state.view,
        "cursor": state.cursor,
    }


def recall(key: str) -> ViewState:
    """How it was left; the defaults where it never was, or the file is damaged."""
    with suppress(OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        state = msgspec.json.decode(_path(key).read_bytes(), type=ViewState)
        if _sane(state):
            return state
    return ViewState()


def remember(key: str, state: ViewState) -> None:
    """Keep it. Raises nothing: where the folder cannot be written, only the view is lost."""
    path = _path(key)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_bytes(msgspec.json.encode(state))
        aside.replace(path)
        _forget_oldest(path.parent)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return paths.state_dir() / FOLDER / f"{name}.json"


def _sane(state: ViewState) -> bool:
    """Whether it is one that this version could have written."""
    numbers = [*(state.view or (0.0, 1.0)), state.cursor or 0.0]
    try:
        re.compile(state.filter)
    except (re.error, RecursionError, OverflowError):
        return False
    ascending = state.view is None or state.view[0] < state.view[1]
    return ascending and all(map(math.isfinite, numbers)) and 0 <= state.smoothing < 1


def _forget_oldest(folder: Path) -> None:
    files = list(folder.glob("*.json"))
    if len(files) > MOST:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-MOST]:
            path.unlink(missing_ok=True)
