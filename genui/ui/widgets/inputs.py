"""Lines in which a text is typed."""

import asyncio
import contextlib
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from genui.ui.lifecycle import KeyAnswered
from genui.ui.messages import KeysChanged
from genui.ui.textual_parts import own_bindings

CLOSING_KEYS = ("enter", "escape")


class LineInput(Input):
    """Enter posts Input.Submitted, Esc LineInput.Cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]
    hints: tuple[tuple[str, str], ...] = (("⏎", "use"), ("esc", "cancel"))
    """The keys of the line and their actions, for the footer."""

    class Cancelled(Message):
        """Esc was pressed."""

    _closing_key = False  # whether the last key was Enter or Esc

    def on_focus(self) -> None:
        self.post_message(KeysChanged())

    def on_blur(self) -> None:
        self.post_message(KeysChanged())

    async def on_key(self, event: events.Key) -> None:
        """Run the bindings of the line at once.

        Textual would first send the key through the whole app, so that letters typed after a
        backspace would be inserted before it deletes.
        """
        bindings = own_bindings(self)
        if not event.is_printable and event.key in bindings.key_to_bindings:
            event.stop()
            event.prevent_default()
            for binding in bindings.get_bindings_for_key(event.key):
                await self.run_action(binding.action)
            self._closing_key = event.key in CLOSING_KEYS

    @on(KeyAnswered)
    def _follow_answer(self, event: KeyAnswered) -> None:
        """After Enter or Esc, let the widgets around the line handle first what was posted."""
        if self._closing_key:
            self._closing_key = False
            event.stop()
            self.post_message(KeyAnswered())

    def action_cancel(self) -> None:
        self.post_message(self.Cancelled())


class Completer(Suggester):
    """Completes typed text by a function, which returns None if nothing begins like it."""

    def __init__(self, complete: Callable[[str], str | None], on_thread: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete
        self._in_thread = on_thread

    async def get_suggestion(self, value: str) -> str | None:
        if self._in_thread:
            return await asyncio.to_thread(self._complete, value)
        return self._complete(value)


def complete_path(value: str) -> str | None:
    """The path completed; a folder ends with a slash. None if nothing begins like it."""
    folder, start = os.path.split(value)
    with contextlib.suppress(OSError, ValueError):
        names = sorted(os.listdir(os.path.expanduser(folder) or "."))
        for name in names:
            if name.startswith(start) and (start or not name.startswith(".")):
                path = os.path.join(folder, name)
                return path + "/" * os.path.isdir(os.path.expanduser(path))
    return None


def parse_path(text: str) -> str:
    """A path as it was typed, or as terminals paste a file that is dropped: in quotes."""
    if not os.path.lexists(text):
        with contextlib.suppress(ValueError):
            text = " ".join(shlex.split(text))
    return os.path.expanduser(text.strip())


class SearchLine(LineInput):
    """A line for a regular expression, hidden until it is opened.

    The text applies at once: each change posts Typed. Enter keeps it; Esc clears it or, with
    `restores`, brings the earlier text back. Both return the focus to where it was.
    """

    hints = (("⏎", "keep"), ("esc", "clear"))
    DEFAULT_CSS = """
    SearchLine { display: none; background: $panel; padding: 0 1; &.-open { display: block; } }
    """

    @dataclass(eq=False)
    class Typed(Message):
        """The text has changed."""

        text: str

    def __init__(
        self, placeholder: str = "type to filter", *, restores: bool = False,
        id: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(placeholder=placeholder, compact=True, id=id)
        self._restores = restores
        self._initial = ""  # the text when it was opened
        self._focused_before: Widget | None = None

    def open(self, text: str | None = None) -> None:
        """Show and focus the line, with this text if given."""
        if text is not None:
            self.value = text
        self._initial = self.value
        if self.screen.focused is not self:
            self._focused_before = self.screen.focused
        self.add_class("-open")
        self.screen.set_focus(self)  # at once: keys may follow

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close()

    def action_cancel(self) -> None:
        self.value = self._initial if self._restores else ""
        self._close()

    def _close(self) -> None:
        self.remove_class("-open")
        self.screen.set_focus(self._focused_before)


class FilterLine(LineInput):
    """A line that filters a list: Enter opens the row that is chosen, ↓ and ↑ go to the list."""

    hints = (("⏎", "open"), ("↓", "to the list"), ("esc", "clear"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "leave(1)", "Next", show=False),
        Binding("up", "leave(-1)", "Previous", show=False),
    ]

    @dataclass(eq=False)
    class Left(Message):
        """Go to the next row of the list, or with -1 to the one before."""

        by: int

    def action_leave(self, by: int) -> None:
        self.post_message(self.Left(by))


def escape_newlines(text: str) -> str:
    """Return a prompt on one line, with new lines as \\n."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape_newlines(text: str) -> str:
    """Return what was typed, with \\n, \\t and \\\\ replaced by their meaning."""
    meanings = {"n": "\n", "t": "\t", "\\": "\\"}
    return re.sub(r"\\(.)", lambda match: meanings.get(match[1], match[0]), text, flags=re.DOTALL)
