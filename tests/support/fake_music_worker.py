"""The fake worker with a model of music: quarters that go up the scale, or under a melody.

Run as `python fake_music_worker.py`, with the options of `fake_worker.py`.
"""

from typing import Literal

from fake_worker import FakeWorker, main, text_frame
from msgspec.structs import replace

from genui import protocol
from genui.kinds.music import chorale, score

GIVEN_STEPS = 64
"""Tokens of the piece whose melody is given: four voices of sixteen sixteenths."""


class FakeMusic(FakeWorker):
    medium = "music"

    def begun_from(self, start: protocol.Start) -> protocol.RgbImage | str | None:
        """Of any path four quarters of G4."""
        if start.init is None:
            return None
        tune = bytes([chorale.note_token(67), *[chorale.HOLD] * 15])
        return score.Given(chorale.parse_opening("G major"), (tune, b"", b"", b"")).to_text()

    def step_to(
        self, request: protocol.Advance, end: int
    ) -> tuple[int, Literal["done", "cancelled", "finished"]]:
        """A piece with a melody ends with it."""
        if self.traces[request.trace].init is None:
            return super().step_to(request, end)
        step, reason = super().step_to(request, min(end, GIVEN_STEPS))
        return step, "finished" if step == GIVEN_STEPS else reason

    def token_frame(
        self, start: protocol.Start, step: int, forced: list[protocol.EditAt]
    ) -> protocol.TextFrame:
        """Quarters that go up the scale, each voice an octave below the one above it."""
        init = self.begun_from(start)
        grid, _ = score.grid_of(init if isinstance(init, str) else None, start.prompt)
        slot = grid.slot(step)
        quarter, rest = divmod(slot.sixteenth, 4)
        pitch = (72, 64, 55, 48)[slot.voice] + (0, 2, 4, 5)[(quarter + start.seed) % 4]
        token = chorale.HOLD if rest else chorale.note_token(pitch)
        edit = forced[-1].edit if forced else None
        if isinstance(edit, protocol.WriteToken):
            token = edit.token
        others = [chorale.note_token(pitch + by) for by in (12, -2)]
        frame = text_frame(start, step)
        candidates = tuple(
            replace(frame.candidates[n], token=t, text=chorale.spell_token(t))
            for n, t in enumerate([token, *others])
        )
        return replace(
            frame,
            token=token,
            text=chorale.spell_token(token),
            forced=isinstance(edit, protocol.WriteToken),
            candidates=candidates,
        )


if __name__ == "__main__":
    main(FakeMusic)
