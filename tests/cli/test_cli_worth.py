"""`genui worth` and `genui probes`: what they measure, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.cli.main import main
from genui.engine.data.image_datasets import LabelledImages, load_labelled_images
from genui.formats.recipe import PLAN
from genui.render.table import HEADS, format_row


def folder_of(folder: Path, labels: dict[str, int], count: int = 12) -> Path:
    """Images of one shade a label, and some noise."""
    rng = np.random.default_rng(0)
    rows = []
    folder.mkdir()
    for label, shade in labels.items():
        for n in range(count):
            pixels = np.clip(shade + rng.integers(-20, 20, (32, 32, 3)), 0, 255)
            name = f"{label}-{n:02}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
            rows.append(json.dumps({"file_name": name, "text": label}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    plan = {
        "model": "shapes", "fingerprint": "", "prompt": None, "seed": 1, "batch": 1,
        "settings": {"type": "image"},
    }  # fmt: skip
    (folder / PLAN).write_text(json.dumps(plan))
    return folder


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelledImages:
    """What `shapes` is said to be trained on: dark and light images."""
    images = folder_of(tmp_path / "real", {"dark": 40, "light": 210})
    data = load_labelled_images("mine", str(images))
    monkeypatch.setattr("genui.engine.metrics.synthetic.load_labelled_images", lambda dataset: data)
    return data


def test_generated_images_like_the_real_ones_are_worth_as_much(
    tiny: Path, real: LabelledImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = folder_of(tmp_path / "good", {"dark": 40, "light": 210})
    assert main(["worth", str(good), "--steps", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [score["trained_on"] for score in found["scores"]] == ["real", "generated"]
    assert all(score["right"] == 1 for score in found["scores"])
    assert {score["images"] for score in found["scores"]} == {20}  # as many as are real
    swapped = folder_of(tmp_path / "swapped", {"dark": 210, "light": 40})
    assert main(["worth", str(swapped), "--steps", "6"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["real", "20", "100.0", "%"]
    assert out[2].split()[-2:] == ["0.0", "%"]


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({"dark": 40}, "its captions have only 'dark'"),
        ({"cat": 40, "dog": 90}, "its captions have none"),
    ],
)
def test_labels_of_one_class_or_of_none_are_refused(
    labels: dict[str, int],
    line: str,
    tiny: Path,
    real: LabelledImages,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folder_of(tmp_path / "made", labels)
    assert main(["worth", str(folder), "--steps", "1"]) == 2
    assert line in capsys.readouterr().err


def test_what_is_left_out_is_said(
    tiny: Path, real: LabelledImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "made", {"dark": 40, "light": 210, "cat": 9}, count=3)
    assert main(["worth", str(folder), "--steps", "1"]) == 0
    assert "3 captions are not labels and were left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plays"], "plays: a transformer of text; only image models are compared"),
        (["shapes", "-n", "0"], "-n 0: expected a whole number, 20 to 1,000,000"),
        (["shapes", "--steps", "0"], "--steps 0"),
        (["shapes", "--seed", "-1"], "--seed -1"),
        (["nothing"], "no model 'nothing'"),
    ],
)
def test_what_cannot_be_worth_anything_is_refused(
    words: list[str], line: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["worth", *words]) == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plays"], "plays: a transformer of text; the table is of models that draw"),
        (["shapes"], "shapes: no classifier of icons is here to measure it by"),
        (["shapes", "plays"], "plays: a transformer of text; the table is of models"),
        (["shapes", "-n", "5"], "-n 5: expected a whole number, 100 to 10,000"),
        (["nothing"], "no model 'nothing'"),
    ],
)
def test_models_that_cannot_be_measured_are_refused(
    words: list[str], line: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probes", *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_row_has_a_cell_for_every_head_and_dashes_for_what_is_not_known() -> None:
    found = {
        "frechet": 12.345, "precision": 0.5, "recall": 0.25, "density": 1.1, "coverage": 0.75,
        "copying": 0.5, "right": 0.9,
    }  # fmt: skip
    row = {"model": "m", "family": "gan", "parameters": 1_200_000, "minutes": 31.6, "found": found}
    whole = format_row(row | {"milliseconds": 2.25})
    assert len(whole) == len(HEADS)
    assert whole[2:4] == ("12.35", "0.500")
    assert whole[-4:] == ("90.0 %", "2.2", "1.2M", "32 min")
    bare = format_row({"model": "m"})
    assert len(bare) == len(HEADS)
    assert set(bare[1:]) == {"–"}
