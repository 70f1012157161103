"""What was kept as a favourite, to open again or let go."""

import asyncio
import time
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from genui.errors import GenuiError
from genui.render.sanitise import clean_line
from genui.saved import Listed, TraceRecipe, drop_favourite, list_favourites
from genui.ui.panes.rows import Row, RowList
from genui.ui.screens.window import Window

EMPTY = "None yet: * in Text or Canvas, or among variations, keeps what is shown"


class Favourite(NamedTuple):
    """One that was chosen."""

    path: Path
    recipe: TraceRecipe


class FavouritesScreen(Window[Favourite | None]):
    """Dismissed with the favourite to open, or None. The list is read on a thread."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Open", show=False),
        Binding("d,delete", "drop", "Let go", show=False),
        Binding("escape,q,F", "leave", "Leave", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._listed: tuple[Listed, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="window branches"):
            yield RowList(empty="looking …")
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_title = "Favourites"
        window.border_subtitle = (
            "⏎ open · d let go · genui sheet makes a picture of all · esc leave"
        )
        self.query_one(RowList).focus()
        self._read()

    @work(group="favourites", exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._listed = tuple(await asyncio.to_thread(list_favourites))
        except (GenuiError, OSError) as error:
            self._say(str(error))
        self.query_one(RowList).set_rows([_row(listed) for listed in self._listed], EMPTY)

    @property
    def _chosen(self) -> Listed | None:
        key = self.query_one(RowList).chosen
        return next((listed for listed in self._listed if str(listed.path) == key), None)

    @on(RowList.Opened)
    def action_take(self) -> None:
        listed = self._chosen
        if listed is None:
            return
        if listed.tree is None:
            self._say(listed.fault)
        else:
            self.leave(Favourite(listed.path, listed.tree.recipe))

    def action_drop(self) -> None:
        """It is no favourite any more: its file goes."""
        if (listed := self._chosen) is None:
            return
        try:
            drop_favourite(listed.path)
        except GenuiError as error:
            self._say(str(error))
        else:
            self._say("")
            self._read()

    def action_leave(self) -> None:
        self.leave(None)

    def _say(self, line: str) -> None:
        self.query_one(".fault", Static).update(clean_line(line))


def _row(listed: Listed) -> Row:
    tree = listed.tree
    if tree is None:
        return Row(str(listed.path), clean_line(listed.path.name, 60), "damaged", "✗", "bad")
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    model = clean_line(tree.recipe.model, 24)
    return Row(str(listed.path), clean_line(tree.name, 60), f"{model} · {when}", "★", "good")
