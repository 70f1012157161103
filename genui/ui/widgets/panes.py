"""A pane, which is a part of the screen with its own keys, and panes side by side."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from genui.ui.keys import PaneName, Scope
from genui.ui.messages import ZoomPane
from genui.ui.widgets.borders import Framed, set_border


class Pane(Framed, Container, can_focus=True):
    """A bordered part of the screen with its own keys.

    The screen sets the class `-zoom` on a pane that fills it, and `-current` on the pane with the
    focus.
    """

    pane: PaneName
    heading: str
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pane--current"}

    _marked: tuple[bool, bool] | None = None  # current, zoomed

    @property
    def medium(self) -> str:
        """The medium of the pane's model; "" for none."""
        return ""

    @property
    def cost(self) -> str:
        """What its content takes of this machine's energy; "" if it is not known."""
        return ""

    @property
    def scope(self) -> Scope:
        """The keys that hold while the pane has the focus."""
        return self.pane

    @property
    def focus_target(self) -> Widget:
        """The widget that gets the focus with the pane."""
        return self

    def refused_keys(self) -> frozenset[str]:
        """The ids of the keys that have no effect now."""
        return frozenset()

    def names_of_keys(self) -> dict[str, str]:
        """The present words of keys, by id, if they differ from the table's."""
        return {}

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._mark())

    def set_title(self, *parts: str | tuple[str, str]) -> None:
        """Show the heading and then `parts`, which are as in `Content.assemble`."""
        for widget in (self, *self.query(".main")):
            heading = f"{self.heading}  " if parts else self.heading
            set_border(widget, title=Content.assemble(heading, *parts))

    def set_subtitle(self, *parts: str | tuple[str, str]) -> None:
        """Show `parts` in the lower border; nothing without parts."""
        for widget in (self, *self.query(".main")):
            set_border(widget, subtitle=Content.assemble(*parts))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Do nothing: no style depends on the focus.

        Textual would compute the styles of all widgets in the pane twice for each key.
        """

    def set_classes_of_view(self, hidden: bool, zoomed: bool, current: bool) -> bool:
        """Set the classes that depend on the view, for the caller to restyle: whether one changed.

        `mark_current` has to follow.
        """
        before = self.classes
        classes = {"-hidden": hidden, "-zoom": zoomed, "-current": current}
        self.update_classes(classes, update=False)
        return self.classes != before

    def mark_current(self, current: bool) -> None:
        """Draw the border of the pane with the focus, or the plain one."""
        if (current, self.zoomed) != self._marked:
            self._marked = (current, self.zoomed)
            if current != self.has_class("-current"):
                self.set_class(current, "-current", update=False)
                if self.zoomed:
                    self.update_node_styles(animate=False)
            self._mark()

    def _mark(self) -> None:
        """Colour the border."""
        if self._marked is not None:
            current, zoomed = self._marked
            self.mark_border("pane--current", current and not zoomed)

    @property
    def zoomed(self) -> bool:
        """Whether this pane fills the screen."""
        return self.has_class("-zoom")

    def action_zoom(self) -> None:
        """Fill the screen, or go back to Home."""
        self.post_message(ZoomPane("home" if self.zoomed else self.pane))


class Split(Horizontal):
    """Panes side by side. A drag of the border to the left of one of the class `right` posts
    Dragged; who gets it sets the width of that pane."""

    @dataclass(eq=False)
    class Dragged(Message):
        """The border was dragged; `share` is the share of the right pane, 0 to 1."""

        share: float

    def __init__(self, right: type[Widget], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._right = right
        self._grip: int | None = None  # columns from the pointer to the border, while dragged

    def on_mouse_down(self, event: events.MouseDown) -> None:
        border = self.query_one(self._right).region.x
        grip = border - event.screen_x
        # Each pane has a border there. A pane that covers all has none to drag.
        if event.button == 1 and grip in (0, 1) and border > self.region.x:
            event.stop()
            self._grip = grip
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._grip is not None:
            width = self.region.right - event.screen_x - self._grip
            self.post_message(self.Dragged(width / max(self.region.width, 1)))

    def on_mouse_up(self) -> None:
        if self._grip is not None:
            self._grip = None
            self.release_mouse()

    on_unmount = on_mouse_up
