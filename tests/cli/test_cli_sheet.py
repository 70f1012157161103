"""`genui sheet`: saved generations on one image."""

import json
from pathlib import Path

import pytest
from PIL import Image

from genui.cli.main import main

SHAPES = ["generate", "shapes", "--steps", "2", "--prompt", "cat", "--seed", "5"]


def test_images_texts_and_traces_are_on_one_sheet_with_their_recipes(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, text, trace = (tmp_path / name for name in ("a.png", "b.txt", "c.trace"))
    assert main([*SHAPES, "--out", str(image)]) == 0
    words = ["generate", "plays", "--prompt", "to be", "--seed", "3", "--tokens", "9"]
    assert main([*words, "--out", str(text)]) == 0
    assert main([*SHAPES, "--seed", "8", "--trace", str(trace)]) == 0
    out = tmp_path / "sheet.png"
    files = [str(file) for file in (image, text, trace)]
    assert main(["sheet", *files, "--columns", "3", "--out", str(out)]) == 0
    assert "3 samples" in capsys.readouterr().err
    with Image.open(out) as sheet:
        assert sheet.width > 3 * 160
        recipes = json.loads(sheet.info["genui"])
    assert [recipe["seed"] for recipe in recipes] == [5, 3, 8]


def test_favourites_are_taken_without_naming_them(tiny: Path, tmp_path: Path) -> None:
    from genui.base.paths import data_dir

    folder = data_dir() / "traces" / "shapes"
    folder.mkdir(parents=True)
    assert main([*SHAPES, "--trace", str(folder / "x.favourite.trace")]) == 0
    assert main([*SHAPES, "--trace", str(folder / "y.trace")]) == 0
    out = tmp_path / "sheet.png"
    assert main(["sheet", "--favourites", "--out", str(out)]) == 0
    with Image.open(out) as sheet:
        assert len(json.loads(sheet.info["genui"])) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "sheet: name files, or --favourites"),
        (["--favourites"], "no favourites yet"),
        (["missing.png"], "missing.png"),
        (["--columns", "-1", "--favourites"], "no favourites yet"),
    ],
)
def test_with_nothing_to_put_on_it_one_line_says_so(
    words: list[str], line: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.png"
    assert main(["sheet", *words, "--out", str(out)]) in (1, 2)
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_sheet_replaces_none_of_its_samples(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "a.png"
    assert main([*SHAPES, "--out", str(image)]) == 0
    before = image.read_bytes()
    assert main(["sheet", str(image), "--out", str(tmp_path / "." / "a.png")]) == 2
    assert "is one of the samples" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_a_sheet_is_a_png(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "a.png"
    assert main([*SHAPES, "--out", str(image)]) == 0
    assert main(["sheet", str(image), "--out", str(tmp_path / "sheet.gif")]) == 2
    assert "a contact sheet is written as .png" in capsys.readouterr().err
