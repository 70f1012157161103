"""Output to the terminal: drawing without colour, and the choice of the driver."""

from __future__ import annotations

import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual import constants
from textual.app import App
from textual.color import Color
from textual.driver import Driver
from textual.filter import LineFilter

from genui.base.late import late_imports
from genui.ui.graphics import Images
from genui.ui.textual_parts import driver_of

with late_imports():
    from genui.ui import driver as metered_driver

# --- Without colour (NO_COLOR) ----------------------------------------------------------------

_HIGHLIGHT = 0.1  # difference in brightness from the theme's background of a highlight
_FAINT = 0.35  # text with a smaller difference in brightness from its background is faint


class NoColour(LineFilter):
    """Removes all colours: highlighted backgrounds become reverse, faint text becomes dim.

    `ground` is the background of the theme.
    """

    def __init__(self, ground: Color) -> None:
        super().__init__()
        self._ground = ground.brightness

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, None if style is None else _remove_colour(style, self._ground), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=2048)
def _remove_colour(style: Style, ground: float) -> Style:
    bright = ground if style.bgcolor is None else _measure_brightness(style.bgcolor, ground)
    highlighted = abs(bright - ground) > _HIGHLIGHT
    faint = (
        not highlighted
        and not style.bold
        and style.color is not None
        and abs(_measure_brightness(style.color, 1 - ground) - bright) < _FAINT
    )
    return Style(
        bold=style.bold,
        dim=style.dim or faint,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=bool(style.reverse) != highlighted,
        meta=style.meta,
    )


no_colour = lru_cache(maxsize=16)(NoColour)  # one for each ground: a strip keeps what it makes


class ThinBlack(LineFilter):
    """Writes black text without bold, which terminals of sixteen colours draw in grey."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, style and _thin_black(style), control)
            for text, style, control in segments
        ]


THIN_BLACK = ThinBlack()


@lru_cache(maxsize=1024)
def _thin_black(style: Style) -> Style:
    black = style.bold and style.color is not None and not _measure_brightness(style.color, 1)
    return style + Style(bold=False) if black else style


def _measure_brightness(colour: RichColor, default: float) -> float:
    """Return the brightness, 0 to 1; `default` for the terminal's default colour."""
    return default if colour.is_default else Color.from_rich_color(colour).brightness


# --- The driver -------------------------------------------------------------------------------

if TYPE_CHECKING and sys.platform != "win32":
    pass


def choose_driver() -> type[Driver] | None:
    """Return the metered driver; None, for Textual's own choice, if there is no POSIX terminal.

    A driver named in TEXTUAL_DRIVER is respected.
    """
    if sys.platform == "win32" or constants.DRIVER is not None:
        return None
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        return None
    return metered_driver.MeteredDriver


MAX_WAIT = 1.0  # seconds; while keys are held down, animations are painted at least this often


def may_animate(app: App[Any], painted_at: float) -> bool:
    """Return whether an animation last painted at `painted_at` (monotonic) may be painted.

    Keys have priority, but not for longer than MAX_WAIT. No frame is painted while the terminal
    still has output to write.
    """
    answering = getattr(app, "answering", False)
    if answering and time.monotonic() - painted_at < MAX_WAIT:
        return False
    driver = get_metered_driver(app)
    return driver is None or not driver.busy


def get_metered_driver(app: App[Any]) -> metered_driver.MeteredDriver | None:
    """Return the app's driver if it is a metered one; None in tests and on other platforms."""
    if sys.platform == "win32":
        return None
    driver = driver_of(app)
    return driver if isinstance(driver, metered_driver.MeteredDriver) else None


def get_images(app: App[Any]) -> Images | None:
    """Return the images of the app's driver; None if the terminal shows none in pixels."""
    driver = get_metered_driver(app)
    return driver.images if driver is not None and driver.images.protocol else None
