"""The Lab's screen: its pane between the header and the footer."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static

from genui.ui import keys, messages
from genui.ui.chrome import FooterLine, HeaderLine, StatusLine
from genui.ui.key import Scope
from genui.ui.lab.own_points import OwnPoints
from genui.ui.lab.pane import LabPane
from genui.ui.layout import arrange, too_small
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.looking import RunView
from genui.ui.messages import ViewName
from genui.ui.session import Session

if TYPE_CHECKING:
    from textual.command import Provider


def _commands() -> "type[Provider]":
    """The palette's provider, imported when the palette first opens."""
    from genui.ui.lab.commands import LabCommands

    return LabCommands


class LabScreen(DeafWhenLeaving, Screen[ViewName]):
    """Dismissed with the view to go to; what is trained stays as it is until it is shown again."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bound(keys.common("lab"))]
    COMMANDS = {_commands}  # noqa: RUF012 - as Textual declares it
    AUTO_FOCUS = ""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.lab = LabPane(session)
        self.machine = self.traffic = ""
        self.live = 0  # trainings of runs
        self.user_keys: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield HeaderLine()
        yield self.lab
        yield Static(id="lab-tiny", markup=False)
        yield StatusLine()
        yield FooterLine()

    def on_mount(self) -> None:
        self._fit(self.app.size.width, self.app.size.height)
        self.set_focus(self.lab)
        self.refresh_chrome()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(*event.size)

    def _fit(self, width: int, height: int) -> None:
        """In too small a terminal, the plain word in place of the pane."""
        tiny = arrange(width, height) == "tiny"
        self.set_class(tiny, "-tiny")
        if tiny:
            self.query_one("#lab-tiny", Static).update(too_small(width, height))

    def on_screen_resume(self) -> None:
        """Shown again: what came meanwhile is painted."""
        if self.usable and not self.lab.editing:
            self.set_focus(self.lab)
            self.lab.paint()

    def open_saved(self, path: Path) -> None:
        """Show a saved training."""
        self.call_after_refresh(self.lab.open_saved, path)

    # --- the lines around -----------------------------------------------------------------

    @property
    def scope(self) -> Scope:
        """Whose keys hold."""
        return "points" if self.lab.editing else "lab"

    @on(OwnPoints.Editing)
    def refresh_chrome(self) -> None:
        """Header and footer as things stand."""
        if not self.usable:
            return
        self.query_one(HeaderLine).set("lab", self.live, self.machine, self.traffic)
        self.query_one(FooterLine).set(self.scope, False, self.user_keys)

    def say(self, line: str, kind: Literal["error", "note", "hint"] = "error") -> None:
        """One line above the footer."""
        self.query_one(StatusLine).say(line, kind)

    @on(messages.Say)
    def _said(self, event: messages.Say) -> None:
        event.stop()
        self.say(event.line, event.kind)

    @on(messages.Acted)
    def _acted(self, event: messages.Acted) -> None:
        event.stop()
        self.query_one(StatusLine).clear_line()

    def show_run(self, view: RunView) -> None:
        """Runs are shown on the main screen."""

    async def press(self, key: keys.Key) -> None:
        """Do what the key does."""
        where = {"lab": self.lab, "points": self.lab.editor}.get(key.pane, self)
        await self.app.run_action(key.action, where)

    # --- leaving ----------------------------------------------------------------------------

    def action_view(self, view: ViewName) -> None:
        """To another view of the app."""
        if view != "lab" and self.is_active:
            self.lab.leave()
            self.dismiss(view)

    def action_back(self) -> None:
        """Home."""
        self.action_view("home")

    def action_help(self) -> None:
        """The keys of this screen."""
        from genui.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.scope, self.user_keys))

    def action_manual(self) -> None:
        """The manual, at the page of this screen."""
        from genui.ui.screens.manual import ManualScreen

        self.app.push_screen(ManualScreen(self.scope, keymap=self.user_keys))

    def action_quit(self) -> None:
        """Close the app; training of runs goes on."""
        self.app.exit()
