"""The base of windows, and the small ones: question, list, value, form, help."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from genui.base.errors import MisuseError
from genui.ui import keys
from genui.ui.keys import Key, Scope
from genui.ui.widgets.base import LifecycleGuard, LineInput, Row, RowList

T = TypeVar("T")


class Window(LifecycleGuard, ModalScreen[T], Generic[T]):
    """A modal screen that closes once. With `typing` it opens with the focus in its first line."""

    typing: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._early: list[events.Key] = []

    def set_titles(self, title: str, keys: str) -> None:
        """The title in the upper border, and the keys in the lower one."""
        window = self.query_one(".window")
        window.border_title, window.border_subtitle = title, keys

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

    def take_early(self, event: events.Key) -> None:
        """Keep a key that was typed before the line was there, as over a slow link."""
        self._early.append(event)

    def begin_typing(self) -> None:
        """Give the first line the focus, and the keys that were typed for it."""
        line = self.query(LineInput).first()
        self.set_focus(line)
        for event in self._early:
            line.take(event)


# --- A question that needs a yes --------------------------------------------------------------


class ConfirmScreen(Window[bool]):
    """Dismissed with True on y or Enter, False on n or Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes", show=False),
        Binding("n,escape,q", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield Static(self._question, markup=False)

    def on_mount(self) -> None:
        self.set_titles(f"{self._verb.capitalize()}?", f"y {self._verb} · esc cancel")

    def action_answer(self, yes: bool) -> None:
        self.leave(yes)


# --- A list to choose from --------------------------------------------------------------------


class ChooseScreen(Window[str | None]):
    """Dismissed with the key of the row that was chosen, or None on Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take", show=False),
        Binding("escape,q", "leave", "Leave", show=False),
    ]

    def __init__(self, title: str, rows: Sequence[Row], verb: str, empty: str) -> None:
        super().__init__()
        self._title = title
        self._rows = tuple(rows)
        self._verb = verb
        self._empty = empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="window choose"):
            yield RowList()

    def on_mount(self) -> None:
        keys = f"⏎ {self._verb} · esc cancel" if self._rows else "esc close"
        self.set_titles(self._title, keys)
        rows = self.query_one(RowList)
        rows.set_rows(self._rows, self._empty)
        rows.focus()

    @on(RowList.Opened)
    def action_take(self) -> None:
        if chosen := self.query_one(RowList).chosen:
            self.leave(chosen)


# --- One value --------------------------------------------------------------------------------


class ValueScreen(Window[T | None], Generic[T]):
    """Dismissed with what `parse` made of the text, or None on Esc.

    `parse` raises MisuseError for invalid text; its message is shown and the window stays.
    """

    typing = True

    def __init__(self, title: str, value: str, hint: str, parse: Callable[[str], T]) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._hint = hint
        self._parse = parse

    def compose(self) -> ComposeResult:
        with Vertical(classes="window"):
            yield LineInput(self._value, compact=True)
            yield Static(self._hint, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        self.set_titles(self._title, "⏎ set · esc cancel")
        self.begin_typing()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        try:
            self.leave(self._parse(event.value))
        except MisuseError as error:
            self.query_one(".fault", Static).update(str(error))


# --- A form -----------------------------------------------------------------------------------


class Field(NamedTuple):
    """One line of a form."""

    label: str
    value: str = ""
    placeholder: str = ""


class FormScreen(Window[T | None], Generic[T]):
    """Dismissed with what `parse` made of the lines, in order, or None on Esc.

    `parse` raises MisuseError for invalid lines; its message is shown and the window stays.
    """

    typing = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    def __init__(
        self, title: str, fields: Sequence[Field], hint: str, parse: Callable[[list[str]], T]
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = tuple(fields)
        self._hint = hint
        self._parse = parse

    def compose(self) -> ComposeResult:
        with Vertical(classes="window form"):
            for label, value, placeholder in self._fields:
                with Horizontal(classes="field"):
                    yield Label(label, markup=False)
                    yield LineInput(value, placeholder=placeholder, compact=True)
            yield Static(self._hint, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        self.set_titles(self._title, "⏎ next, then start · esc cancel")
        self.begin_typing()

    @property
    def _lines(self) -> list[LineInput]:
        return list(self.query(LineInput))

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        """Enter moves to the next line; in the last one it closes the form.

        An Enter typed before the focus had moved is for the line that has it now.
        """
        lines = self._lines
        at = next(at for at, line in enumerate(lines) if line is (self.focused or event.input))
        if at < len(lines) - 1:
            self.set_focus(lines[at + 1])
            return
        try:
            self.leave(self._parse([line.value for line in self._lines]))
        except MisuseError as error:
            self.query_one(".fault", Static).update(str(error))

    @on(LineInput.Changed)
    def _typed(self) -> None:
        self.query_one(".fault", Static).update("")


# --- Help -------------------------------------------------------------------------------------


class HelpScreen(Window[None]):
    """The rows of the table for one pane, then those for everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter,space", "leave", "Back", show=False),
        Binding("f1", "manual", "Manual", show=False),
        Binding("j,down", "scroll_by(1)", "Down", show=False),
        Binding("k,up", "scroll_by(-1)", "Up", show=False),
    ]

    def __init__(self, pane: Scope, keymap: dict[str, str]) -> None:
        super().__init__()
        self._pane: Scope = pane
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="window help"):
            yield Static(help_text(self._pane, self._keymap))

    def on_mount(self) -> None:
        title = f"Keys of {keys.TITLES[self._pane]}"
        self.set_titles(title, "esc close · f1 manual · ctrl+p every action by name")
        self.query_one(".window").focus()

    def action_manual(self) -> None:
        """The manual in place of the keys."""
        from genui.ui.windows import ManualScreen

        self.app.switch_screen(ManualScreen(self._pane, keymap=self._keymap))

    def action_scroll_by(self, lines: int) -> None:
        self.query_one(".window").scroll_relative(y=lines, animate=False)


def help_text(pane: Scope, keymap: dict[str, str]) -> Content:
    """Two blocks of `key  what it does`."""
    own = [] if pane == "app" else keys.of_pane(pane)
    common = keys.common(pane)
    words = {key.id: _words(key, keymap) for key in [*own, *common]}
    width = max(cell_len(word) for word in words.values())
    parts: list[str | tuple[str, str]] = []
    for heading, block in ((keys.TITLES[pane], own), ("Everywhere", common)):
        if block:
            parts.append((f"{heading}\n", "bold $text-muted"))
        for key in block:
            word = words[key.id]
            parts.append((f"  {word}{' ' * (width - cell_len(word))}  ", "bold $primary"))
            parts.append((f"{key.tooltip}\n", "$foreground"))
        if block:
            parts.append("\n")
    parts.append(("In a list ↑ ↓ or j k move; the mouse works too.", "$text-muted"))
    return Content.assemble(*parts)


def _words(key: Key, keymap: dict[str, str]) -> str:
    return "  ".join(keys.readable(keymap.get(key.id, key.keys)))
