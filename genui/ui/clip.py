"""The frame of a clip that is shown, and whether the clip goes on by itself."""

from dataclasses import dataclass

ROUNDS = 20
"""Times that a clip plays by itself after the last key: then it rests, and nothing is sent."""


@dataclass
class ClipHead:
    """A place among the frames of a clip. A picture is a clip of one frame, and stands still."""

    at: int = 0
    held: bool = False
    _rounds: int = ROUNDS

    def moving(self, frames: int) -> bool:
        """Whether the next tick shows another frame."""
        return frames > 1 and not self.held and self._rounds > 0

    def tick(self, frames: int) -> bool:
        """A frame on, and from the last to the first; whether it moved."""
        if not self.moving(frames):
            return False
        self.at = (self.at + 1) % frames
        if self.at == 0:
            self._rounds -= 1
        return True

    def step(self, by: int, frames: int) -> None:
        """Hold the clip, and go that many frames on or back, round and round."""
        self.held = True
        self.at = (self.at + by) % frames

    def hold(self, held: bool) -> None:
        """Hold the clip, or let it go on."""
        self.held = held
        self._rounds = ROUNDS

    def again(self) -> None:
        """Something new is shown: as many rounds as at first, from where it is."""
        self._rounds = ROUNDS

    def words(self, frames: int) -> str:
        """`frame  7/16 ▸`, or with ‖ where it stands; as wide at every frame."""
        mark = "▸" if self.moving(frames) else "‖"
        return f"frame {self.at % frames + 1:>{len(str(frames))}}/{frames} {mark}"
