"""Sound at another rate keeps its pitch, and loses what the lower rate cannot hold."""

import numpy as np
import pytest

from genui.formats.audio import resample


def tone(hertz: float, rate: int, seconds: float = 0.2) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [6000, 11025, 16000, 22050, 44100, 48000])
def test_a_tone_stays_the_tone(rate: int) -> None:
    result = resample(tone(440, rate), rate, 8000)
    assert len(result) == 1600
    np.testing.assert_allclose(result[200:-200], tone(440, 8000)[200:-200], atol=2e-3)


def test_what_is_too_high_does_not_fold_back() -> None:
    assert np.abs(resample(tone(7000, 48000), 48000, 8000)[200:-200]).max() < 1e-3


def test_one_sample_and_none_are_sounds_too() -> None:
    assert len(resample(np.zeros(0, np.float32), 44100, 8000)) == 0
    assert len(resample(np.ones(1, np.float32), 44100, 8000)) == 1
