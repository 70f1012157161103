"""Looking inside a denoised image: where it attends to each word of its caption, and the channels
that the model computes with, as maps in place of the large image."""

from typing import TYPE_CHECKING

from genui.base.late import late_imports
from genui.protocol import Failed, ImageFrame, Maps, ReadMaps
from genui.ui.generate.actions import Actions
from genui.ui.generate.look import ImageInside
from genui.ui.generate.pane import TracePane
from genui.ui.traces.trees import Lost, TraceReply
from genui.ui.widgets.image import ImageView

with late_imports():
    from genui.formats import image as image_files
    from genui.render import image as render_image

if TYPE_CHECKING:
    import numpy as np

    from genui.protocol.messages import MapView

ACROSS = 4  # maps in a row
TITLES = {"words": "attention to each word", "channels": "channels of x̂₀, blue − orange +"}


class MapActions(Actions):
    """Which maps are shown, and those of the shown step, which the worker computes when they are
    needed. One request is under way at a time."""

    def __init__(self, pane: TracePane) -> None:
        super().__init__(pane)
        self.view: ImageInside = "off"
        self._answers: dict[
            tuple[int, int, str], Maps | str
        ] = {}  # of a step, or why there is none
        self._last: Maps | None = None
        self._pending: tuple[int, int, str] | None = None

    def show_in(self, image: ImageView, frame: ImageFrame) -> None:
        """Show the maps of a step in place of its image, or why there are none."""
        trace = self.pane.controller.trace
        assert trace is not None
        assert self.view != "off"  # CanvasView.looks_inside
        answer = self._answer(trace.id, frame.step, self.view)
        if isinstance(answer, Maps):
            image.label(_labels(answer.names) if answer.view == "words" else ())
            image.show(tile_maps(answer, image_files.pixels(frame, "denoised")))
        else:
            image.clear(answer)

    def _answer(self, trace: int, step: int, view: "MapView") -> Maps | str:
        """The maps of a step, which are requested if they are not known, or a text in place."""
        asked = trace, step, view
        if asked not in self._answers and self._pending is None:
            self._pending = asked
            self.pane.session.put(ReadMaps(trace=trace, step=step, view=view))
        last = self._last
        if last is not None and (last.trace, last.view) == (trace, view):
            return self._answers.get(asked, last)  # so that playing does not flicker
        return self._answers.get(asked, "looking inside …")

    def handle(self, reply: TraceReply) -> None:
        if self._pending is None or not isinstance(reply, Maps | Failed | Lost):
            return
        asked, self._pending = self._pending, None
        if isinstance(reply, Maps):
            self._answers[asked] = self._last = reply
        elif isinstance(reply, Failed):
            self._answers[asked] = reply.message
        self.pane.paint()


def _labels(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of each column of maps, from above."""
    return tuple(" ∕ ".join(words[column::ACROSS]) for column in range(min(ACROSS, len(words))))


def tile_maps(maps: Maps, rgb: "np.ndarray") -> "np.ndarray":
    """Maps as one image, ACROSS in a row: of words as light on the image [H, W, 3], of channels in
    two colours."""
    import numpy as np

    shape = len(maps.names), maps.side, maps.side
    values = np.frombuffer(maps.values, np.float16).reshape(shape).astype(np.float32)
    if maps.view == "channels":
        tiles = list(render_image.signed_colours(values))
    else:
        tiles = [render_image.light_up(rgb, weights) for weights in values]
    return image_files.sheet(tiles, ACROSS, gap=1)
