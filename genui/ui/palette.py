"""The command palette's machinery: everything that can be done, searched by what it is called."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, NamedTuple

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from genui.ui import keys
from genui.ui.key import Key, Scope


class Command(NamedTuple):
    """One line of the palette."""

    title: str
    help: str
    run: IgnoreReturnCallbackType


class Palette(Provider):
    """Offers what `commands` lists; a screen names its own in COMMANDS."""

    def commands(self) -> Iterator[Command]:
        """Every command there is now, what is likeliest to be wanted first."""
        raise NotImplementedError

    async def discover(self) -> Hits:
        for command in self.commands():
            yield DiscoveryHit(command.title, command.run, help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self.commands():
            score = max(matcher.match(command.title), 0.8 * matcher.match(command.help))
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.run, help=command.help)


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
