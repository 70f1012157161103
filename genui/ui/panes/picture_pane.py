"""What Canvas and Walk share: the picture is drawn first, then what is beside it, then finer."""

from abc import abstractmethod
from typing import ClassVar

from rich.cells import cell_len
from textual.content import Content
from textual.timer import Timer

from genui.protocol import ImageFrame
from genui.render.sanitise import clean_line
from genui.ui.driver import metered
from genui.ui.panes.trace_pane import TracePane
from genui.ui.settings import S
from genui.ui.trace import Trace

REST = 0.5  # seconds without a move, after which a picture is drawn finer
ROOMY = 60  # cells of a border with room for whole sentences


class PicturePane(TracePane[ImageFrame, S]):
    """A pane of pictures; `paint` ends with `settle`."""

    first_step: ClassVar[int] = 0
    paints_a_second: ClassVar[float] = 10
    catch_up: ClassVar[float] = 4.0

    _rested: Timer | None = None
    _inspecting = False  # what is beside the picture is to be painted

    @property
    def _frame(self) -> ImageFrame | None:
        """The step that is shown."""
        return self.trace.frame if self.trace is not None else None

    # --- for subclasses ---------------------------------------------------------------

    @abstractmethod
    def paint_inspector(self) -> None:
        """Draw what is beside the picture, full-screen."""

    @abstractmethod
    def sharpen(self) -> None:
        """Draw finer what stands still."""

    # --- after the picture ------------------------------------------------------------

    def settle(self) -> None:
        """The picture is drawn: a key is answered by it, and all else comes after."""
        if self.zoomed and not self._inspecting:
            self._inspecting = True
            self.call_after_refresh(self._inspect)
        if self._rested is not None:
            self._rested.stop()
        self._rested = self.set_timer(REST, self._rest_over)

    def _inspect(self) -> None:
        self._inspecting = False
        if self.zoomed:
            self.paint_inspector()

    def _rest_over(self) -> None:
        """Finer, once the terminal has taken all else."""
        if self.drifting:
            return
        driver = metered(self.app)
        if driver is not None and driver.busy:
            self._rested = self.set_timer(REST, self._rest_over)
        else:
            self.sharpen()

    # --- words ------------------------------------------------------------------------

    def waiting_line(self) -> Content:
        """The caption, before there is a picture."""
        return Content.assemble((f"“{clean_line(self.prompt)}”" if self.prompt else "", "bold"))

    def captioned(self, words: str, trace: Trace[ImageFrame], *told: tuple[str, str]) -> Content:
        """The caption in words and, at the right, what is told of the step, and its number."""
        end = Content.assemble(
            *told,
            (str(trace.position), "bold $foreground"),
            (f"/{trace.total}", "$text-muted"),
        )
        width = self.query_one(".caption").size.width
        caption = clean_line(words, max(4, width - end.cell_length - 1))
        gap = max(1, width - cell_len(caption) - end.cell_length)
        return Content.assemble((caption, "bold"), " " * gap, end)

    def branch_words(self, grid: str = "") -> str:
        """`branch 2 of 3 · noise back to 8` where there are several, and what a grid varies."""
        branches, shown = self.traces.branches, self.traces.shown
        if shown is None or len(branches) < 2:
            return grid
        at = next((i for i, b in enumerate(branches, 1) if b is shown), len(branches))
        return f"branch {at} of {len(branches)} · {grid or clean_line(shown.label, 32)}"
