"""A sound as dots."""

import numpy as np

from genui.render.image import draw_waveform


def test_it_is_as_large_as_asked_and_silence_is_a_line() -> None:
    lines = draw_waveform(np.zeros(100, np.int16), 10, 3)
    assert [len(line) for line in lines] == [10, 10, 10]
    assert lines[0].strip() == lines[2].strip() == ""
    assert len(set(lines[1])) == 1


def test_a_click_stands_out_where_it_is() -> None:
    pcm = np.zeros(1000, np.int16)
    pcm[700] = 20000
    top = draw_waveform(pcm, 10, 4)[0]
    assert top.strip()
    assert top.index(top.strip()) == 7


def test_fewer_samples_than_columns_and_none_are_drawn() -> None:
    assert len(draw_waveform(np.array([5, -5], np.int16), 8, 2)) == 2
    assert len(draw_waveform(np.zeros(0, np.int16), 8, 2)) == 2
