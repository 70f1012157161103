"""The Settings panel: the settings of a pane, one a row, changed and typed in place."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from genui.base.errors import MisuseError
from genui.base.schema import Setting
from genui.ui import keys
from genui.ui.lifecycle import guard, is_usable
from genui.ui.messages import KeysChanged
from genui.ui.widgets.borders import set_border
from genui.ui.widgets.inputs import LineInput
from genui.ui.widgets.lists import ListRow, RowList


class Option(NamedTuple):
    """A row of a Settings panel."""

    name: str
    label: str
    value: str
    help: str
    change: Callable[[int], object] | None = None  # by one step down or up
    use: Callable[[str], object] | None = None  # takes typed text; raises MisuseError
    text: str = ""  # the value, as it is typed
    open: Callable[[], object] | None = None  # opens a window where the value is set
    first: bool = False  # whether it is listed before the others


def option_of(one: Setting, get: Callable[[], Any], take: Callable[[str, Any], object]) -> Option:
    """The row of a field of settings: `get` returns the settings, `take` takes the name of the
    field and its new value. One with choices is typed only if it says how."""

    def use(text: str) -> None:
        take(one.name, one.parse(text, f"{one.option[2:]} {text.strip()!r}"))

    def nudge(by: int) -> None:
        take(one.name, one.nudge(getattr(get(), one.name), by))

    value = getattr(get(), one.name)
    text = str(value) if one.read is None else one.show(value)
    return Option(
        one.name,
        one.title,
        one.show(value),
        one.description,
        change=nudge if one.adjustable else None,
        use=use if one.choices is None or one.read is not None else None,
        text=f"{value:g}" if isinstance(value, float) else text,
    )


@guard
class SettingsPanel(Vertical):
    """↑↓ chooses a setting, ←→ changes it, Enter takes a typed value; Esc posts Left."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("settings")]
    IDLE, ACTIVE, TYPING = "s change · + −", "←→ change · ⏎ type · esc", "⏎ set · esc cancel"

    class Left(Message):
        """The focus goes back to the pane of the settings."""

    def __init__(self, chosen: str = "") -> None:
        super().__init__(classes="box settings")
        self._options: dict[str, Option] = {}
        self._returns = False  # whether the focus leaves once a value is set
        self._rows = RowList(empty="nothing to set", wraps=True)
        self._rows.set_reactive(RowList.chosen, chosen)

    def compose(self) -> ComposeResult:
        yield self._rows
        line = LineInput(compact=True)
        line.hints = (("⏎", "set"), ("esc", "cancel"))
        yield line
        yield Static(classes="fault", markup=False)
        yield Static(classes="hint", markup=False)

    def on_mount(self) -> None:
        set_border(self, title="Settings", subtitle=self.IDLE)

    # --- which setting is chosen ------------------------------------------------------

    @property
    def chosen(self) -> str:
        return self._rows.chosen

    @chosen.setter
    def chosen(self, name: str) -> None:
        self._rows.chosen = name

    def show(self, options: Sequence[Option], subtitle: str = "") -> None:
        """Show these settings; while the panel is not used, `subtitle` is in its border."""
        if not is_usable(self):
            return
        self._options = {option.name: option for option in options}
        self._rows.set_rows([
            ListRow(one.name, one.label, one.value, about=f"{one.help} · ←→ change · ⏎ type")
            for one in options
        ])  # fmt: skip
        self._mark_border(subtitle)
        self._explain()

    @on(RowList.Chosen)
    def _explain(self) -> None:
        """Show the description of the chosen setting."""
        option = self._options.get(self.chosen)
        self.query_one(".hint", Static).update(option.help if option is not None else "")

    @on(RowList.Chosen)
    def _forget_fault(self) -> None:
        self._show_fault("")

    def _show_fault(self, line: str) -> None:
        fault = self.query_one(".fault", Static)
        fault.update(line)
        fault.set_class(bool(line), "-shown")

    # --- the focus --------------------------------------------------------------------

    @property
    def active(self) -> bool:
        focused = self.screen.focused if self.is_attached else None
        return focused is not None and self in focused.ancestors

    def enter(self) -> None:
        self.add_class("-active")
        self.screen.set_focus(self._rows)

    def on_descendant_focus(self) -> None:
        self._mark()

    def on_descendant_blur(self) -> None:
        self._mark()

    def _mark(self) -> None:
        """Show whether the panel has the focus."""
        if not self.active:
            self._returns = False
            self.remove_class("-typing")
            self._show_fault("")
        self.set_class(self.active, "-active")
        self._mark_border()
        self.post_message(KeysChanged())

    def _mark_border(self, subtitle: str = "") -> None:
        keys = self.TYPING if self.has_class("-typing") else self.ACTIVE
        set_border(self, subtitle=keys if self.active else subtitle or self.IDLE)

    def action_leave(self) -> None:
        """Give the focus back."""
        self.remove_class("-active", "-typing")
        self.post_message(self.Left())

    # --- changing a setting -----------------------------------------------------------

    def action_change(self, by: int) -> None:
        """Change the chosen setting by one step."""
        option = self._options.get(self.chosen)
        if option is None:
            return
        self._show_fault("")
        if option.change is not None:
            option.change(by)
        else:
            self._show_fault("press Enter to set it")

    def action_type(self) -> None:
        """Type a value, or open the window of the chosen setting; else take the next choice."""
        option = self._options.get(self.chosen)
        if option is None:
            return
        if option.open is not None:
            option.open()
        elif option.use is None:
            self.action_change(1)
        else:
            line = self.query_one(LineInput)
            line.value = option.text
            line.placeholder = option.label
            self.add_class("-typing")
            self.screen.set_focus(line)

    def set(self, name: str) -> bool:
        """Type a value of this setting, and then leave; one that is not typed is changed at once.

        Returns False if there is no such setting now.
        """
        if name not in self._options:
            return False
        self.chosen = name
        option = self._options[name]
        if option.open is None and option.use is not None:
            self._returns = not self.active
            self.add_class("-active")
        self.action_type()
        return True

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        option = self._options.get(self.chosen)
        try:
            if option is not None and option.use is not None:
                option.use(event.value)
        except MisuseError as error:
            self._show_fault(str(error))
        else:
            self._finish()

    @on(LineInput.Cancelled)
    def _cancelled(self, event: LineInput.Cancelled) -> None:
        event.stop()
        self._finish()

    @on(LineInput.Changed)
    def _typed(self, event: LineInput.Changed) -> None:
        event.stop()
        self._show_fault("")

    def _finish(self) -> None:
        """Close the line."""
        self.remove_class("-typing")
        self._show_fault("")
        if self._returns:
            self._returns = False
            self.action_leave()
        else:
            self.screen.set_focus(self._rows)
