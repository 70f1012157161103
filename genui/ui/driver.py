"""Which terminal driver the app runs on."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from textual import constants
from textual.app import App
from textual.driver import Driver

if TYPE_CHECKING and sys.platform != "win32":
    from genui.ui.metered import MeteredDriver


def driver_class() -> type[Driver] | None:
    """The metered driver; None, for Textual's own choice, where there is no POSIX terminal.

    A driver named in TEXTUAL_DRIVER is respected.
    """
    if sys.platform == "win32" or constants.DRIVER is not None:
        return None
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        return None
    from genui.ui.metered import MeteredDriver  # needs termios

    return MeteredDriver


LONGEST_WAIT = 1.0  # seconds that keys, which are answered first, may hold up what moves


def may_move(app: App[Any], painted_at: float) -> bool:
    """Whether what moves by itself, last painted at `painted_at` (monotonic), may be painted.

    Keys are answered first; held down, they still let it move once in LONGEST_WAIT. Nor is
    more sent than the terminal takes.
    """
    answering = getattr(app, "answering", False)
    if answering and time.monotonic() - painted_at < LONGEST_WAIT:
        return False
    driver = metered(app)
    return driver is None or not driver.busy


def metered(app: App[Any]) -> MeteredDriver | None:
    """The driver of `app` where it is a metered one; None in tests and on other platforms."""
    if sys.platform == "win32":
        return None
    from genui.ui.metered import MeteredDriver  # needs termios

    return app._driver if isinstance(app._driver, MeteredDriver) else None
