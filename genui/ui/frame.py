"""A bordered part of the screen that repaints its border alone when only that has changed."""

from typing import Self

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

_NONE = Content("")


class Framed(Widget):
    """Of itself it draws nothing but its border; what is inside draws itself."""

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """As any widget, but without regions the border is repainted and nothing inside it."""
        if not regions and not layout:
            regions = self._border_regions()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def retitle(self, title: Content | None, subtitle: Content | None) -> None:
        """Other words in the border: of that, only the side that they are in is repainted."""
        width, height = self.outer_size
        for name, words, y in (("title", title, 0), ("subtitle", subtitle, height - 1)):
            if words is not None and not (getattr(self, f"_border_{name}") or _NONE).is_same(words):
                # As Textual keeps them: its own setter repaints the widget.
                setattr(self, f"_border_{name}", words or None)
                self.refresh(Region(0, y, width, 1).translate(-self.content_offset))

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


def set_border(
    widget: Widget, title: Content | str | None = None, subtitle: Content | str | None = None
) -> None:
    """Changes the words in a border where they differ from those it has."""
    title = Content(title) if isinstance(title, str) else title
    subtitle = Content(subtitle) if isinstance(subtitle, str) else subtitle
    if isinstance(widget, Framed):
        widget.retitle(title, subtitle)
        return
    # Textual keeps them as Content under these names, and gives them out as markup.
    for name, words in (("border_title", title), ("border_subtitle", subtitle)):
        if words is not None and not (getattr(widget, f"_{name}") or _NONE).is_same(words):
            setattr(widget, name, words or None)
