"""`genui average`: a model of several models' weights, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from genui.base.paths import weights_dir
from genui.cli.main import main
from genui.engine.train.checkpoint import load_weights, write_tensors
from genui.runs.models import read_header


def shipped(name: str) -> Path:
    return weights_dir() / name / "model.safetensors"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The shipped classifier of fashion with every weight three times as large."""
    tensors, described = load_weights(shipped("fashion-labels"))
    target = tmp_path / "other.safetensors"
    write_tensors(target, {k: 3 * v for k, v in tensors.items()}, {"genui": json.dumps(described)})
    return target


def test_the_mean_of_the_weights_is_a_model(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "soup.safetensors"
    assert main(["average", "fashion-labels", str(other), "--out", str(target)]) == 0
    assert f"genui generate {target} uses it" in capsys.readouterr().err
    tensors, described = load_weights(target)
    before, _ = load_weights(shipped("fashion-labels"))
    assert tensors.keys() == before.keys()
    for name, value in before.items():
        torch.testing.assert_close(tensors[name], 2 * value)
    assert described["averaged"] == ["fashion-labels", "other.safetensors"]
    header, theirs = read_header(target), read_header(other)
    assert (header.recipe, header.fingerprint) == (theirs.recipe, theirs.fingerprint)


def test_a_guide_is_left_out(tmp_path: Path) -> None:
    target = tmp_path / "soup.safetensors"
    assert main(["average", "fashion", "fashion", "--out", str(target)]) == 0
    tensors, described = load_weights(target)
    assert "guide" not in described
    assert not [name for name in tensors if name.startswith("guide.")]


def test_what_is_there_stays_unless_forced(other: Path) -> None:
    words = ["average", str(other), str(other), "--out", str(other)]
    before = other.read_bytes()
    assert main(words) == 2
    assert other.read_bytes() == before
    assert main([*words, "--force"]) == 0
    assert read_header(other).metadata["averaged"] == ["other.safetensors"] * 2


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (["fashion-labels"], "give two or more models"),
        (["fashion-labels", "fashion"], "fashion: "),
        (["fashion-labels", "icons-labels"], "icons-labels: is of other data than fashion-labels"),
        (["fashion-labels", "fashoin"], "did you mean"),
    ],
)
def test_what_has_no_average_is_one_line(
    models: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "soup.safetensors"
    assert main(["average", *models, "--out", str(target)]) == 2
    assert not target.exists()
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["soup.pt", "nowhere/soup.safetensors"])
def test_where_it_cannot_be_written_is_said_first(name: str, tmp_path: Path) -> None:
    words = ["average", "fashion-labels", "fashion-labels", "--out", str(tmp_path / name)]
    assert main(words) == 2
