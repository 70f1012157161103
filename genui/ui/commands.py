"""The main screen's palette: every action, model, run, recipe and theme, by name."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genui.errors import GenuiError
from genui.recipes import RECIPES
from genui.render.sanitise import clean_line
from genui.ui import keys
from genui.ui.key import Scope
from genui.ui.media import pane_of_saved
from genui.ui.palette import Command, Palette, key_commands, theme_commands
from genui.ui.screens.home import HomeScreen

if TYPE_CHECKING:
    from genui.saved import Listed


class HomeCommands(Palette):
    """What can be done on the main screen."""

    _saved: "tuple[Listed, ...]" = ()

    async def startup(self) -> None:
        """The saved traces, read on a thread when the palette opens."""
        from genui.saved import list_trees

        with contextlib.suppress(OSError, GenuiError):  # the other commands do without them
            self._saved = tuple(await asyncio.to_thread(list_trees))

    def commands(self) -> Iterator[Command]:
        home = self.screen
        if not isinstance(home, HomeScreen):
            return
        scopes: list[Scope] = [home.current, *keys.HOME_SCOPES]
        for scope in dict.fromkeys(scopes):
            yield from key_commands(scope, home.offered_keys(scope), home.press)
        for model in home.models:
            if model.source != "run":
                yield Command(
                    f"Open model {clean_line(model.name)}",
                    clean_line(f"{model.family} on {model.dataset} {model.summary}"),
                    lambda model=model: home.open_model(model),
                )
        for listed in self._saved:
            yield saved_command(home, listed)
        for run in home.runs:
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}"),
                lambda run=run: home.open_run(run.run),
            )
        for recipe in RECIPES.values():
            yield Command(
                f"Train {recipe.name}",
                f"{recipe.summary} ({recipe.family} on {recipe.dataset})",
                lambda recipe=recipe: home.action_new_run(recipe.name),
            )
        yield from theme_commands(self.app)


def saved_command(home: HomeScreen, listed: "Listed") -> Command:
    """Opens a saved trace; one that cannot be read says so."""
    tree = listed.tree
    if tree is None:
        name = f"Open saved trace {clean_line(listed.path.name, 60)}, which is damaged"
        return Command(name, clean_line(listed.fault), lambda: home.say(clean_line(listed.fault)))
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    count = len(tree.branches)
    branches = "1 branch" if count == 1 else f"{count} branches"
    pane = pane_of_saved(tree.recipe, home.models)
    from genui.saved import is_favourite

    what = "favourite" if is_favourite(listed.path) else "saved trace"
    return Command(
        f"Open {what} {clean_line(tree.name, 60)}",
        f"{clean_line(tree.recipe.model, 40)}, {branches}, saved {when}",
        lambda: home.open_saved(listed.path, pane),
    )
