"""The command palette: every action, model, run, recipe and theme, by name."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from genui.errors import GenuiError
from genui.protocol import TextSettings
from genui.recipes import RECIPES
from genui.render.sanitise import clean_line
from genui.ui import keys
from genui.ui.keys import Key, Scope
from genui.ui.screens.home import HomeScreen

if TYPE_CHECKING:
    from genui.saved import Listed


class Command(NamedTuple):
    """One line of the palette."""

    title: str
    help: str
    run: IgnoreReturnCallbackType


async def run_key(app: App[Any], home: HomeScreen, key: Key) -> None:
    """Do what the key does, wherever the focus is."""
    if key.pane != "app" and home.current != key.pane:
        home.action_show_pane(key.pane)
    namespace = home if key.pane == "app" else home.query_one(f"#{key.pane}")
    await app.run_action(key.action, namespace)


class GenuiCommands(Provider):
    """Everything that can be done, searched by what it is called."""

    _saved: "tuple[Listed, ...]" = ()

    async def startup(self) -> None:
        """The saved traces, read on a thread when the palette opens."""
        from genui.saved import list_trees

        with contextlib.suppress(OSError, GenuiError):  # the other commands do without them
            self._saved = tuple(await asyncio.to_thread(list_trees))

    def _commands(self) -> Iterator[Command]:
        home, app = self.screen, self.app
        if not isinstance(home, HomeScreen):
            return

        def action(key: Key) -> IgnoreReturnCallbackType:
            async def run() -> None:
                await run_key(app, home, key)

            return run

        panes: list[Scope] = [home.current, *(p for p in keys.TITLES if p != home.current)]
        for pane in panes:
            for key in keys.of_pane(pane):
                if key.id == "app.palette":
                    continue
                yield Command(
                    f"{keys.TITLES[pane]}: {key.description}",
                    f"{key.tooltip}  ({' '.join(keys.readable(key.keys))})",
                    action(key),
                )
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
        for theme in app.available_themes:
            yield Command(f"Theme {theme}", "Change the colours", lambda t=theme: _dress(app, t))

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(command.title, command.run, help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            score = max(matcher.match(command.title), 0.8 * matcher.match(command.help))
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.run, help=command.help)


def saved_command(home: HomeScreen, listed: "Listed") -> Command:
    """Opens a saved trace; one that cannot be read says so."""
    tree = listed.tree
    if tree is None:
        name = f"Open saved trace {clean_line(listed.path.name, 60)}, which is damaged"
        return Command(name, clean_line(listed.fault), lambda: home.say(clean_line(listed.fault)))
    when = time.strftime("%d %B %H:%M", time.localtime(tree.created))
    count = len(tree.branches)
    branches = "1 branch" if count == 1 else f"{count} branches"
    medium = "text" if isinstance(tree.recipe.settings, TextSettings) else "image"
    return Command(
        f"Open saved trace {clean_line(tree.name, 60)}",
        f"{clean_line(tree.recipe.model, 40)}, {branches}, saved {when}",
        lambda: home.open_saved(listed.path, medium),
    )


def _dress(app: App[Any], theme: str) -> None:
    app.theme = theme
