"""The command palette's machinery: everything that can be done, searched by what it is called."""

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
    """Textual's palette, closed once: what is under way to it after that is not for it."""

    _searched = ""  # what the list is for
    _gathering: Worker[None] | None = None

    def _gather_commands(self, search_value: str) -> Worker[None]:
        self._searched = search_value
        self._gathering = super()._gather_commands(search_value)
        return self._gathering

    def ready_for(self, key: str) -> bool:
        """Whether a key can be answered: keys of the list wait until that is complete."""
        if not self.usable or key not in _IN_THE_LIST:
            return self.usable
        if self.query_one(CommandInput).value.strip() != self._searched:
            return False
        if self._gathering is None or not self._gathering.is_finished:
            return False
        rows = self.query_one(CommandList)
        return not rows.option_count or bool(rows.scrollable_content_region)

    def _action_command_list(self, action: str) -> None:
        """There are no pages where the list has no room."""
        if self.query_one(CommandList).scrollable_content_region or "page" not in action:
            super()._action_command_list(action)


class Palette(Provider):
    """Offers what `commands` lists; a screen names its own in COMMANDS."""

    def commands(self) -> Iterator[Command]:
        """Every command there is now, what is likeliest to be wanted first."""
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
        """Do it, unless the screen that it is for has been left since."""
        screen = self.screen
        if isinstance(screen, DeafWhenLeaving) and screen.usable:
            return command.run()
        return None


def key_commands(
    scope: Scope, rows: Iterable[Key], press: Callable[[Key], Coroutine[Any, Any, None]]
) -> Iterator[Command]:
    """What the keys do, by name; `press` does it."""
    for key in rows:
        if key.id != "app.palette":
            yield Command(
                f"{keys.TITLES[scope]}: {key.description}",
                f"{key.tooltip}  ({' '.join(keys.readable(key.keys))})",
                lambda key=key: press(key),
            )


def theme_commands(app: App[Any]) -> Iterator[Command]:
    """Every theme."""
    for theme in app.available_themes:
        yield Command(f"Theme {theme}", "Change the colours", lambda t=theme: _dress(app, t))


def _dress(app: App[Any], theme: str) -> None:
    app.theme = theme
