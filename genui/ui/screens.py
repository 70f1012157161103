"""The base of the app's screens, and the command palette."""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, cast

from rich.cells import cell_len
from textual import events, on
from textual.command import (
    CommandInput,
    CommandList,
    CommandPalette,
    DiscoveryHit,
    Hit,
    Hits,
    Provider,
)
from textual.content import Content
from textual.screen import Screen
from textual.types import IgnoreReturnCallbackType
from textual.widgets import Input

from genui.base.late import late_imports
from genui.base.text import clean, clean_line
from genui.ui import keys, messages
from genui.ui.keys import Key, Scope
from genui.ui.lifecycle import guard, is_usable
from genui.ui.matching import Match, find_typed, match_name
from genui.ui.terminal import get_images
from genui.ui.textual_parts import show_busy_while
from genui.ui.watcher import RunView
from genui.ui.widgets.bars import StatusLine
from genui.ui.widgets.lists import ListRow

with late_imports():
    from genui.ui import jump, key_help, manual
    from genui.ui.widgets import dialogs
    from genui.ui.widgets import image as image_widgets

if TYPE_CHECKING:
    from genui.ui.app import Shell
    from genui.ui.jump import Target

T = TypeVar("T")

_LIST_KEYS = frozenset({"enter", "up", "down", "pageup", "pagedown", "ctrl+home", "ctrl+end"})


class Copyable(NamedTuple):
    """Something to copy: what it is, and its text."""

    name: str
    text: str


MAX_COPIED = 100_000  # characters: terminals ignore longer ones


class Command(NamedTuple):
    """An entry of the palette, on one line: `name` at the left, then `note`.

    `title` is searched too, and by it the app remembers that the command was used; `name` is the
    title by default, `note` the help.
    """

    title: str
    help: str
    run: IgnoreReturnCallbackType
    name: str = ""
    note: str = ""


class StatusEntry(NamedTuple):
    """A message that was shown."""

    at: float  # seconds since 1970
    line: str
    kind: Literal["error", "note"]


