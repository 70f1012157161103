"""Models of the same data, measured beside each other: a table that fills as it is known."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from genui.render.probe_table import HEADS, cells
from genui.render.sanitise import clean_line
from genui.ui.screens.window import Window

SAMPLES = 500
MEASURER = (sys.executable, "-m", "genui", "probes", "--lines", "-n", str(SAMPLES))
"""The process that measures; the models follow. Killing it is cancelling."""

NOTE = (
    "Fréchet distance, precision and recall (k 3), density and coverage (k 5) against the test "
    "set, in the features of the classifier shipped for that data; copying 0.5: nothing is copied"
)


class ProbesScreen(Window[None]):
    """Measures in a process of its own, which ends with the window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,p", "leave", "Leave", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
    ]

    def __init__(self, models: Sequence[str], measurer: Sequence[str] = MEASURER) -> None:
        super().__init__()
        self._models = tuple(models)
        self._argv = tuple(measurer)
        self._process: Process | None = None
        self.rows: list[Mapping[str, Any]] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="window probes"):
            yield Static("beginning …", classes="progress", markup=False)
            with VerticalScroll(classes="table", can_focus=False):
                yield Static(classes="rows")
            yield Static(NOTE, classes="hint", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Probes"
        window.border_subtitle = "esc cancels and leaves"
        self._measure()

    def on_unmount(self) -> None:
        self._kill()

    def on_resize(self) -> None:
        self._paint()

    def action_leave(self) -> None:
        self._kill()
        self.leave(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(".table").scroll_relative(y=by, animate=False)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    # --- measuring --------------------------------------------------------------------

    @work(group="measure", exclusive=True, exit_on_error=False)
    async def _measure(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, *self._models, stdout=PIPE, stderr=PIPE
            )
        except OSError as error:
            self._say(f"cannot be measured: {error}")
            return
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async for line in process.stdout:
                self._take(line)
            said = (await process.stderr.read()).decode(errors="replace")
            code = await process.wait()
        finally:
            self._kill()
        if code and not any(row.get("fault") for row in self.rows):
            last = said.strip().splitlines()[-1:] or [f"it ended with exit code {code}"]
            self._say(last[0].removeprefix("genui: "))
        else:
            self._say(f"measured by {SAMPLES} samples each")

    def _take(self, line: bytes) -> None:
        """A line of the process: how far it is, or a row."""
        try:
            told = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return
        if isinstance(row := told.get("row"), dict):
            self.rows.append(row)
            self._paint()
        elif "model" in told:
            done, of = told.get("done", 0), told.get("of", 0)
            self._say(f"{told['model']}: {done} of {of} samples")

    def _say(self, line: str) -> None:
        if self.is_mounted:
            self.query_one(".progress", Static).update(clean_line(line))

    # --- drawing ----------------------------------------------------------------------

    def _paint(self) -> None:
        if self.is_mounted:
            room = self.query_one(".table").size.width
            self.query_one(".rows", Static).update(table(self.rows, room))


def table(rows: Sequence[Mapping[str, Any]], width: int) -> Content:
    """A column a model where the heads do not fit side by side into so many cells."""
    texts = [tuple(clean_line(cell, 24) for cell in cells(row)) for row in rows]
    if not texts:
        return Content("")
    lines = _lines([HEADS, *texts], 2)
    if max(map(cell_len, lines)) > width:
        lines = _lines(list(zip(HEADS, *texts, strict=True)), 1)
    faults = [clean_line(str(row["fault"])) for row in rows if row.get("fault")]
    return Content("\n".join([*lines, *faults]))


def _lines(grid: Sequence[Sequence[str]], left: int) -> list[str]:
    """The cells under each other: the first `left` columns to the left, numbers to the right."""
    widths = [max(cell_len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = []
    for line in grid:
        padded = [
            cell + " " * (widths[i] - cell_len(cell))
            if i < left
            else " " * (widths[i] - cell_len(cell)) + cell
            for i, cell in enumerate(line)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines
