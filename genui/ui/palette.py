"""The command palette: a searchable list of all commands."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from textual.app import App
from textual.command import (
    CommandInput,
    CommandList,
    CommandPalette,
    DiscoveryHit,
    Hit,
    Hits,
    Provider,
)
from textual.types import IgnoreReturnCallbackType
from textual.worker import Worker

from genui.ui import keys
from genui.ui.keys import Key, Scope
from genui.ui.widgets.base import DeafWhenLeaving

_IN_THE_LIST = frozenset({"enter", "up", "down", "pageup", "pagedown", "ctrl+home", "ctrl+end"})


class Command(NamedTuple):
    """One line of the palette."""

    title: str
    help: str
    run: IgnoreReturnCallbackType


class PaletteScreen(DeafWhenLeaving, CommandPalette):
    """Textual's palette; once it closes it ignores further input."""

    _query = ""  # of the list
    _gathering: Worker[None] | None = None

    def _gather_commands(self, search_value: str) -> Worker[None]:
        self._query = search_value
        self._gathering = super()._gather_commands(search_value)
        return self._gathering

    def ready_for(self, key: str) -> bool:
        """Whether a key can be handled: keys of the list only once the list is complete."""
        if not self.usable or key not in _IN_THE_LIST:
            return self.usable
        if self.query_one(CommandInput).value.strip() != self._query:
            return False
        if self._gathering is None or not self._gathering.is_finished:
            return False
        rows = self.query_one(CommandList)
        return not rows.option_count or bool(rows.scrollable_content_region)

    def _action_command_list(self, action: str) -> None:
        """Page keys do nothing while the list has no height."""
        if self.query_one(CommandList).scrollable_content_region or "page" not in action:
            super()._action_command_list(action)


class Palette(Provider):
    """Offers `commands`; a screen names its providers in COMMANDS."""

    def commands(self) -> Iterator[Command]:
        """All current commands, the most likely first."""
        raise NotImplementedError

    async def discover(self) -> Hits:
        for command in self.commands():
            yield DiscoveryHit(command.title, partial(self._run, command), help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self.commands():
            score = max(matcher.match(command.title), 0.8 * matcher.match(command.help))
            if score > 0:
                title = matcher.highlight(command.title)
                yield Hit(score, title, partial(self._run, command), help=command.help)

    def _run(self, command: Command) -> Any:
        """Run a command, unless its screen has been left."""
        screen = self.screen
        if isinstance(screen, DeafWhenLeaving) and screen.usable:
            return command.run()
        return None


def list_key_commands(
    scope: Scope, rows: Iterable[Key], press: Callable[[Key], Coroutine[Any, Any, None]]
) -> Iterator[Command]:
    """The actions of keys; `press` runs one."""
    for key in rows:
        if key.id != "app.palette":
            yield Command(
                f"{keys.TITLES[scope]}: {key.description}",
                f"{key.tooltip}  ({' '.join(keys.readable(key.keys))})",
                lambda key=key: press(key),
            )


def list_theme_commands(app: App[Any]) -> Iterator[Command]:
    """A command for each theme."""
    for theme in app.available_themes:
        yield Command(f"Theme {theme}", "Change the colours", lambda t=theme: _set_theme(app, t))


def _set_theme(app: App[Any], theme: str) -> None:
    app.theme = theme
