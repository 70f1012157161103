"""An app of one widget, and what it looks like."""

import asyncio

from acting import idle
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.widget import Widget


class CountingDriver(HeadlessDriver):
    """Takes every write, as a terminal would, and counts its bytes."""

    octets = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.octets += len(data.encode())


class Stage(App[None]):
    """Shows one widget over the whole screen, or as large as its own styles say."""

    def __init__(self, widget: Widget) -> None:
        super().__init__(driver_class=CountingDriver)
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


async def settle(seconds: float) -> None:
    """Wait so long, and until what was due meanwhile is drawn."""
    await asyncio.sleep(seconds)
    await idle()


def lines_of(widget: Widget) -> list[str]:
    """The text of every line of the widget as it is drawn now."""
    return [widget.render_line(y).text for y in range(widget.size.height)]


def styles_of(widget: Widget) -> list[tuple[str, str]]:
    """Every styled text of the widget, line by line, with its style by name."""
    return [
        (segment.text, str(segment.style))
        for y in range(widget.size.height)
        for segment in widget.render_line(y)
    ]
