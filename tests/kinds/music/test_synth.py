"""The synthesiser: the pitch that was asked for, when it was asked for."""

import numpy as np
import pytest

from genui.kinds.music.midi import RATE, synthesise


def test_a_note_sounds_at_its_pitch() -> None:
    sound = synthesise([(0, 69, 0, 8)], 60).astype(float).sum(1)
    spectrum = np.abs(np.fft.rfft(sound[RATE // 4 : RATE // 4 + RATE]))  # a second of it
    assert int(spectrum.argmax()) == 440


@pytest.mark.parametrize("voice", range(4))
def test_a_note_is_heard_from_where_it_begins_and_fades_after_it_ends(voice: int) -> None:
    sound = np.abs(synthesise([(voice, 60, 4, 8)], 60).astype(int)).max(1)
    assert sound[: RATE - 1].max() == 0
    assert sound[RATE + RATE // 10 :].max() > 1000
    assert sound[-RATE // 2 :].max() == 0


def test_many_loud_notes_do_not_overflow() -> None:
    chord = [(voice, 60 + n, 0, 4) for voice in range(4) for n in range(8)]
    sound = synthesise(chord, 120)
    assert sound.dtype == np.int16
    assert np.abs(sound.astype(int)).max() == 32767
    assert len(synthesise([], 60)) == RATE


def test_the_same_notes_give_the_same_bits() -> None:
    tune = [(0, 64, 0, 2), (3, 40, 0, 4)]
    assert synthesise(tune, 76).tobytes() == synthesise(tune, 76).tobytes()
