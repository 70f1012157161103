"""A sound in the terminal: its waveform, and below it how long it lasts and how to hear it."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual.strip import Strip

from genui.render.sanitise import clean_line
from genui.ui.widgets.lines import LineWidget, strip_of


class Waveform(LineWidget):
    """Takes no room where there is no sound."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"waveform--dots", "waveform--words"}
    DEFAULT_CSS = """
    Waveform {
        display: none;
        height: 4;
        &.-heard { display: block; }
        & > .waveform--dots { color: $primary; }
        & > .waveform--words { color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sound = b""
        self._rate = 0
        self._words = ""

    def show(self, sound: bytes, rate: int, words: str = "") -> bool:
        """Show int16 samples, one channel; `words` follow its length. False where nothing moved."""
        if (sound, rate, words) == (self._sound, self._rate, self._words):
            return False
        self._sound, self._rate, self._words = sound, rate, words
        self.set_class(bool(sound and rate), "-heard")
        return self.redraw()

    def draw(self, width: int, height: int) -> list[Strip]:
        if not (self._sound and self._rate):
            return []
        import numpy as np

        from genui.render.waveform import waveform

        pcm = np.frombuffer(self._sound, "<i2")
        dots, words = self.style("waveform--dots"), self.style("waveform--words")
        lines = waveform(pcm, width, max(1, height - 1)) if width else []
        strips = [strip_of([(line, dots)]) for line in lines]
        if height > 1:
            text = f"{len(pcm) / self._rate:.2f} s at {self._rate:,} samples a second"
            if self._words:
                text = f"{self._words} · {text}"
            strips.append(strip_of([(clean_line(text, width), words), ("", Style.null())]))
        return strips
