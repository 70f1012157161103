"""The Lab's screen over the main one: made when it is first opened, and kept as it was left."""

from pathlib import Path
from typing import TYPE_CHECKING

from textual.screen import Screen

from genui.ui.messages import ViewName
from genui.ui.session import Session

if TYPE_CHECKING:
    from genui.ui.screens.lab import LabScreen

NAME = "lab"  # among the app's installed screens, which are kept when they are left


class LabOver(Screen[None]):
    """A screen over which the Lab comes."""

    _session: Session
    machine: str
    traffic: str
    user_keys: dict[str, str]
    lab: "LabScreen | None" = None

    def action_view(self, view: ViewName) -> None:
        """Home, or one pane full-screen."""
        raise NotImplementedError

    @property
    def lab_shown(self) -> "LabScreen | None":
        """The Lab, while it or a window of it is on the screen."""
        return self.lab if self.lab is not None and self.lab in self.app.screen_stack else None

    def open_lab(self, saved: Path | None = None) -> None:
        """The Lab, as it was left, with a saved training where one is named."""
        from genui.ui.screens.lab import LabScreen

        if self.lab is None:
            self.lab = LabScreen(self._session)
            self.app.install_screen(self.lab, NAME)
        self.tell_lab()
        if self.lab_shown is None:
            self.app.push_screen(self.lab, self._lab_left)
        if saved is not None:
            self.lab.open_saved(saved)

    def tell_lab(self) -> None:
        """What the lines around say is the same there."""
        if self.lab is not None:
            self.lab.machine, self.lab.traffic = self.machine, self.traffic
            self.lab.user_keys = self.user_keys
            self.lab.refresh_chrome()

    def _lab_left(self, view: ViewName | None) -> None:
        if view is not None:
            self.action_view(view)
