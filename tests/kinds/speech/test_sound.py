"""Spectrograms, mels and the way back: against what the transforms must do."""

import numpy as np

from genui.kinds.speech.data import (
    BINS,
    MEL_FRAMES,
    MELS,
    SAMPLE_RATE,
    SAMPLES,
    SIZE,
    filters,
    istft,
    linear_power,
    log_mel,
    power_of,
    stft,
    vocode,
)


def tone(hertz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / SAMPLE_RATE)).astype(np.float32)


def hiss() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)


def test_the_inverse_of_the_transform_is_the_sound() -> None:
    sound = np.random.default_rng(0).standard_normal((2, 3, SAMPLES)).astype(np.float32)
    spectra = stft(sound)
    assert spectra.shape == (2, 3, MEL_FRAMES, BINS)
    np.testing.assert_allclose(istft(spectra), sound, atol=1e-5)


def test_a_tone_is_in_its_bin() -> None:
    magnitude = np.abs(stft(tone(1000)))[MEL_FRAMES // 2]
    assert magnitude.argmax() == round(1000 * SIZE / SAMPLE_RATE)


def test_filters_cover_every_bin_between_the_ends_and_weigh_one() -> None:
    weights = filters()
    assert weights.shape == (MELS, BINS)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (weights[:, 2:-1].sum(axis=0) > 0).all()
    assert np.diff(weights @ np.arange(BINS)).min() > 0  # each higher than the one before


def test_mels_are_in_range_and_silence_is_the_floor() -> None:
    mels = log_mel(np.stack((tone(500), np.zeros(SAMPLES, np.float32))))
    assert mels.shape == (2, MELS, MEL_FRAMES)
    assert mels.dtype == np.float32
    assert (mels >= -1).all()
    assert (mels <= 1).all()
    assert (mels[1] == -1).all()
    assert not power_of(mels[1]).any()


def test_louder_is_higher() -> None:
    softer, louder = log_mel(np.float32(0.1) * tone(500)), log_mel(tone(500))
    assert louder[softer > -0.9].mean() > softer[softer > -0.9].mean() + 0.5


def test_linear_power_has_the_mels_it_is_made_of() -> None:
    mels = log_mel(hiss())
    power = linear_power(mels)
    assert (power >= 0).all()
    np.testing.assert_allclose(power @ filters().T, power_of(mels), rtol=0.3, atol=1e-2)


def test_what_is_vocoded_has_the_spectrogram_again_and_is_always_the_same() -> None:
    mels = log_mel(hiss() * np.hanning(SAMPLES).astype(np.float32))
    sound = vocode(mels)
    assert sound.shape == (SAMPLES,)
    heard = np.abs(log_mel(sound) - mels)[mels > 0]
    assert heard.mean() < 0.06  # of the scale of -1 to 1: 2 dB
    np.testing.assert_array_equal(sound, vocode(mels))


def test_more_rounds_fit_better() -> None:
    mels = log_mel(hiss())

    def error(rounds: int) -> float:
        return float(np.abs(log_mel(vocode(mels, rounds)) - mels).mean())

    assert error(32) < error(0)
