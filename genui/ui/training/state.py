"""The user's choices on the Training screen, remembered for each thing that is watched.

A setting of the curves is an annotated field of `ViewState`. Nothing here imports numpy or Textual.
"""

from __future__ import annotations

import hashlib
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from genui.base import files, paths
from genui.base.conditions import compile_pattern
from genui.base.errors import MisuseError
from genui.base.schema import about, settings_of
from genui.base.text import clean_line
from genui.runs.norms import NORM_KINDS, NormKind
from genui.runs.table_state import TableState

# --- The filters ------------------------------------------------------------------------------

_GLOB = re.compile(
    r"(?=.*\w)[^.|()\[\]{}^$\\+]*\*[^.|()\[\]{}^$\\+]*"
)  # no sign of a regex but * and ?


def pattern(text: str) -> re.Pattern[str]:
    """Compile the regular expression or glob (`train/*/loss`) of a filter, ignoring case.

    Raises MisuseError, one line, if it is not valid.
    """
    if _GLOB.fullmatch(text):
        text = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    return compile_pattern(text, "loss|lr")


# --- The choices ------------------------------------------------------------------------------

XAxis = str
"""AS_DEFINED, one of AXES, or the name of a metric after METRIC."""

METRIC = "metric:"
"""The beginning of the name of an x axis that is a metric."""

AS_DEFINED = "as defined"
"""The choice to have each curve over the metric that its tool defined as its x axis, as W&B's
`define_metric` does, and the others over steps."""


def metric_of(axis: XAxis) -> str:
    """The metric that is the x axis; "" if it is none."""
    return axis.removeprefix(METRIC) if axis.startswith(METRIC) else ""


SideTab = Literal["sample", "console", "config", "system", "norms", "layers"]
SIDE_TABS: tuple[SideTab, ...] = get_args(SideTab)
WATCH_TABS: tuple[SideTab, ...] = tuple(tab for tab in SIDE_TABS if tab != "layers")
"""Those of `genui watch`, which runs no model."""

MAX_GRID = 9

GridSide = Annotated[int, Meta(ge=0, le=MAX_GRID)]
Grid = tuple[GridSide, GridSide]
"""The columns and rows of a page of curves, if they fit; 0 is as many as suit."""


def parse_grid(text: str) -> Grid:
    """Parse `2x3` (columns × rows), `2` (columns), or "auto". Raises MisuseError."""
    match = re.fullmatch(r"([1-9])\s*(?:[x×,]\s*([1-9]))?|auto|", text.strip().lower())
    if match is None:
        raise MisuseError(f"'{clean_line(text, 20)}' is not columns x rows: e.g. 2x3, 2, or auto")
    return int(match[1] or 0), int(match[2] or 0)


def format_grid(grid: Grid) -> str:
    return "×".join(str(number) for number in grid if number) or "auto"


_SCALES = {False: "linear", True: "logarithmic"}
_LINES = {False: "off", True: "on"}


class ViewState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user's choices. `view` and `cursor` are in units of `base_axis`."""

    runs: tuple[str, ...] = ()  # their folders or files; keys control the first
    filter: str = ""  # a regular expression or a glob
    pins: tuple[str, ...] = ()
    overlays: tuple[tuple[str, str], ...] = ()  # keys of plots: one, and another drawn over it
    smoothing: Annotated[
        float,
        Meta(ge=0, lt=1),
        about(
            "0 is off, nearer 1 is smoother: W&B's time-weighted average",
            id="smooth_by",
            step=(0.0, 0.5, 0.9, 0.97, 0.99),
            wraps=True,
            off=0.0,
        ),
    ] = 0.9
    log_y: Annotated[bool, about("Linear or logarithmic", "y scale", choices=_SCALES)] = False
    log_x: Annotated[bool, about("Linear or logarithmic", "x scale", choices=_SCALES)] = False
    axis: Annotated[
        XAxis,
        Meta(pattern=rf"\A({AS_DEFINED}|step|time|tokens|epochs|{METRIC}.+)\Z"),
        about("Steps, time, tokens or epochs, if they are known; or type any metric", "x axis"),
    ] = AS_DEFINED
    grid: Annotated[
        Grid, about("Columns × rows of curves on a page, if they fit: 2x3, 2, or auto")
    ] = (0, 0)
    guides: Annotated[
        bool, about("Lines across the curves at the value labels", choices=_LINES)
    ] = False
    side: Annotated[SideTab | None, about("Beside the curves: sample, console, …", "panel")] = None
    panel_width: Annotated[
        int,
        Meta(ge=20, le=70),
        about(
            "Per cent of the width; or drag the border between curves and panel",
            step=tuple(range(20, 75, 5)),
            off=38,  # as in app.tcss
            off_title="auto",
            format="{} %",
        ),
    ] = 38
    norm: Annotated[
        NormKind,
        about(
            "In the norms panel: gradients, updates (over weights), weights or activations",
            choices={kind: kind for kind in NORM_KINDS},
        ),
    ] = "gradients"
    view: tuple[float, float] | None = None  # None: everything, following the newest point
    follow: bool = True  # the view moves with the newest point
    cursor: float | None = None
    chosen: str = ""  # the key of a plot
    alone: bool = False  # only the chosen plot is shown
    side_shown: bool = False  # in place of the curves, if there is no room for both
    table: TableState = TableState()

    @property
    def base_axis(self) -> XAxis:
        """The x axis of the curves that have none of their own."""
        return "step" if self.axis == AS_DEFINED else self.axis


VIEW_SETTINGS = {name: one for name, one in settings_of(ViewState).items() if one.description}
"""The fields that the Settings panel changes."""

# --- Its files --------------------------------------------------------------------------------
# One small file each in the state folder: two apps write the same file only if they watch the
# same thing.

FOLDER = "views"
MAX_VIEW_FILES = 200  # the ones that were used last are kept


def recall(key: str) -> ViewState:
    """Load the view saved under `key`; the defaults if there is none or the file is damaged."""
    state = files.recall(_path(key), ViewState)
    return state if state is not None and _is_sane(state) else ViewState()


def remember(key: str, state: ViewState) -> None:
    """Save the view under `key`. Never raises: if it cannot be written, only the view is lost."""
    path = _path(key)
    files.remember(path, state)
    with suppress(OSError):
        _remove_oldest(path.parent)


def _path(key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return paths.state_dir() / FOLDER / f"{name}.json"


def _is_sane(state: ViewState) -> bool:
    """Whether this version could have written it; the types of the fields have been checked."""
    try:
        pattern(state.filter)
    except MisuseError:
        return False
    first, last = state.view or (0.0, 1.0)
    return first < last and all(map(math.isfinite, (first, last, state.cursor or 0.0)))


def _remove_oldest(folder: Path) -> None:
    views = list(folder.glob("*.json"))
    if len(views) > MAX_VIEW_FILES:
        for path in sorted(views, key=lambda path: path.stat().st_mtime)[:-MAX_VIEW_FILES]:
            path.unlink(missing_ok=True)
