"""`genui twins`: the table, the run that holds its curves, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.cli.main import main
from genui.runs.listing import find_run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "light"
    folder.mkdir()
    for name, level in (("day", 200), ("night", 50)):
        for i in range(30):
            pixels = rng.normal(level, 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}_{i}.png")
    return folder


def test_it_prints_a_table_and_keeps_each_curve_as_a_run(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["twins", "fashion", "--data", str(images), "--counts", "4,40", "--repeats", "2"]
    assert main(words) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("EXAMPLES")
    assert [line.split()[0] for line in lines[1:3]] == ["4", "40"]
    assert lines[2].split()[1:3] == ["100.0%", "100.0%"]
    for run_id in shown.err.split("genui watch ")[1].split()[:2]:
        records = [json.loads(line) for line in find_run(run_id).metrics.read_text().splitlines()]
        measured = [record for record in records if "accuracy" in record]
        assert [record["step"] for record in measured] == [4, 40]
        assert {"log_loss", "calibration_error"} <= set(measured[0])


def test_as_json_it_is_points(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twins", "fashion", "--data", str(images), "--counts", "9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (point,) = found["points"]
    assert point["examples"] == 9
    assert 0 <= point["calibration_error/discriminative"] <= 1
    assert set(found["runs"]) == {"discriminative", "generative"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["fashoin"], "did you mean 'fashion'"),
        (["fashion", "--counts", "4,x"], "give whole numbers"),
        (["fashion", "--repeats", "0"], "--repeats 0: give 1 or more"),
        (["fashion", "--data", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["twins", *options]) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert len(shown.splitlines()) == 1


def test_a_count_too_large_begins_no_run(
    images: Path, capsys: pytest.CaptureFixture[str], genui_home: Path
) -> None:
    assert main(["twins", "fashion", "--data", str(images), "--counts", "400"]) == 2
    assert "has 50 to train on" in capsys.readouterr().err
    assert not (genui_home / "data" / "runs").exists()
