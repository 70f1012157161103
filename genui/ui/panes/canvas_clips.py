"""What Canvas does with the frames of a clip: they play, are stepped through, lie side by side."""

from typing import TYPE_CHECKING

from genui.protocol import ImageFrame, ImageSettings
from genui.ui.clip import ClipHead
from genui.ui.panes.canvas_edits import CanvasEdits
from genui.ui.session import Session
from genui.ui.widgets.picture import Picture, View

if TYPE_CHECKING:
    import numpy as np

ARRANGEMENTS = (16, 8, 4, 2, 1)  # frames in a row, of those the one that shows them largest


class CanvasClips(CanvasEdits):
    """A clip goes on by itself while the playhead of the denoising moves or stands."""

    def __init__(self, session: Session, settings: ImageSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self.clip = ClipHead()

    @property
    def frames(self) -> int:
        """Frames of what is shown: one of a picture, none before there is any."""
        return self._frame.pictures if self._frame is not None else 0

    @property
    def moment(self) -> int:
        return self.clip.at % max(1, self.frames)

    @property
    def spread(self) -> bool:
        """Whether all frames of the clip lie side by side."""
        return self.zoomed and self.has_class("-spread") and self.frames > 1

    @property
    def drifting(self) -> bool:
        return not self.spread and self.clip.moving(self.frames)

    def drift(self) -> bool:
        return not self.spread and self.clip.tick(self.frames)

    def _moved(self) -> None:
        self.clip.again()
        super()._moved()

    # --- keys -------------------------------------------------------------------------

    def action_frame(self, by: int) -> None:
        """Hold the clip at the frame after, or before."""
        if self._is_clip():
            self.clip.step(by, self.frames)
            self._moved()

    def action_roll(self) -> None:
        """Hold the clip, or let it go on."""
        if self._is_clip():
            self.clip.hold(self.clip.moving(self.frames))
            self._moved()

    def _is_clip(self) -> bool:
        if self.frames > 1:
            return True
        self._tell("a picture has no frames to step through: models of video draw clips")
        return False

    # --- drawing ----------------------------------------------------------------------

    def show_in(self, picture: Picture, frame: ImageFrame, view: View) -> None:
        """The frame of the clip that is on, or all of them."""
        if not self.spread:
            picture.show_frame(frame, view, self.moment)
            return
        from genui.saved.write import clip_pixels

        picture.show(arranged(clip_pixels(frame, view), *picture.size))


def arranged(clip: "np.ndarray", cols: int, rows: int) -> "np.ndarray":
    """Frames uint8 [T, H, W, 3] side by side as they are largest in `cols` × `rows` cells."""
    from genui.render.halfblocks import fit
    from genui.saved.write import flat

    def size(sheet: "np.ndarray") -> float:
        room = fit(sheet.shape[1], sheet.shape[0], cols, rows)
        return room.scale / room.shrink

    return max((flat(clip, across) for across in ARRANGEMENTS), key=size)
