"""`genui generate` with a GAN: images at one stroke, and walks that replay."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_models import write_gan

from genui.base import paths
from genui.cli.main import main
from genui.formats.codec import read
from genui.protocol import kinds


@pytest.fixture(autouse=True)
def clothes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "weights"
    write_gan(weights)
    monkeypatch.setattr(kinds, "weights_folders", lambda: [weights])


def test_a_walk_is_written_moving_and_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "walk.gif"
    words = ["--prompt", "boot", "--seed", "3", "--direction", "2", "--steps", "6"]
    assert main(["generate", "clothes", *words, "--out", str(out)]) == 0
    with Image.open(out) as film:
        assert getattr(film, "n_frames", 1) == 7
    assert main(["replay", str(out)]) == 0
    assert "identical" in capsys.readouterr().out


def test_a_still_shows_the_seeds_own_image_not_the_end_of_the_walk(tmp_path: Path) -> None:
    still, path = tmp_path / "own.png", tmp_path / "path.png"
    assert main(["generate", "clothes", "--seed", "3", "--out", str(still)]) == 0
    words = ["--seed", "5", "--to", "3", "--steps", "4"]
    assert main(["generate", "clothes", *words, "--out", str(path)]) == 0
    with Image.open(still) as one, Image.open(path) as other:
        assert one.size == (32, 32)
        assert one.tobytes() == other.tobytes()


def test_settings_of_a_walk_are_in_the_files_recipe(tmp_path: Path) -> None:
    out = tmp_path / "walk.gif"
    words = ["--seed", "1", "--steps", "4", "--basis", "pca", "--reach", "2", "--blend", "7,12"]
    words += ["--truncation", "0.8", "--fork", "2:to=9", "--fork", "3:caption=bag"]
    assert main(["generate", "clothes", *words, "--out", str(out)]) == 0
    settings = read(out).recipe.settings
    assert (settings.basis, settings.reach, settings.blend) == ("pca", 2.0, (7, 12))  # type: ignore[union-attr]
    assert [at.step for at in read(out).recipe.edits] == [2, 3]


def test_a_grid_of_seeds_and_captions_is_one_image(tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    words = ["--grid", "seed=1..3", "--grid", "caption=boot;bag", "--steps", "2"]
    assert main(["generate", "clothes", *words, "--out", str(out)]) == 0
    with Image.open(out) as sheet:
        assert sheet.size == (96, 64)


def test_every_step_tells_its_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "clothes", "--seed", "1", "--steps", "2", "--every-step"]) == 0
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [step["step"] for step in steps] == [0, 1, 2]
    assert all(isinstance(step["score"], float) for step in steps)
    assert len(steps[0]["along"]) == 8


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--direction", "60"], "direction 60: this model has 8, from 1 on"),
        (["--direction", "0"], "--direction 0"),
        (["--basis", "umap"], "--basis umap: no such basis"),
        (["--blend", "1,x"], "--blend 1,x"),
        (["--truncation", "9"], "--truncation 9"),
        (["--guidance", "3"], "--guidance: clothes draws images in one step"),
        (["--init", "data:"], "--init: clothes draws images in one step"),
        (["--grid", "guidance=1,2"], "a walk has no guidance"),
        (["--fork", "2:noise=0"], "no edit of clothes"),
    ],
)
def test_what_a_walk_cannot_be_is_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "clothes", "--seed", "1", *words]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert "Traceback" not in error


def test_its_two_networks_are_not_shared_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "icons-gan", "--nproc", "2", "--shard"]) == 2
    assert "trained against each other cannot be sharded: leave" in capsys.readouterr().err
    assert not paths.runs_dir().exists()