@show_busy_while(is_usable)
@guard
class PaletteScreen(CommandPalette):
    """Textual's palette, which ignores input once it is closed."""

    _searched = ""  # the text that the current list is for

    @on(Input.Changed)
    def _note_search(self, event: Input.Changed) -> None:
        """Textual's handler, which is called after this one, begins the search."""
        self._searched = event.value.strip()

    def ready_for(self, key: str) -> bool:
        """Whether a key can be handled: a key of the list only once the list is complete."""
        if not is_usable(self) or key not in _LIST_KEYS:
            return is_usable(self)
        if self.query_one(CommandInput).value.strip() != self._searched:
            return False
        if any(worker.node is self for worker in self.workers):
            return False
        rows = self.query_one(CommandList)
        return not rows.option_count or bool(rows.scrollable_content_region)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable page keys while the list has no height."""
        if not super().check_action(action, parameters):
            return False
        pages = action == "command_list" and parameters in (("page_up",), ("page_down",))
        return not pages or bool(self.query_one(CommandList).scrollable_content_region)


class Palette(Provider):
    """Lists the commands of the screen."""

    _preparation: "asyncio.Task[None] | None" = None

    async def startup(self) -> None:
        """Start to read the data of the commands; each search waits for it.

        In a task of its own: Textual's searches await this method, and a search that the next
        letter cancels would cancel it too. The list would stay empty.
        """
        if isinstance(self.screen, AppScreen):
            self._preparation = asyncio.create_task(self.screen.prepare_commands())

    async def _list_commands(self) -> Iterable[Command]:
        if self._preparation is not None:
            await asyncio.wait({self._preparation})
        return self.screen.commands() if isinstance(self.screen, AppScreen) else ()

    async def discover(self) -> Hits:
        recent = cast("Shell", self.app).recent
        commands = {command.title: command for command in await self._list_commands()}
        known = [title for title in recent if title in commands]
        for title in dict.fromkeys([*known, *commands]):
            command = commands[title]
            name = command.name or title
            line = _line(Content(name), name, command, "recent" if title in known else "")
            yield DiscoveryHit(line, partial(self._run, command), text=title)

    async def search(self, query: str) -> Hits:
        """List at most a screenful, the best matches first; abbreviations only if there are no
        others."""
        ranked = [(_rank(query, command), command) for command in await self._list_commands()]
        best = max((rank for rank, _ in ranked), default=Match.NONE)
        least = min(best, Match.ELSEWHERE) or Match.ABBREVIATION
        found = [(rank, command) for rank, command in ranked if rank >= least]
        found.sort(key=lambda one: -one[0])  # keeps the order of equal ones
        room = max(round(self.screen.size.height * LIST_SHARE) - LIST_MARGIN, LEAST_LISTED)
        for place, (_, command) in enumerate(found[:room]):
            name = command.name or command.title
            shown = Content(name)
            for start, end in find_typed(query, name):
                shown = shown.stylize(self.match_style or "reverse", start, end)
            line = _line(shown, name, command)
            yield Hit(1 - place / room, line, partial(self._run, command), text=command.title)

    def _run(self, command: Command) -> Any:
        """Run a command, unless its screen has been closed."""
        screen = self.screen
        if isinstance(screen, AppScreen) and is_usable(screen):
            self.app.post_message(messages.Performed(command.title))
            return command.run()
        return None


LIST_SHARE, LIST_MARGIN = 0.7, 3  # of the height of the screen for the palette's list; rows less
LEAST_LISTED = 4


def _rank(typed: str, command: Command) -> Match:
    """Return how a command matches, by its name, or by the title without the pane."""
    title = command.title.partition(": ")[2] or command.title
    about = f"{command.title} {command.help} {command.note}"
    return max(match_name(typed, command.name or title, about), match_name(typed, title, about))


NAME_CELLS = 44  # of a command in the palette, after which its note begins


def _line(shown: Content, name: str, command: Command, mark: str = "") -> Content:
    """A command on one line: its highlighted name, then its note."""
    gap = " " * max(2, NAME_CELLS - cell_len(name))
    note = " · ".join(filter(None, (mark, command.note or command.help)))
    return Content.assemble(shown, gap, (note, "$text-muted not bold"))


# --- A full screen ----------------------------------------------------------------------------


@guard
class AppScreen(Screen[T], Generic[T]):
    """A screen with a header, a footer and a status line."""

    COMMANDS: ClassVar = {Palette}
    AUTO_FOCUS = ""

    @property
    def shell(self) -> "Shell":
        return cast("Shell", self.app)

    @property
    def scope(self) -> Scope:
        """The current part of the table of keys."""
        raise NotImplementedError

    def update_bars(self) -> None:
        """Update the header and the footer."""
        raise NotImplementedError

    def show_run(self, view: RunView) -> None:
        """Show a new view of a watched run, if the screen shows runs."""

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """Show one line above the footer, and keep it for the list of messages."""
        self.query_one(StatusLine).say(line, kind)
        if kind != "hint":
            self.shell.status_entries.appendleft(StatusEntry(time.time(), line, kind))

    def heed_key(self) -> None:
        """Hide an error, which has been there until a key was pressed."""
        if is_usable(self) and (status := self.query_one(StatusLine)).kind == "error":
            status.clear_line()

    @on(messages.ShowStatus)
    def _show_message(self, event: messages.ShowStatus) -> None:
        event.stop()
        self.say(event.line, event.kind)

    @on(messages.KeysChanged)
    def _keys_changed(self) -> None:
        self.update_bars()

    @on(messages.Acted)
    def clear_line(self) -> None:
        self.query_one(StatusLine).clear_line()

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _dim_images(self) -> None:
        """Dim images in pixels under a window, as Textual dims the cells.

        Not in sixel, which takes too many bytes.
        """
        images = get_images(self.app)
        if images is not None and images.protocol != "sixel":
            for image in self.query(image_widgets.ImageView):
                image.redraw()

    def targets(self) -> "list[Target]":
        """The panes and fields that jump mode has letters for."""
        return jump.list_fields(self)

    async def press(self, key: Key) -> None:
        await self.app.run_action(key.action, self)

    def action_help(self) -> None:
        self.app.push_screen(key_help.HelpScreen(self.scope, self.shell.user_keys))

    def action_manual(self, medium: str = "") -> None:
        """Open the manual at the page of the focused pane or the medium."""
        self.app.push_screen(manual.ManualScreen(self.scope, medium, self.shell.user_keys))

    def copyables(self) -> list[Copyable]:
        """The texts that can be copied now, the most likely first."""
        return []

    def action_copy(self) -> None:
        """Copy the shown text to the terminal's clipboard; if there are several, the chosen one."""
        offered = self.copyables()
        if len(offered) < 2:
            self._copy(offered[0] if offered else None)
            return
        rows = [
            ListRow(str(n), one.name, clean_line(one.text, 60)) for n, one in enumerate(offered)
        ]
        window = dialogs.ChooseScreen("Copy", rows, "copy", "")
        dialogs.ask(self, window, lambda key: self._copy(offered[int(key)]))

    def _copy(self, one: Copyable | None) -> None:
        if one is None:
            self.say("nothing to copy here yet", "note")
            return
        text = clean(one.text)[:MAX_COPIED]
        self.app.copy_to_clipboard(text)
        size = f", {len(text):,} characters" if len(text) > 80 else f": {clean_line(text)}"
        self.say(f"copied the {one.name}{size}", "note")

    def action_messages(self) -> None:
        """Show the messages of the last minutes in full."""
        self.app.push_screen(dialogs.MessagesScreen(self.shell.status_entries))

    async def action_undo(self) -> None:
        """Undo the last action, on any screen."""
        await self.run_action("app.undo")

    def action_quit(self) -> None:
        """Close the app; training runs continue."""
        self.app.exit()

    # --- the palette ------------------------------------------------------------------

    async def prepare_commands(self) -> None:
        """Read what `commands` needs from disk, when the palette opens."""

    def commands(self) -> Iterator[Command]:
        """List the current commands, the most likely first."""
        raise NotImplementedError

    def list_key_commands(self, scope: Scope, rows: Iterable[Key]) -> Iterator[Command]:
        titles = keys.titles()
        for key in rows:
            if key.id != "app.palette":
                title = titles[scope]
                shown = " ".join(keys.format_keys(self.shell.user_keys.get(key.id, key.keys)))
                yield Command(
                    f"{title}: {key.description}",
                    key.tooltip,
                    partial(self.press, key),
                    name=name_action(key.tooltip),
                    note=f"{title}  {shown}",
                )

    def list_theme_commands(self) -> Iterator[Command]:
        help = "Light or dark, previewed as you move"
        yield Command("Choose a theme", help, self._choose_theme)
        for name, theme in sorted(self.app.available_themes.items()):
            kind = "dark" if theme.dark else "light"
            chosen = partial(self.app.post_message, messages.ThemeChosen(name))
            yield Command(f"Choose theme {name}", f"A {kind} theme", chosen)

    def _choose_theme(self) -> None:
        window = dialogs.ThemeScreen(sorted(self.app.available_themes), self.app.theme)
        dialogs.ask(self, window, lambda theme: self.app.post_message(messages.ThemeChosen(theme)))


class PaneScreen(AppScreen[messages.ViewName]):
    """A screen with the pane of a kind. Dismissed with the next view; it stays installed and is
    shown again as it was left."""

    def open_saved(self, path: Path) -> None:
        raise NotImplementedError

    def action_view(self, view: messages.ViewName) -> None:
        """Leave for another view."""
        raise NotImplementedError


def name_action(tooltip: str) -> str:
    """The first clause of what a key does: "Add noise back, to the level …" is "Add noise back"."""
    return re.split(r"[,:;(]", tooltip, maxsplit=1)[0].strip()
