"""Which terminal driver the app runs on."""

from __future__ import annotations

import sys
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


def metered(app: App[Any]) -> MeteredDriver | None:
    """The driver of `app` where it is a metered one; None in tests and on other platforms."""
    if sys.platform == "win32":
        return None
    from genui.ui.metered import MeteredDriver  # needs termios

    return app._driver if isinstance(app._driver, MeteredDriver) else None
