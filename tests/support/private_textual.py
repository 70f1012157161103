"""What the tests use of Textual beyond what it documents; `tests/ui/test_textual_parts.py` says
which part another release lacks. What genui needs too is in `genui/ui/textual_parts.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.screen import Screen
from textual.strip import Strip

__all__ = ["ANSI_SEQUENCES_KEYS"]

PAINT = Screen._compositor_refresh


def drawn_lines(screen: Screen[Any]) -> list[Strip]:
    """The lines of a screen with all its widgets."""
    return screen._compositor.render_strips()


def paint_soon(screen: Screen[Any]) -> None:
    """Do what a screen does at its next tick: lay out, and repaint what has changed."""
    screen._on_timer_update()


def paint(screen: Screen[Any]) -> None:
    """Paint what has changed."""
    PAINT(screen)


@contextmanager
def painting_later() -> Iterator[None]:
    """Leave what has changed on a screen to `paint`, if no terminal shows it: an app lays itself
    out many times until it is idle, and to paint takes a third of a test."""

    def put_off(screen: Screen[Any]) -> None:
        app = screen.app
        if not app.is_headless or screen is not app.screen:
            PAINT(screen)
        else:
            app._update_mouse_over(screen)

    with mock.patch.object(Screen, "_compositor_refresh", put_off):
        yield
