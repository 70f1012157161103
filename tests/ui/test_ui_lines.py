"""Widgets that repaint only the lines that changed; of these the driver sends the cells."""

from acting import until
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from genui.ui.widgets.lines import LineWidget, strip_of


class Board(LineWidget):
    """Shows `texts`, and keeps what it asked to be repainted."""

    def __init__(self) -> None:
        super().__init__()
        self.texts = ["abc", "漢字!"]
        self.sent: list[Region] = []

    def draw(self, width: int, height: int) -> list[Strip]:
        return [strip_of([(text, self.rich_style)]) for text in self.texts]

    def refresh(self, *regions: Region, **how: bool):
        self.sent += regions
        return super().refresh(*regions, **how)


class BoardApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Board()


async def test_only_changed_lines_are_repainted() -> None:
    async with BoardApp().run_test(size=(20, 4)) as pilot:
        board = pilot.app.query_one(Board)
        board.redraw()  # the first is all of it, later ones what differs
        await until(pilot, lambda: not board._stale)
        for line, texts in enumerate((["abX", "漢字!"], ["abX", "漢語!"])):
            board.sent.clear()
            board.texts = texts
            assert board.redraw()
            assert board.sent == [Region(0, line, 20, 1)]
        board.sent.clear()
        assert not board.redraw()
        assert board.sent == []
