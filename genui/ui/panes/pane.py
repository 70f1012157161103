"""What the four panes share: a border that shows the focus, and zooming."""

from typing import ClassVar

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from genui.ui.keys import PaneName
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.messages import ViewName, ZoomPane


class Pane(DeafWhenLeaving, Container, can_focus=True):
    """A bordered part of the screen with its own keys.

    The screen sets the class `-zoom` while the pane fills it, and `-current` on the pane
    that has the focus.
    """

    pane: ClassVar[PaneName]
    view: ClassVar[ViewName]
    heading: ClassVar[str]

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
        if current != self.has_class("-current"):
            self.set_class(current, "-current", update=False)
            changed = self.walk_children(with_self=True) if self.zoomed else [self]
            self.app.stylesheet.update_nodes(changed)

    @property
    def zoomed(self) -> bool:
        """Whether this pane fills the screen."""
        return self.has_class("-zoom")

    def action_zoom(self) -> None:
        """Fill the screen, or go back."""
        self.post_message(ZoomPane("home" if self.zoomed else self.view))


def set_border(
    widget: Widget, title: Content | str | None = None, subtitle: Content | str | None = None
) -> None:
    """Changes the words in a border where they differ from those it has."""
    # Textual keeps them as Content under these names, and gives them out as markup.
    for name, text in (("border_title", title), ("border_subtitle", subtitle)):
        if text is None:
            continue
        content = Content(text) if isinstance(text, str) else text
        shown = getattr(widget, f"_{name}") or Content("")
        if not shown.is_same(content):
            setattr(widget, name, content or None)
