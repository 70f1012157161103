"""Voices of piper: described without onnxruntime, and spoken with it, a sentence a step."""

import json
import random
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from small_onnx import write_voice

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.formats.audio import decode_wav
from genui.hub.formats import describe, format_of
from genui.hub.pull import choose_files, parse_source
from genui.hub.records import Record, write_record
from genui.kinds.speech.piper import config_file
from genui.kinds.speech.settings import VoiceSettings
from genui.protocol import EditAt, ImageFrame, SetPrompt, SetSeed, SetSettings, Start
from genui.runs.models import find_model
from genui.ui.settings import model_card

TEXT = "[[one]] [[two]] [[three]]"  # three parts, which are one sentence each


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return write_voice(tmp_path / "voice" / "tiny.onnx")


def test_a_voice_is_described_by_its_files(voice: Path) -> None:
    model = describe(voice)
    assert (model.format, model.medium, model.licence) == ("onnx", "audio", "CC0")
    assert model.parameters == 2
    assert "8 kHz" in model.summary
    config_file(voice).unlink()
    assert format_of(voice) == ""  # an ONNX file alone is no voice


def test_another_network_is_refused(tmp_path: Path) -> None:
    other = write_voice(tmp_path / "other.onnx", inputs=("pixels",))
    with pytest.raises(MisuseError, match="its inputs are pixels"):
        describe(other)


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"audio": {}}, "is damaged"),
        ({"audio": {"sample_rate": 0}}, "samples a second"),
        ({"phoneme_id_map": {"a": [1]}}, "no table of phonemes"),
        ({"phoneme_id_map": {"_": [0], "^": [1], "$": [-5]}}, "no table of phonemes"),
    ],
)
def test_a_damaged_configuration_is_one_line(
    voice: Path, config: dict[str, object], fault: str
) -> None:
    known = json.loads(config_file(voice).read_text())
    config_file(voice).write_text(json.dumps(known | config))
    with pytest.raises(MisuseError, match=fault):
        describe(voice)


def test_a_damaged_file_is_refused_whatever_the_damage(voice: Path) -> None:
    body, rng = voice.read_bytes(), random.Random(0)
    for cut in range(0, len(body) - 1, 23):
        voice.write_bytes(body[:cut])
        with pytest.raises(MisuseError):
            describe(voice)
    for _ in range(100):
        changed = bytearray(body)
        for _ in range(3):
            changed[rng.randrange(len(body))] = rng.randrange(256)
        voice.write_bytes(changed)
        with suppress(MisuseError):
            describe(voice)


def test_without_onnxruntime_it_says_what_to_install(
    voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genui.engine.load import load_open

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        GenuiError,
        match=r"^[^:]*: a voice needs onnxruntime: .*-m pip install ",
    ):
        load_open(voice, "onnx")


# --- Speaking -----------------------------------------------------------------------------------


def _speak(voice: Path, **start: object) -> list[ImageFrame]:
    pytest.importorskip("onnxruntime")
    from genui.engine.load import stream

    request = {"trace": 1, "model": str(voice), "prompt": TEXT, "seed": 1}
    request["settings"] = VoiceSettings()
    return [m for m in stream(Start(**(request | start))) if isinstance(m, ImageFrame)]  # type: ignore[arg-type]


def _sound(frame: ImageFrame) -> np.ndarray:
    return np.frombuffer(frame.sound, "<i2")


def test_a_step_is_a_sentence_and_the_seed_decides(voice: Path) -> None:
    frames = _speak(voice, seed=3)
    assert [frame.step for frame in frames] == [1, 2, 3]
    assert frames[0].rate == 8000
    pause = round(0.3 * 8000)
    begun = _sound(frames[0])
    assert len(_sound(frames[1])) == len(begun) + pause + len(begun)  # "two" is as long
    assert np.array_equal(_sound(frames[1])[: len(begun)], begun)
    again, other = _speak(voice, seed=3), _speak(voice, seed=4)
    assert [frame.sound for frame in again] == [frame.sound for frame in frames]
    assert other[0].sound != frames[0].sound


def test_an_edit_changes_only_later_sentences(voice: Path) -> None:
    usual = _speak(voice, seed=3)
    reseeded = _speak(voice, seed=3, edits=(EditAt(step=2, edit=SetSeed(9)),))
    assert [a.sound == b.sound for a, b in zip(usual, reseeded, strict=True)] == [True, True, False]
    calm = VoiceSettings(noise_scale=0, pause=0)
    without = _speak(voice, seed=3, settings=calm)
    assert without[0].sound == _speak(voice, seed=9, settings=calm)[0].sound  # there is no noise
    later = _speak(voice, seed=3, edits=(EditAt(step=1, edit=SetSettings(calm)),))
    assert later[0].sound == usual[0].sound
    assert len(_sound(later[2])) == len(_sound(without[2]))


def test_what_cannot_be_spoken_is_one_line(voice: Path) -> None:
    for change, fault in (
        ({"prompt": " "}, "nothing to say"),
        ({"prompt": "[[a]]" * 25}, "at most 24"),
        ({"settings": VoiceSettings(speaker=1)}, "this voice has 1"),
        ({"edits": (EditAt(step=1, edit=SetPrompt("b")),)}, "no such edit"),
    ):
        with pytest.raises(MisuseError, match=fault):
            _speak(voice, **change)


def test_text_needs_a_phonemizer(voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = json.loads(config_file(voice).read_text())
    config_file(voice).write_text(json.dumps(known | {"phoneme_type": "espeak"}))
    monkeypatch.setitem(sys.modules, "piper.phonemize_espeak", None)
    with pytest.raises(MisuseError, match="piper-tts"):
        _speak(voice, prompt="hello")
    assert len(_speak(voice, prompt="[[hello]]")) == 1


def test_a_file_that_onnxruntime_refuses_is_one_line(voice: Path) -> None:
    voice.write_bytes(voice.read_bytes().replace(b"RandomNormalLike", b"RandomNormalLikf"))
    with pytest.raises(GenuiError, match="onnxruntime cannot load this voice"):
        _speak(voice)


def test_a_sound_is_written_and_replays(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    write_record("joe", Record(path=str(voice)))
    out = tmp_path / "hello.wav"
    assert main(["generate", "joe", "--prompt", "hello", "--speed", "2", "--out", str(out)]) == 0
    assert decode_wav(out.read_bytes()).rate == 8000
    capsys.readouterr()
    assert main(["replay", str(out)]) == 0
    assert "identical" in capsys.readouterr().out


def test_a_model_that_needs_a_package_says_so_in_lists_and_on_its_card(
    voice: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first word of it came when the model was used, after the download."""
    write_record("tiny", Record(path=str(voice)))
    assert main(["models"]) == 0
    assert "needs onnxruntime" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["models"]) == 0
    assert "needs onnxruntime; " in capsys.readouterr().out
    assert main(["show", "tiny"]) == 0
    assert "-m pip install 'onnxruntime>=" in capsys.readouterr().out
    card = model_card(find_model("tiny")).plain
    assert "needs onnxruntime: " in card


# --- fetching -------------------------------------------------------------------------------


def test_a_voice_comes_with_its_configuration_and_card() -> None:
    names = ["a/MODEL_CARD", "a/v.onnx", "a/v.onnx.json", "a/x.onnx", "b/MODEL_CARD", "a/x.wav"]
    chosen, _ = choose_files(parse_source("a/b/a/v.onnx"), names)
    assert chosen == ["a/v.onnx", "a/v.onnx.json", "a/MODEL_CARD"]


def test_the_catalogue_has_a_voice_and_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["pull"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if "needs onnxruntime; " in line] == ["joe"]
