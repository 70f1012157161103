"""The measurements of `genui bench` that compute, with tiny sizes."""

import json
import sys
from typing import Any

import pytest
from small_recipes import HERE

from genui.engine import bench, utilization

SMALL = HERE | {"layers": "1", "width": "16", "heads": "2", "context": "16", "batch": "2"}


def measure(name: str, capsys: pytest.CaptureFixture[str], **options: object) -> dict[str, Any]:
    """What the process of a measurement prints as its last line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bench", name, json.dumps(options)])
        assert bench.main() == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_peak_is_measured_in_both_precisions(capsys: pytest.CaptureFixture[str]) -> None:
    peaks = measure("products", capsys, threads=1)
    assert peaks["fp32"] > 0 < peaks["bf16"]
    assert peaks["threads"] == 1


def test_a_training_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    result = measure("training", capsys, recipe="shakespeare", seconds=0, settings=SMALL)
    assert result["units_per_s"] == pytest.approx(2 * 16 / result["step"])
    assert result["share"] > 0
    assert result["steps"] >= 3
    assert (result["device"], result["precision"], result["threads"]) == ("cpu", "fp32", 1)


def test_the_time_of_a_step_is_divided_among_all_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    result = measure("profile", capsys, recipe="shakespeare", steps=1, settings=SMALL)
    seconds = result["seconds"]
    measured = ("PRODUCTS", "ATTENTION", "OPTIMIZER", "ELEMENTWISE", "DATA")
    assert all(seconds[getattr(utilization, kind)] > 0 for kind in measured)
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)


def test_a_token_and_a_denoising_step_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    written = measure("writing", capsys, model="shakespeare", prompt="ROMEO:", tokens=3)
    assert written["seconds"] > 0
    drawn = measure("denoising", capsys, model="icons", prompt="cat", steps=5)
    assert drawn["seconds"] > 0


def test_an_unknown_recipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        options = {"recipe": "nope", "seconds": 0, "settings": {}}
        patch.setattr(sys, "argv", ["bench", "training", json.dumps(options)])
        assert bench.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nope" in line
