"""What the tests of Canvas do with it."""

from acting import home_of, until_seen
from textual.pilot import Pilot

from genui.protocol import ImageFrame
from genui.ui.generate.image import CanvasView
from genui.ui.generate.pane import TracePane
from genui.ui.traces.trees import ShownTrace
from genui.ui.widgets.lists import RowList


def pane_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#canvas", TracePane)


def view_of(pilot: Pilot[None]) -> CanvasView:
    return pane_of(pilot).query_one(CanvasView)


def settings(pilot: Pilot[None]) -> dict[str, str]:
    """The rows of the Settings panel."""
    return {
        row.key: row.right for row in pane_of(pilot).query_one(".settings RowList", RowList).rows
    }


def shown(pilot: Pilot[None]) -> ShownTrace[ImageFrame]:
    trace = pane_of(pilot).trace
    assert trace is not None
    return trace


async def drawn_to(pilot: Pilot[None], *keys: str, step: str = "20/20") -> None:
    """Canvas full-screen with a finished image, and then these keys."""
    await pilot.press("3", "end")
    await until_seen(pilot, step)
    await pilot.press(*keys)


async def answered(pilot: Pilot[None], text: str) -> None:
    """Type into the window that is open and press Enter."""
    await pilot.press("ctrl+u", "ctrl+k", *text, "enter")


def edits(pilot: Pilot[None]) -> list[tuple[int, object]]:
    return [(at.step, at.edit) for at in shown(pilot).request.edits]
