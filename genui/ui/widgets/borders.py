"""Borders that are repainted without what is inside them."""

from typing import Literal, Self

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from genui.ui.lifecycle import guard
from genui.ui.textual_parts import border_text, put_border_text

_NONE = Content("")


BORDER_RULES = (
    *("border_top", "border_right", "border_bottom", "border_left"),
    *("border_title_color", "border_title_style"),
)


@guard
class Framed(Widget):
    """A container that draws only its border; its children draw the rest."""

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Refresh as any widget does, but without `regions` repaint only the border."""
        if not regions and not layout:
            width, height = self.outer_size
            sides = (
                Region(0, 0, width, 1),
                Region(0, height - 1, width, 1),
                Region(0, 1, 1, height - 2),
                Region(width - 1, 1, 1, height - 2),
            )
            # Regions are relative to the corner of the content.
            regions = tuple(side.translate(-self.content_offset) for side in sides)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def mark_border(self, component: str, marked: bool) -> None:
        """Colour the border as a component class says, or as the style sheet does.

        If this were a CSS class, Textual would set every rule again and repaint all children.
        """
        look = self.get_component_styles(component)
        for rule in BORDER_RULES:
            self.styles.set_rule(rule, look.get_rule(rule) if marked else None)
        self.refresh()


def set_border(
    widget: Widget, title: Content | str | None = None, subtitle: Content | str | None = None
) -> None:
    """Change the title and subtitle of a border, if they differ; None leaves one unchanged.

    Only that side of the border of a `Framed` widget is repainted.
    """
    width, height = widget.outer_size
    sides: tuple[tuple[Literal["title", "subtitle"], Content | str | None, int], ...]
    sides = (("title", title, 0), ("subtitle", subtitle, height - 1))
    for side, text, y in sides:
        content = Content(text) if isinstance(text, str) else text
        if content is None or (border_text(widget, side) or _NONE).is_same(content):
            continue
        if isinstance(widget, Framed):
            put_border_text(widget, side, content)
            widget.refresh(Region(0, y, width, 1).translate(-widget.content_offset))
        else:
            setattr(widget, f"border_{side}", content or None)
