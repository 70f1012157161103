"""Colours as Rich and Textual want them."""

from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.app import App

from genui.render.colour import ColourMode

_MODES: dict[str | None, ColourMode] = {
    "truecolor": "truecolor",
    "256": "256",
    "standard": "16",
    "windows": "16",
}


def colour_mode(app: App[object]) -> ColourMode:
    """The colours `app` draws with: `ascii` under NO_COLOR and on a terminal that has none."""
    if app.no_color:
        return "ascii"
    return _MODES.get(app.console.color_system, "ascii")


@lru_cache(maxsize=8192)
def run_style(fg: int | None, bg: int | None, palette: bool, ground: Style) -> Style:
    """The style of a run of picture cells; `ground` shows where a colour is None."""
    return ground + Style(color=_colour(fg, palette), bgcolor=_colour(bg, palette))


def _colour(colour: int | None, palette: bool) -> Color | None:
    if colour is None:
        return None
    if not palette:
        return Color.from_triplet(ColorTriplet(colour >> 16, colour >> 8 & 255, colour & 255))
    plain = Color.from_ansi(colour)
    # Textual's ANSI filter turns palette colours without a triplet into truecolour, which
    # takes more bytes in the terminal; one with a triplet it leaves as it is.
    return Color(plain.name, ColorType.EIGHT_BIT, colour, plain.get_truecolor())
