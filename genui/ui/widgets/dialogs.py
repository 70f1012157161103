"""The base of windows, and the small ones: question, list, value, form and messages."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.ui import keys
from genui.ui.lifecycle import guard, is_usable
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import ListRow, RowList

if TYPE_CHECKING:
    from genui.ui.screens import StatusEntry

T = TypeVar("T")


@guard
class Window(ModalScreen[T], Generic[T]):
    """A modal screen that closes once."""

    def set_titles(self, title: str, keys: str) -> None:
        """Show `title` in the upper border, and `keys` in the lower one."""
        set_border(self.query_one(".window"), title, keys)

    def leave(self, result: T | None = None) -> None:
        """Close with `result`; a second Enter or Esc does nothing."""
        if self.is_active:
            self.dismiss(result)

    def action_leave(self) -> None:
        """Close without a result."""
        self.leave()

    @on(LineInput.Cancelled)
    def _cancelled(self) -> None:
        self.action_leave()

    def begin_typing(self) -> None:
        """Focus the first input."""
        self.set_focus(self.query(LineInput).first())

    def show_fault(self, line: str) -> None:
        """Show why the input is invalid, below it, while the window is open; "" removes it."""
        if is_usable(self):
            self.query_one(".fault", Static).update(line)


def ask(host: DOMNode, window: Window[T | None], use: Callable[[T], object]) -> None:
    """Open a window, and call `use` with its result, unless it closes without one."""

    def closed(result: T | None) -> None:
        if result is not None:
            use(result)

    host.app.push_screen(window, closed)


# --- A question that is answered by yes or no -------------------------------------------------


class ConfirmScreen(Window[bool | None]):
    """Dismissed with True by y or Enter, with None by n or Esc.

    `question` is the title, `text` says what happens then, and `instead` what Esc does.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "agree", "Yes", show=False),
        Binding("n,escape,q", "leave", "No", show=False),
    ]

    def __init__(self, question: str, text: str, verb: str, instead: str = "cancel") -> None:
        super().__init__()
        self._question = question
        self._text = text
        self._keys = f"y or ⏎ {verb} · esc {instead}"

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        self.set_titles(self._question, self._keys)

    def action_agree(self) -> None:
        self.leave(True)


# --- A list to choose from --------------------------------------------------------------------


