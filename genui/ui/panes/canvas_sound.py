"""What Canvas does with sound: draws its waveform below the spectrogram, and lets it be heard."""

from textual import work

from genui.protocol import ImageFrame, ImageSettings
from genui.ui import keys
from genui.ui.panes.canvas_clips import CanvasClips
from genui.ui.session import Session
from genui.ui.sound import Speaker
from genui.ui.widgets.waveform import Waveform

HEAR = "canvas.hear"


class CanvasSound(CanvasClips):
    """The sound of a step is that of the guess, whichever picture is shown."""

    def __init__(self, session: Session, settings: ImageSettings, touched: str) -> None:
        super().__init__(session, settings, touched)
        self._speaker = Speaker()

    def on_unmount(self) -> None:
        self._speaker.stop()

    @property
    def speaking(self) -> bool:
        """Whether a player is at it."""
        return self._speaker.playing

    def action_hear(self) -> None:
        """Hear the guess of this step, or be silent."""
        if self.speaking:
            self._speaker.stop()
            return
        frame = self._frame
        if frame is None or not frame.sound:
            self._tell("there is no sound here: models of audio speak, as voice does")
            return
        self._hear(frame.sound, frame.rate)

    @work(group="sound", exclusive=True, exit_on_error=False)
    async def _hear(self, sound: bytes, rate: int) -> None:
        def wav() -> bytes:
            import numpy as np

            from genui.render.wav import encode_wav

            return encode_wav(np.frombuffer(sound, "<i2"), rate, "")

        if line := await self._speaker.hear(wav):
            self._tell(line)

    def show_sound(self, frame: ImageFrame | None) -> None:
        """The waveform of a step, or none."""
        wave = self.query_one(Waveform)
        if frame is None or not frame.sound:
            wave.show(b"", 0)
            return
        key = next(key for key in keys.TABLE if key.id == HEAR)
        shown = keys.shown_after(key, getattr(self.screen, "user_keys", {}))
        wave.show(frame.sound, frame.rate, f"{shown} hear")
