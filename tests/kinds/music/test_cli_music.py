"""`genui generate` of music: in the terminal, to files that replay, round a melody."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_models import write_music

from genui.cli.main import main
from genui.formats.audio import decode_wav
from genui.kinds.music import midi
from genui.kinds.music.midi import decode_midi, encode_midi
from genui.protocol import kinds

TOKENS = ("--tokens", "90", "--seed", "3")
TUNE = [(0, 67 + n, 4 * n, 4 * n + 4) for n in range(4)]


@pytest.fixture
def tunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    weights = tmp_path / "weights"
    write_music(weights)
    monkeypatch.setattr(kinds, "weights_folders", lambda: [weights])
    return tmp_path


def test_a_piece_is_drawn_as_a_piano_roll(tunes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "tunes", "--prompt", "G minor, 3/4", *TOKENS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "G minor, 3/4, seed 3"
    assert lines[1].split() == ["1", "2", "3"]
    assert {"S", "A", "T", "B"} < set("".join(lines[2:]))


def test_two_pieces_are_compared_by_their_rolls(
    tunes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tunes / f"tune-{seed}.mid") for seed in (4, 3)]
    for seed, file in zip("43", files, strict=True):
        assert main(["generate", "tunes", "--tokens", "90", "--seed", seed, "--out", file]) == 0
    assert main(["compare", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    drawn = [line.rpartition(", ")[2] for line in lines if ", seed " in line]
    assert drawn == ["seed 4", "seed 3"]
    assert {"S", "A", "T", "B"} < set("".join(lines))
    assert lines[-1].startswith("they differ from step ")


@pytest.mark.parametrize("name", ["tune.mid", "tune.wav"])
def test_a_file_carries_its_recipe_and_replays(
    tunes: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tunes / name
    assert main(["generate", "tunes", *TOKENS, "-n", "2", "--out", str(target)]) == 0
    data = target.read_bytes()
    text = decode_midi(data).texts[0] if name.endswith("mid") else decode_wav(data).text
    assert json.loads(text)["count"] == 2
    capsys.readouterr()
    assert main(["replay", str(target)]) == 0
    assert capsys.readouterr().out == "identical\n"
    assert main(["show", str(target)]) == 0
    assert "G major, 4/4, upbeat" in capsys.readouterr().out


def test_a_folder_of_pieces_is_not_said_to_be_for_training(
    tunes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tunes / "made"
    assert main(["generate", "tunes", *TOKENS, "-n", "2", "--out", str(folder)]) == 0
    assert capsys.readouterr().err.endswith(f"wrote 2 samples to {folder}\n")


def test_notes_that_were_changed_are_found(tunes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tunes / "tune.mid"
    assert main(["generate", "tunes", *TOKENS, "--out", str(target)]) == 0
    text = decode_midi(target.read_bytes()).texts[0]
    target.write_bytes(encode_midi(TUNE, 16, 0, text))
    capsys.readouterr()
    assert main(["replay", str(target)]) == 1
    assert "other notes from sixteenth 1 on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ([(0, 67, 0, 2_000_000)], "is over 100,000 quarter notes long"),
        ([(0, pitch, 0, 300_000) for pitch in range(60, 70)], "has overlapping notes"),
    ],
    ids=["long", "together"],
)
def test_a_forged_file_of_long_notes_is_refused(
    tunes: Path, forged: list, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tunes / "tune.mid"
    assert main(["generate", "tunes", *TOKENS, "--out", str(target)]) == 0
    text = decode_midi(target.read_bytes()).texts[0]
    target.write_bytes(encode_midi(forged, 16, 0, text))
    capsys.readouterr()
    for command in ("show", "replay"):
        assert main([command, str(target)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"genui: {target}: {reason}")
        assert said.count("\n") == 1


def test_a_melody_that_would_take_too_long_to_read_is_refused(
    tunes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    melody = tunes / "melody.mid"
    melody.write_bytes(encode_midi([(0, 67, 0, 2_000_000)], 16))
    assert main(["generate", "tunes", *TOKENS, "--melody", str(melody)]) == 1
    said = capsys.readouterr().err
    assert said == (
        f"genui: {melody}: is over 100,000 quarter notes long; give a MIDI file of one melody\n"
    )


def test_a_melody_is_harmonised_and_stands_in_the_file(
    tunes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    melody, target = tunes / "melody.mid", tunes / "four.mid"
    melody.write_bytes(encode_midi(TUNE, 16, tempo=132))
    words = ["--melody", str(melody), "--prompt", "D minor", "--out", str(target)]
    assert main(["generate", "tunes", *words]) == 0
    assert capsys.readouterr().err.startswith("--prompt has no effect: the melody has its own key")
    music = decode_midi(target.read_bytes())
    parts = {track.name: track.notes for track in music.tracks}
    assert [pitch for pitch, _, _ in parts["soprano"]] == [67, 68, 69, 70]
    assert music.tempos == [132]
    melody.unlink()  # its notes are in the recipe
    assert main(["replay", str(target)]) == 0


def test_the_notes_come_as_json(tunes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "tunes", *TOKENS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["prompt"] == "G major, 4/4, upbeat"
    assert set(told["notes"][0]) == {"voice", "pitch", "first", "last"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--prompt", "a cat"], "give a key"),
        (["--melody", "none.mid"], "none.mid"),
        (["--melody", ""], "is a folder; give a MIDI file"),
        (["--melody", "a.mid", "--init", "b.mid"], "--init: names a melody as --melody does"),
        (["--rate", "2"], "--rate: is for animations"),
        (["--voices", "bass"], "--voices: needs --melody FILE"),
        (["--out", "tune.png"], "a piece is written as .mid or .wav"),
        (["--gm"], "--gm: needs --out FILE.wav and a music model"),
        (["--grid", "seed=1..4"], "--grid: tunes writes four-voice music"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tunes: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "tunes", *TOKENS, *words]) in (1, 2)
    out, err = capsys.readouterr()
    assert reason in err
    assert (out, err.count("\n")) == ("", 1)


def test_a_midi_file_of_others_is_no_start_and_says_so(
    tunes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tunes / "theirs.mid"
    theirs.write_bytes(encode_midi(TUNE, 16))
    assert main(["replay", str(theirs)]) == 1
    assert "has no recipe" in capsys.readouterr().err


def test_general_midi_is_played_by_fluidsynth_and_missed_in_one_line(
    tunes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tunes / "tune.wav"
    words = ["generate", "tunes", *TOKENS, "--gm", "--out", str(target)]
    if shutil.which("fluidsynth") and midi.soundfont() is not None:
        assert main(words) == 0
        assert decode_wav(target.read_bytes()).rate == midi.FLUID_RATE
        assert main(["replay", str(target)]) == 0
        target.unlink()
    monkeypatch.setattr(midi.shutil, "which", lambda name: None)
    assert main(words) == 1
    assert "--gm: needs fluidsynth, which is not installed" in capsys.readouterr().err
    assert not target.exists()
