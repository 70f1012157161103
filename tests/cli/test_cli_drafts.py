"""`genui generate --drafts` and `--seeds`: many seeds on one sheet, some of them finished."""

import json
from pathlib import Path

import pytest
from PIL import Image

from genui.cli.main import main
from genui.engine.load import stream
from genui.formats.codec import read
from genui.formats.recipe import result_of
from genui.protocol import Frame

SHAPES = ["generate", "shapes", "--steps", "3", "--prompt", "cat"]


def test_drafts_stop_on_one_sheet_and_a_seed_is_finished_through_the_same_bits(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["--seed", "5", "--drafts", "4", "--stop-at", "2", "--out", str(sheet)]
    assert main([*SHAPES, *words]) == 0
    assert "4 drafts at step 2 of 3" in capsys.readouterr().err
    with Image.open(sheet) as image:
        drafts = json.loads(image.info["genui"])
    assert [draft["seed"] for draft in drafts] == [5, 6, 7, 8]

    assert main([*SHAPES, "--seeds", "6,8", "--out", str(tmp_path / "cat.png")]) == 0
    assert not (tmp_path / "cat.png").exists()
    finished = {seed: read(tmp_path / f"cat-{seed}.png") for seed in (6, 8)}
    for seed, file in finished.items():
        alone = tmp_path / "alone.png"
        assert main([*SHAPES, "--seed", str(seed), "--out", str(alone)]) == 0
        assert file.result == read(alone).result
        frames = [frame for frame in stream(file.start) if isinstance(frame, Frame)]
        assert result_of(frames) == file.result
        assert result_of(frames[:3]).digest == drafts[seed - 5]["result"]["digest"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--drafts", "4"], "name it by --out FILE.png"),
        (["--drafts", "4", "--out", "sheet.gif"], "a sheet is written as .png"),
        (["--drafts", "65", "--out", "sheet.png"], "--drafts 65: expected"),
        (
            ["--drafts", "4", "--stop-at", "3", "--out", "sheet.png"],
            "a step before the last, 1 to 2",
        ),
        (
            [
                "--drafts",
                "4",
                "--stop-at",
                "2",
                "--init",
                "data:",
                "--strength",
                "0.6",
                "--out",
                "sheet.png",
            ],
            "a step before the last, 1 to 1",
        ),
        (
            ["--steps", "1", "--drafts", "4", "--out", "sheet.png"],
            "one step is too few",
        ),
        (
            ["--drafts", "4", "--grid", "guidance=1,2", "--out", "sheet.png"],
            "a grid is already several",
        ),
        (["--stop-at", "1"], "--stop-at: needs --drafts COUNT"),
        (["--seeds", "3,x"], "--seeds 3,x: expected a whole number"),
        (["--seeds", "3", "-n", "2"], "-n: leave it out with --seeds"),
        (["--seeds", "3", "--out", "-"], "--out -: takes one file"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    words: list[str],
    line: str,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SHAPES, *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert list(tmp_path.glob("*.png")) == []


def test_a_text_has_no_drafts(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "plays", "--drafts", "4", "--out", "sheet.png"]) == 2
    assert "--drafts: plays writes" in capsys.readouterr().err
