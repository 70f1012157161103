"""What the four panes share: a border that shows the focus, and zooming."""

from typing import ClassVar

from textual.containers import Container
from textual.content import Content

from genui.ui.keys import PaneName
from genui.ui.messages import ViewName, ZoomPane


class Pane(Container, can_focus=True):
    """A bordered part of the screen with its own keys.

    The class `-zoom` is set by the screen while the pane fills it.
    """

    pane: ClassVar[PaneName]
    view: ClassVar[ViewName]
    heading: ClassVar[str]

    def set_title(self, *parts: str | tuple[str, str]) -> None:
        """The heading and, after it, parts as `Content.assemble` takes them."""
        self.border_title = Content.assemble(f" {self.heading} ", *parts, " " if parts else "")

    def set_subtitle(self, *parts: str | tuple[str, str]) -> None:
        """What the lower border says; nothing where there are no parts."""
        self.border_subtitle = Content.assemble(" ", *parts, " ") if parts else None

    @property
    def zoomed(self) -> bool:
        """Whether this pane fills the screen."""
        return self.has_class("-zoom")

    def action_zoom(self) -> None:
        """Fill the screen, or go back."""
        self.post_message(ZoomPane("home" if self.zoomed else self.view))
