"""Speech from the shell: WAV files that replay, bytes to a pipe, and what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_voice

from genui.cli.main import main
from genui.formats.audio import decode_wav, encode_wav, to_pcm
from genui.protocol import kinds

WORDS = ["generate", "talk", "--prompt", "4 2 anna", "--seed", "3", "--steps", "2"]


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    weights = tmp_path / "weights"
    write_voice(weights)
    monkeypatch.setattr(kinds, "weights_folders", lambda: [weights])
    return weights


def test_a_wav_carries_its_recipe_and_replays(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.wav"
    assert main([*WORDS, "--out", str(path)]) == 0
    found = decode_wav(path.read_bytes())
    assert found.rate == 8000
    assert len(found.samples) > 800
    recipe = json.loads(found.text)
    assert (recipe["model"], recipe["prompt"], recipe["seed"]) == ("talk", "4 2 anna", 3)
    capsys.readouterr()
    assert main(["replay", str(path)]) == 0
    assert capsys.readouterr().out == "identical\n"
    assert main(["show", str(path)]) == 0
    assert "4 2 anna" in capsys.readouterr().out


def test_a_changed_sound_is_told_by_its_second(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.wav"
    assert main([*WORDS, "--out", str(path)]) == 0
    found = decode_wav(path.read_bytes())
    found.samples[400:] *= 0.5
    path.write_bytes(encode_wav(to_pcm(found.samples), found.rate, found.text))
    capsys.readouterr()
    assert main(["replay", str(path)]) == 1
    assert "differs from second 0.0" in capsys.readouterr().out


def test_its_spectrogram_is_an_image_and_several_samples_one_sound(
    talk: Path, tmp_path: Path
) -> None:
    assert main([*WORDS, "--out", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert main([*WORDS, "--out", str(tmp_path / "one.wav")]) == 0
    assert main([*WORDS, "-n", "2", "--out", str(tmp_path / "two.wav")]) == 0
    one, two = (decode_wav((tmp_path / f"{n}.wav").read_bytes()).samples for n in ("one", "two"))
    assert len(two) > 1.5 * len(one)


def test_a_dash_writes_the_wav_to_a_pipe_and_remarks_beside_it(
    talk: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main([*WORDS, "--out", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert len(decode_wav(out).samples) > 800
    assert b"Traceback" not in err


def test_a_dash_with_json_is_refused(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--out", "-", "--json"]) == 2
    assert "--out -: the file goes to standard output" in capsys.readouterr().err


def test_a_dash_at_a_screen_is_refused_with_the_pipe_to_use(
    talk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([*WORDS, "--out", "-"]) == 2
    assert "| aplay" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (encode_wav(np.ones(90, np.int16), 8000, "hello"), "has no recipe"),
        (b"RIFF", "is not a WAV file"),
    ],
)
def test_a_wav_of_others_is_told_apart(
    content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "theirs.wav"
    path.write_bytes(content)
    assert main(["replay", str(path)]) == 1
    assert f"theirs.wav: {told}" in capsys.readouterr().err


def test_a_sound_is_not_enlarged(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--scale", "2", "--out", str(tmp_path / "x.wav")]) == 2
    error = capsys.readouterr().err
    assert "--scale: is for files of images: --out FILE, which ends in .png .gif" in error
    assert error.count("\n") == 1


def test_an_image_model_makes_no_wav(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "shapes", "--out", str(tmp_path / "x.wav")]) == 2
    assert "an image is written as" in capsys.readouterr().err
