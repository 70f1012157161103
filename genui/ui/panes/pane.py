"""What the four panes share: a border that shows the focus, and zooming."""

from typing import ClassVar, Self

from textual.containers import Container
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from genui.ui.keys import PaneName
from genui.ui.leaving import DeafWhenLeaving
from genui.ui.messages import ViewName, ZoomPane

_BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)


class Pane(DeafWhenLeaving, Container, can_focus=True):
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

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """As any widget, but of itself a pane draws its border alone, so repaints that alone."""
        if not regions and not layout:
            regions = self._border_regions()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _border_regions(self) -> tuple[Region, ...]:
        """The four sides, as `refresh` counts: from the corner of the content."""
        width, height = self.outer_size
        sides = (
            Region(0, 0, width, 1),
            Region(0, height - 1, width, 1),
            Region(0, 1, 1, height - 2),
            Region(width - 1, 1, 1, height - 2),
        )
        return tuple(side.translate(-self.content_offset) for side in sides)

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
