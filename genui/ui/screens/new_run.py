"""The window that starts a training: a recipe, and what to change of it."""

import asyncio
import dataclasses
from pathlib import Path
from typing import ClassVar

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


class NewRunScreen(Window[RunDir | None]):
    """Dismissed with the run once its trainer is started, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("ctrl+s", "start", "Start", show=False),
        Binding("enter", "next_field", "Next", show=False),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(self, recipe: str = "") -> None:
        super().__init__()
        self._first = recipe
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
        window.border_title = "New run"
        window.border_subtitle = "⏎ next, then start · ^s start now · esc leave"
        rows = self.query_one(RowList)
        rows.set_rows([Row(r.name, r.name, r.summary) for r in RECIPES.values()])
        if self._first in RECIPES:
            rows.chosen = self._first
        rows.focus()

    @property
    def recipe(self) -> Recipe:
        """The recipe under the cursor."""
        return RECIPES[self.query_one(RowList).chosen]

    @on(RowList.Chosen)
    def _describe(self) -> None:
        recipe = self.recipe
        self.query_one("#field-steps", LineInput).placeholder = f"{recipe.steps:,}"
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
        self._launch(self.recipe, settings, self._value("name"))

    def _refuse(self, error: GenuiError) -> None:
        self._starting = False
        self.query_one(".fault", Static).update(clean_line(str(error).removeprefix("--set ")))

    @work(exit_on_error=False)
    async def _launch(self, recipe: Recipe, settings: dict[str, str], name: str) -> None:
        try:
            run = await asyncio.to_thread(start_run, recipe, settings, name)
        except GenuiError as error:
            self._refuse(error)
        else:
            self.leave(run)


def start_run(recipe: Recipe, settings: dict[str, str], name: str) -> RunDir:
    """Launch a trainer, once the data path is known to exist. Touches the disk."""
    data = settings.get("data", "")
    if data and not Path(data).expanduser().exists():
        raise MisuseError(f"{data}: no such file or folder; give a text file or a folder")
    return launch(recipe, settings, name)
