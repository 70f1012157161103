"""The window that starts a training: a recipe or a checkpoint, and what to change of it."""

import asyncio
import dataclasses
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from genui.errors import GenuiError, MisuseError
from genui.recipes import RECIPES, Recipe, override, parse_settings
from genui.render.sanitise import clean_line
from genui.runs.launch import launch
from genui.runs.layout import RunDir
from genui.ui.panes.line_input import LineInput
from genui.ui.panes.rows import Row, RowList
from genui.ui.screens.window import Window

FIELDS = (
    ("name", "name", "the recipe's name if empty"),
    ("steps", "steps", ""),
    ("data", "data", "your own text file, or a folder of pictures with captions"),
    ("set", "set", "other settings, as in  width=384 layers=8"),
)

SET_FROM = "as in  learning_rate=3e-4 batch=32"


class Source(NamedTuple):
    """A run to start from: its recipe, the steps it has checkpoints of, and the one offered."""

    run: RunDir
    name: str
    recipe: Recipe
    steps: tuple[int, ...]
    chosen: int


class NewRunScreen(Window[RunDir | None]):
    """Dismissed with the run once its trainer is started, or None.

    With a `source` its checkpoints are there to choose from in place of the recipes.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("ctrl+s", "start", "Start", show=False),
        Binding("enter", "next_field", "Next", show=False),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(self, recipe: str = "", source: Source | None = None) -> None:
        super().__init__()
        self._first = recipe
        self._source = source
        self._starting = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="window new-run"):
            yield RowList(id="recipes")
            yield Static(id="about", markup=False)
            for key, label, placeholder in FIELDS:
                with Horizontal(classes="field"):
                    yield Label(label)
                    yield LineInput(placeholder=placeholder, id=f"field-{key}", compact=True)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        source = self._source
        window.border_title = f"New run from {source.name}" if source else "New run"
        window.border_subtitle = "⏎ next, then start · ^s start now · esc leave"
        rows = self.query_one(RowList)
        if source is not None:
            rows.chosen = str(source.chosen)
            rows.set_rows([_checkpoint_row(step, source) for step in reversed(source.steps)])
        else:
            rows.set_rows([Row(r.name, r.name, r.summary) for r in RECIPES.values()])
            if self._first in RECIPES:
                rows.chosen = self._first
        rows.focus()

    @property
    def recipe(self) -> Recipe:
        """The recipe under the cursor, or that of the run it starts from."""
        return self._source.recipe if self._source else RECIPES[self.query_one(RowList).chosen]

    @on(RowList.Chosen)
    def _describe(self) -> None:
        recipe = self.recipe
        self.query_one("#field-steps", LineInput).placeholder = f"{recipe.steps:,}"
        if self._source is not None:
            fixed = ", ".join(recipe.ARCHITECTURE)
            about = f"The weights fix {fixed}: all other settings may be changed."
            self.query_one("#field-set", LineInput).placeholder = SET_FROM
        else:
            sizes = [
                f"{name} {value}"
                for name, value in dataclasses.asdict(recipe).items()
                if name in {"layers", "width", "heads", "context", "batch", "tokenizer", "patch"}
            ]
            about = f"{recipe.family} on {recipe.dataset} · {' · '.join(sizes)}"
        self.query_one("#about", Static).update(about)

    def _value(self, key: str) -> str:
        return self.query_one(f"#field-{key}", LineInput).value.strip()

    def settings(self) -> dict[str, str]:
        """The overrides as typed. Raises MisuseError, one line, for what cannot be."""
        settings = parse_settings(self._value("set").split())
        if steps := self._value("steps"):
            settings["steps"] = steps.replace(",", "")
        if data := self._value("data"):
            settings["data"] = data
        override(self.recipe, settings)
        return settings

    # --- keys -------------------------------------------------------------------------

    @on(LineInput.Submitted)
    def action_next_field(self) -> None:
        """Enter goes down the form; in its last field it starts."""
        focused = self.focused
        if focused is not None and focused.id == f"field-{FIELDS[-1][0]}":
            self.action_start()
        else:
            self.focus_next()

    def action_leave(self) -> None:
        self.leave(None)

    @on(LineInput.Cancelled)
    def _cancelled(self) -> None:
        self.leave(None)

    @on(LineInput.Changed)
    def _typed(self) -> None:
        self.query_one(".fault", Static).update("")

    def action_start(self) -> None:
        """Check, and start the trainer."""
        if self._starting:
            return
        try:
            settings = self.settings()
        except MisuseError as error:
            self._refuse(error)
            return
        self._starting = True
        start_from = ""
        if self._source is not None:
            step = int(self.query_one(RowList).chosen)
            start_from = str(self._source.run.checkpoint(step))
        self._launch(self.recipe, settings, self._value("name"), start_from)

    def _refuse(self, error: GenuiError) -> None:
        self._starting = False
        self.query_one(".fault", Static).update(clean_line(str(error).removeprefix("--set ")))

    @work(exit_on_error=False)
    async def _launch(
        self, recipe: Recipe, settings: dict[str, str], name: str, start_from: str
    ) -> None:
        try:
            run = await asyncio.to_thread(start_run, recipe, settings, name, start_from)
        except GenuiError as error:
            self._refuse(error)
        else:
            self.leave(run)


def start_run(recipe: Recipe, settings: dict[str, str], name: str, start_from: str = "") -> RunDir:
    """Launch a trainer, once the data path is known to exist. Touches the disk."""
    data = settings.get("data", "")
    if data and not Path(data).expanduser().exists():
        raise MisuseError(f"{data}: no such file or folder; give a text file or a folder")
    return launch(recipe, settings, name, start_from)


def _checkpoint_row(step: int, source: Source) -> Row:
    return Row(str(step), f"step {step:,}", "newest" if step == source.steps[-1] else "")