class ChooseScreen(Window[str | None]):
    """Dismissed with the key of the chosen row, or None by Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", show=False),
        Binding("escape,q", "leave", "Leave", show=False),
    ]

    def __init__(self, title: str, rows: Sequence[ListRow], verb: str, empty: str) -> None:
        super().__init__()
        self._title = title
        self._rows = tuple(rows)
        self._verb = verb
        self._empty = empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="window choose"):
            yield RowList()

    def on_mount(self) -> None:
        self.write_titles()
        rows = self.query_one(RowList)
        rows.set_rows(self._rows, self._empty)
        rows.focus()

    @property
    def title_text(self) -> str:
        return self._title

    def write_titles(self) -> None:
        keys = f"⏎ {self._verb} · esc cancel" if self._rows else "esc close"
        self.set_titles(self.title_text, keys)

    @on(RowList.Opened)
    def action_take(self) -> None:
        if chosen := self.query_one(RowList).chosen:
            self.leave(chosen)


class ThemeScreen(ChooseScreen):
    """Shows the app in each theme as it is chosen. Esc brings the earlier one back."""

    def __init__(self, themes: Sequence[str], current: str) -> None:
        super().__init__("Theme", [ListRow(name, name) for name in themes], "keep", "")
        self._current = current

    def on_mount(self) -> None:
        self.query_one(RowList).chosen = self._current

    @on(RowList.Chosen)
    def _preview(self, event: RowList.Chosen) -> None:
        if self.is_active:
            self.app.theme = event.key

    def action_leave(self) -> None:
        self.app.theme = self._current
        super().action_leave()


# --- A form -----------------------------------------------------------------------------------


class Field(NamedTuple):
    """A line of a form."""

    label: str
    value: str = ""
    placeholder: str = ""


class Form(Window[T], Generic[T]):
    """Lines one below the other; Enter in the last one ends the form.

    Its keys have priority: the focus moves at once, so that keys typed right after them reach the
    next line.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", "Previous", show=False, priority=True),
        Binding("enter", "next_field", "Next", show=False, priority=True),
        Binding("down", "move(1)", "Next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", show=False, priority=True),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the last line Enter and the text typed before it are handled in order."""
        if action == "next_field" and self.focused is self.query(LineInput).last():
            return False
        return super().check_action(action, parameters)

    def action_next_field(self) -> None:
        self.focus_next()

    def action_move(self, by: int) -> None:
        """Move to the line below or above."""
        (self.focus_next if by > 0 else self.focus_previous)()


class FormScreen(Form[T | None], Generic[T]):
    """Dismissed with the result of `parse` of the lines, in order, or None by Esc.

    `parse` raises MisuseError for invalid lines; its message is shown and the window stays.
    """

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        hint: str,
        parse: Callable[[list[str]], T],
        verb: str = "start",
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = tuple(fields)
        self._hint = hint
        self._parse = parse
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="window form" if self._fields[0].label else "window"):
            for label, value, placeholder in self._fields:
                line = LineInput(value, placeholder=placeholder, compact=True)
                if not label:
                    yield line
                    continue
                with Horizontal(classes="field"):
                    yield Label(label, markup=False)
                    yield line
            yield Static(self._hint, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        verb = f"next, then {self._verb}" if len(self._fields) > 1 else self._verb
        self.set_titles(self._title, f"⏎ {verb} · esc cancel")
        self.begin_typing()

    @on(LineInput.Submitted)
    def _submitted(self) -> None:
        lines = list(self.query(LineInput))
        try:
            self.leave(self._parse([line.value for line in lines]))
        except MisuseError as error:
            self.show_fault(str(error))

    @on(LineInput.Changed)
    def _typed(self) -> None:
        self.show_fault("")


def make_value_screen(
    title: str, value: str, hint: str, parse: Callable[[str], T], verb: str = "set"
) -> FormScreen[T]:
    """A form of one line, which needs no label."""
    return FormScreen(title, [Field("", value)], hint, lambda lines: parse(lines[0]), verb)


# --- Help -------------------------------------------------------------------------------------


class ReadScreen(Window[None]):
    """A text to read and scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,space", "leave", "Back", show=False),
        Binding("j,down", "scroll_by(1)", "Down", show=False),
        Binding("k,up", "scroll_by(-1)", "Up", show=False),
    ]

    def on_mount(self) -> None:
        self.query_one(".window").focus()

    def action_scroll_by(self, lines: int) -> None:
        self.query_one(".window").scroll_relative(y=lines, animate=False)


class LinesScreen(ReadScreen):
    """Lines under a title."""

    def __init__(self, title: str, lines: "Iterable[str]") -> None:
        super().__init__()
        self._title, self.lines = title, list(lines)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="window help"):
            yield Static("\n".join(map(clean, self.lines)), markup=False)

    def on_mount(self) -> None:
        self.set_titles(self._title, "esc close")


class MessagesScreen(ReadScreen):
    """The messages that were shown last, each in full, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.MESSAGES.keys, "leave", "Back", show=False)
    ]

    def __init__(self, entries: "Iterable[StatusEntry]") -> None:
        super().__init__()
        self._entries = list(entries)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="window help"):
            if not self._entries:
                yield Static("no message yet", classes="hint")
            for one in self._entries:
                when = time.strftime("%H:%M:%S", time.localtime(one.at))
                with Horizontal(classes="said"):
                    yield Static(when, classes="when")
                    yield Static(clean(one.line), classes=f"what -{one.kind}", markup=False)

    def on_mount(self) -> None:
        self.set_titles("Messages, the newest first", "esc close")
