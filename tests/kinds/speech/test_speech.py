"""Recordings: the spoken digits, and a folder of one's own with all that can be wrong in it."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from file_checks import check_reader

from genui.base.errors import MisuseError
from genui.engine.data.preparation import Preparation
from genui.formats.audio import encode_wav, to_pcm
from genui.kinds.speech import data as speech
from genui.kinds.speech.data import (
    DIGITS,
    LATEST,
    MEL_FRAMES,
    MELS,
    SAMPLE_RATE,
    SAMPLES,
    Speech,
    Take,
    load_speech,
    prepare,
    read_take,
)


def tone(seconds: float = 0.4, rate: int = SAMPLE_RATE, loud: float = 0.3) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (loud * np.sin(2 * np.pi * 300 * t)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    path.write_bytes(encode_wav(to_pcm(samples), rate, ""))
    return path


def few(count: int = 6) -> Speech:
    takes = tuple(
        Take(f"{DIGITS[i % 10]} anna", prepare(tone(0.3 + i / 50), SAMPLE_RATE))
        for i in range(count)
    )
    return Speech(
        name="few", licence="", takes=takes, train=np.arange(count), held_out=np.arange(0)
    )


def test_a_take_is_trimmed_levelled_and_brought_to_the_rate() -> None:
    quiet = np.zeros(4410, np.float32)
    take = prepare(np.concatenate((quiet, tone(0.4, 44100, 0.05), quiet)), 44100)
    assert 0.35 < len(take) / SAMPLE_RATE < 0.55
    again = prepare(tone(0.4, SAMPLE_RATE, 0.9), SAMPLE_RATE)
    assert np.abs(take).max() == pytest.approx(np.abs(again).max(), rel=0.1)


def test_of_a_long_take_the_loudest_second_is_kept() -> None:
    long = np.concatenate((tone(2.0, loud=0.05), tone(1.0, loud=0.5), tone(2.0, loud=0.05)))
    assert len(prepare(long, SAMPLE_RATE)) == SAMPLES
    np.testing.assert_allclose(np.abs(prepare(long, SAMPLE_RATE)).min(), 0, atol=0.1)


@pytest.mark.parametrize("samples", [np.zeros(4000), np.full(4000, 0.5), np.full(1, 0.2)])
def test_silence_is_told(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="silence"):
        prepare(samples.astype(np.float32), SAMPLE_RATE)


def test_a_batch_begins_words_a_little_later_each_time() -> None:
    speech = few()
    one = speech.batch(np.array([0, 1, 2]), np.random.default_rng(0))
    two = speech.batch(np.array([0, 1, 2]), np.random.default_rng(1))
    assert one.captions == ["zero anna", "one anna", "two anna"]
    assert one.mels.shape == (3, 1, MELS, MEL_FRAMES)
    assert one.mels.dtype == np.float32
    assert not np.array_equal(one.mels, two.mels)
    assert (one.mels[..., -1] == -1).all()  # none is so long
    first = (one.mels[:, 0] > -1).any(axis=1).argmax(axis=1)
    assert (first <= LATEST + 1).all()


def test_the_fingerprint_follows_every_take() -> None:
    assert few(6).fingerprint == few(6).fingerprint != few(5).fingerprint


@pytest.mark.skipif(
    not (Path(os.environ.get("GENUI_DATA", "/work/shared/data")) / "fsdd.zip").is_file(),
    reason="the spoken digits are not on this machine: set GENUI_DATA to a folder with fsdd.zip",
)
def test_the_spoken_digits_are_split_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_DATA", os.environ.get("GENUI_DATA", "/work/shared/data"))
    speech = load_speech("fsdd")
    assert (len(speech.takes), len(speech.train), len(speech.held_out)) == (3000, 2700, 300)
    assert set(DIGITS) < set(speech.words)
    assert len(speech.words) == 16
    assert max(len(take.samples) for take in speech.takes) == SAMPLES


def test_a_folder_is_read_by_its_names(tmp_path: Path) -> None:
    write(tmp_path / "4_Anna_0.wav", tone())
    write(tmp_path / "seven_anna_1.wav", tone())
    write(tmp_path / "good morning.wav", tone())
    speech = load_speech("", str(tmp_path))
    assert sorted(t.caption for t in speech.takes) == ["four anna", "good morning", "seven anna"]
    assert speech.notes == ()


def test_a_text_beside_a_take_is_its_caption(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone())
    (tmp_path / "a.txt").write_text("Nine  Bob\n")
    assert [take.caption for take in load_speech("", str(tmp_path)).takes] == ["nine bob"]


def test_a_folder_half_broken_says_how_many_are_used(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}_anna_0.wav", tone())
    write(tmp_path / "3_anna_0.wav", np.zeros(4000, np.float32))
    (tmp_path / "4_anna_0.wav").write_bytes(b"ID3 an MP3 of another name")
    (tmp_path / "5_anna_0.wav").write_bytes((tmp_path / "0_anna_0.wav").read_bytes()[:300])
    speech = load_speech("", str(tmp_path))
    assert len(speech.takes) == 3
    assert speech.notes[0] == "3 of 6 recordings are used"
    told = " ".join(speech.notes)
    assert "3_anna_0.wav: is silence" in told
    assert "4_anna_0.wav: is not a WAV file" in told
    assert "5_anna_0.wav: is truncated" in told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no recordings in it; looked for .wav"),
        (lambda path: (path / "1_a_0.wav").write_bytes(b""), "none of its 1 recordings works"),
        (lambda path: (path / "cat.png").write_bytes(b"x"), "no recordings in it"),
    ],
)
def test_a_folder_of_nothing_is_told(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    make(tmp_path)
    with pytest.raises(MisuseError, match=told):
        load_speech("", str(tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "4_anna_0.wav", tone())
    with pytest.raises(MisuseError, match="is a file; recordings need a folder"):
        load_speech("", str(path))


def test_an_unknown_set_names_what_there_is() -> None:
    with pytest.raises(MisuseError, match="did you mean 'fsdd'"):
        load_speech("fsd")


def test_what_was_done_to_a_take_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(3.0, 44100), 44100)
    samples, told = read_take(path)
    assert len(samples) == SAMPLES
    assert told == "a.wav: 44,100 Hz resampled to 8,000, cut to its loudest second"


def test_an_hour_of_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    path.write_bytes(encode_wav(np.ones(100 * 3600, np.int16), 100, ""))
    with pytest.raises(MisuseError, match=r"hour.wav: lasts 3,600.0 s; cut it to at most 30 s"):
        read_take(path)


@pytest.mark.parametrize("name", ["missing.wav", "a\x1b[2Jb.wav"])
def test_a_missing_take_is_told_in_one_clean_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(MisuseError, match="no such file") as caught:
        read_take(tmp_path / name)
    assert "\x1b" not in str(caught.value)


def test_a_take_is_read_from_a_regular_file_alone(tmp_path: Path) -> None:
    check_reader(tmp_path / "take.wav", speech.read_take, speech.MAX_TAKE_BYTES)


def test_random_takes_stand_in_for_those_that_are_not_here() -> None:
    found = load_speech("fsdd", preparation=Preparation(is_trial=True))
    assert len(found.batch(found.train[:4], np.random.default_rng(0)).captions) == 4
    assert len(found.held_out)
