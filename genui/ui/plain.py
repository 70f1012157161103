"""The look without colour, for NO_COLOR: what colour told is told by reverse and dim."""

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_MARKED = 0.1
"""How much brighter or darker than the theme's ground a ground is that marks something."""

_FAINT = 0.35
"""Below this difference in brightness from their ground, words and lines are faint."""


class NoColour(LineFilter):
    """Takes every colour away: marked grounds become reverse, faint words dim.

    `ground` is the theme's own background.
    """

    def __init__(self, ground: Color) -> None:
        super().__init__()
        self._ground = ground.brightness

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, None if style is None else _plain(style, self._ground), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=2048)
def _plain(style: Style, ground: float) -> Style:
    bright = ground if style.bgcolor is None else _brightness(style.bgcolor, ground)
    marked = abs(bright - ground) > _MARKED
    faint = (
        not marked
        and not style.bold
        and style.color is not None
        and abs(_brightness(style.color, 1 - ground) - bright) < _FAINT
    )
    reverse = bool(style.reverse) != marked
    return Style(
        bold=style.bold,
        dim=style.dim or faint,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=reverse,
        meta=style.meta,
    )


def _brightness(colour: RichColor, default: float) -> float:
    """0 to 1; `default` where the terminal's own colour is meant."""
    return default if colour.is_default else Color.from_rich_color(colour).brightness
