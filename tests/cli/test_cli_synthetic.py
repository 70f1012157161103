"""`genui generate MODEL -n 1000 --out FOLDER` and what is done with such folders."""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from genui.cli.main import main
from genui.engine.data.image_datasets import load_own
from genui.engine.data.text import load_text
from genui.engine.sample import diffusion
from genui.formats import recipe
from genui.formats.recipe import read_plan
from genui.protocol.settings import UNGUIDED

SHAPES = ["generate", "shapes", "--steps", "1", "--prompt", "cat", "--seed", "5"]
PLAYS = ["generate", "plays", "--prompt", "to be", "--seed", "5", "--tokens", "12"]


def lines(folder: Path, name: str = "metadata.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_images_are_a_folder_that_training_reads_back(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*SHAPES, "-n", "3", "--out", str(out)]) == 0
    assert [(line["text"], line["seed"]) for line in lines(out)] == [
        ("cat", 5), ("cat", 6), ("cat", 7)
    ]  # fmt: skip
    said = told(capsys)
    assert "the prompt given, seeds 5 to 7" in said
    assert f"wrote 3 samples to {out}: genui train … --data {out} reads them\n" in said
    images = load_own(out)
    assert images.captions == ("cat",) * 3
    assert images.rgba.shape == (3, 32, 32, 4)
    assert not images.notes


def test_texts_are_json_lines_that_training_reads_back(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*PLAYS, "-n", "60", "--tokens", "40", "--out", str(out)]) == 0
    found = lines(out, "data.jsonl")
    assert len(found) == 60
    assert all(line["text"].startswith("to be") for line in found)
    assert all(line["prompt"] == "to be" for line in found)
    words = ["--tokens", "40", "--seed", str(found[37]["seed"]), "--json"]
    told(capsys)
    assert main([*PLAYS, *words]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == found[37]["text"]  # as of one alone
    data = load_text("", str(out))
    assert sorted(data.train + data.validation) == sorted(line["text"] for line in found)
    assert not data.notes


def test_captions_come_from_the_training_data_where_none_is_given(
    tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made"
    words = ["generate", "shapes", "--steps", "1", "--seed", "1", "-n", "4", "--out", str(out)]
    assert main(words) == 0
    captions = [line["text"] for line in lines(out)]
    assert len(set(captions)) == 4
    assert all(" on " in caption for caption in captions)


def test_they_stand_for_the_data_but_where_told_otherwise(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    asked = ["--rho", "3", "--s-tmin", ".5", "--sampler", "ddim"]
    assert main([*SHAPES, *asked, "-n", "1", "--out", str(out)]) == 0
    told = {"steps": 1, "rho": 3.0, "s_tmin": 0.5, "sampler": "ddim"}
    few = {"sigma_min": None}  # one step has no use for UNGUIDED's level
    assert read_plan(out).settings == msgspec.structs.replace(UNGUIDED, **told, **few)


@pytest.mark.parametrize("words", [["--sigma-min", "0"], ["--rho", "0.5"], ["--s-tmin", "-1"]])
def test_levels_that_cannot_be_are_one_line(
    words: list[str], tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHAPES, *words, "-n", "1", "--out", str(tmp_path / "made")]) == 2
    assert words[0] in told(capsys)
    assert not (tmp_path / "made").exists()


def test_the_same_command_goes_on_where_it_was_interrupted(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "made"
    monkeypatch.setattr("genui.cli.batch_generation.BATCH_SIZE", 2)
    assert main([*SHAPES, "-n", "6", "--out", str(whole)]) == 0
    draw, drawn = diffusion.draw, []

    def until_interrupted(*args: object) -> list[bytes]:
        drawn.append(args)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return draw(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(diffusion, "draw", until_interrupted)
        told(capsys)
        assert main([*SHAPES, "-n", "6", "--out", str(out)]) == 130
    assert "4 of 6 samples are complete" in told(capsys)
    assert len(lines(out)) == 4
    with (out / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "000/0000')  # as a kill leaves it
    words = [word for word in SHAPES if word not in ("--seed", "5")]
    assert main([*words, "-n", "6", "--out", str(out)]) == 0
    assert "4 exist already" in told(capsys)
    assert lines(out) == lines(whole)
    for line in lines(out):
        name = line["file_name"]
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert main([*SHAPES, "-n", "6", "--out", str(out)]) == 0
    assert "has 6 samples already" in told(capsys)


@pytest.mark.parametrize(
    ("name", "spoil", "fault"),
    [
        ("genui.json", lambda file: file.write_bytes(file.read_bytes() + b" " * (1 << 20)),
         "is over 1 MB"),
        ("metadata.jsonl", lambda file: os.truncate(file, 20 << 20), "not a list of samples"),
        ("metadata.jsonl", lambda file: file.write_bytes(b"\n" * 1_000_001),
         "not a list of samples"),
        ("metadata.jsonl", lambda file: (file.unlink(), os.mkfifo(file)), "not a regular file"),
    ],
    ids=["large plan", "endless line", "lines", "pipe"],
)  # fmt: skip
def test_a_folder_whose_own_files_are_too_large_or_damaged_is_refused_in_one_line(
    name: str,
    spoil: Callable[[Path], object],
    fault: str,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "made"
    assert main([*SHAPES, "-n", "1", "--out", str(out)]) == 0
    spoil(out / name)
    told(capsys)
    assert main([*SHAPES, "-n", "2", "--out", str(out)]) == 1
    said = told(capsys)
    assert said.startswith(f"genui: {out / name}")
    assert fault in said
    assert said.count("\n") == 1


def test_a_full_disk_leaves_what_is_whole_and_says_so(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "made"
    monkeypatch.setattr("genui.cli.batch_generation.BATCH_SIZE", 2)
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "000003.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([*SHAPES, "-n", "4", "--out", str(out)]) == 1
    error = told(capsys)
    assert (
        "no space left on device; 2 samples are complete: repeat the command to continue" in error
    )
    assert len(lines(out)) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-n", "0"], "-n 0: expected a whole number, 1 to 1,000,000"),
        (["-n", "-3"], "-n -3: expected a whole number, 1 to"),
        (["-n", "1000000000"], "-n 1000000000: expected a whole number, 1 to 1,000,000"),
        (["-n", "2", "--film", "x.png"], "--film: applies to one sample"),
        (["-n", "2", "--json"], "--json: applies to one sample"),
        (["-n", "2", "--forward"], "--forward: applies to one sample"),
        (["-n", "2", "--denoising"], "--denoising: applies to one sample"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_generated(
    words: list[str], line: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*SHAPES, *words, "--out", str(out)]) == 2
    assert line in told(capsys)
    assert not out.exists()


def test_two_commands_do_not_write_into_one_folder(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert main([*SHAPES, "-n", "3", "--out", str(out)]) == 1
    assert "another command writes there" in told(capsys)
    os.close(held)
    assert main([*SHAPES, "-n", "3", "--out", str(out)]) == 0


def test_a_folder_with_other_things_in_it_is_left_alone(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert main([*SHAPES, "-n", "2", "--out", str(tmp_path)]) == 2
    assert "holds other files" in told(capsys)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--steps", "2"], "was started with other settings"),
        (["--seed", "9"], "was started with seed 5"),
        (["--prompt", "dog"], "was started with prompt cat"),
    ],
)
def test_a_folder_that_was_begun_otherwise_is_refused(
    words: list[str], line: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main([*SHAPES, "-n", "1", "--out", str(out)]) == 0
    assert main([*SHAPES, *words, "-n", "2", "--out", str(out)]) == 2
    assert line in told(capsys)


def test_a_damaged_plan_is_said_in_one_line(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    out.mkdir()
    (out / recipe.PLAN).write_text("{")
    assert main([*SHAPES, "-n", "1", "--out", str(out)]) == 1
    error = told(capsys)
    assert "genui.json is damaged" in error
    assert error.count("\n") == 1
