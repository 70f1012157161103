"""What the four panes share: a border that shows the focus, and zooming."""

from typing import ClassVar

from textual.containers import Container
from textual.content import Content

from genui.ui.frame import Framed, set_border
from genui.ui.key import PaneName
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.messages import ViewName, ZoomPane

_BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)


class Pane(DeafWhenLeaving, Framed, Container, can_focus=True):
    """A bordered part of the screen with its own keys.

    The screen sets the class `-zoom` while the pane fills it, and `-current` on the pane
    that has the focus.
    """

    pane: ClassVar[PaneName]
    view: ClassVar[ViewName]
    heading: ClassVar[str]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pane--current"}

    _marked: tuple[bool, bool] | None = None  # current, zoomed

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._mark())

    # A border is repainted with all that is inside it, so it is touched only for news.

    def set_title(self, *parts: str | tuple[str, str]) -> None:
        """The heading and, after it, parts as `Content.assemble` takes them."""
        for widget in (self, *self.query(".main")):
            heading = f"{self.heading}  " if parts else self.heading
            set_border(widget, title=Content.assemble(heading, *parts))

    def set_subtitle(self, *parts: str | tuple[str, str]) -> None:
        """What the lower border says; nothing where there are no parts."""
        for widget in (self, *self.query(".main")):
            set_border(widget, subtitle=Content.assemble(*parts))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Nothing looks at the focus itself, so nothing inside needs other styles.

        Textual would compute those of every widget in the pane, twice a key.
        """

    def mark_current(self, current: bool) -> None:
        """Look like the pane that has the focus, or not."""
        if (current, self.zoomed) != self._marked:
            self._marked = (current, self.zoomed)
            self.set_class(current, "-current", update=False)
            self._mark()

    def _mark(self) -> None:
        """Give the border its colour.

        Through a class, Textual would set every rule anew and repaint all that is inside.
        """
        if self._marked is None:
            return
        current, zoomed = self._marked
        look = self.get_component_styles("pane--current")
        for rule in _BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if current and not zoomed else None)
        if zoomed:
            self.app.stylesheet.update_nodes(self.walk_children(with_self=True))
        self.refresh()

    @property
    def zoomed(self) -> bool:
        """Whether this pane fills the screen."""
        return self.has_class("-zoom")

    def action_zoom(self) -> None:
        """Fill the screen, or go back."""
        self.post_message(ZoomPane("home" if self.zoomed else self.view))
