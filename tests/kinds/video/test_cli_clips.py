"""`genui generate` of a video model: which file shows the clip how."""

import json
import shutil
from pathlib import Path

import pytest
from cli_fakes import SIDE, FakeEngine, write_checkpoint

from genui.cli.main import main
from genui.formats import codec
from genui.protocol import ImageFrame, Start
from genui.recipes import find_recipe

Capture = pytest.CaptureFixture[str]
TIMES = 16


@pytest.fixture
def filmed(bare_models: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A shipped model `film` that draws clips."""
    write_checkpoint(bare_models / "film" / "model.safetensors", find_recipe("video"))
    (bare_models / "film" / "card.json").write_text(json.dumps({"name": "film"}))

    def clip(start: Start, step: int) -> ImageFrame:
        pixels = b"".join(bytes([t * 10, step, 0]) * SIDE * SIDE for t in range(TIMES))
        return ImageFrame(
            trace=start.trace, step=step, sigma=1.0, width=SIDE, height=SIDE, images=TIMES,
            x=pixels, denoised=pixels,
        )  # fmt: skip

    monkeypatch.setattr(engine, "_image", clip)
    return engine


@pytest.mark.parametrize(
    ("arguments", "kind", "count"),
    [
        (["--out", "a.gif"], "clip", TIMES),
        (["--out", "a.apng"], "clip", TIMES),
        (["--out", "a.png"], "frame", 1),
        (["--out", "a.gif", "--denoising"], "animation", 4),
    ],
)
def test_a_file_shows_the_clip_or_its_denoising(
    filmed: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    kind: str,
    count: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "film", "--seed", "1", *arguments]) == 0
    file = codec.read(tmp_path / arguments[1])
    assert file.recipe.view.kind == kind
    assert isinstance(file.content, list)
    assert len(file.content) == count


def test_the_caption_is_the_recipes_own_where_none_is_given(
    filmed: FakeEngine, tmp_path: Path
) -> None:
    assert main(["generate", "film", "--seed", "1", "--out", str(tmp_path / "a.gif")]) == 0
    assert filmed.starts[0].prompt == "red heart moving up on black"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_replays(filmed: FakeEngine, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.mp4"
    assert main(["generate", "film", "--seed", "1", "--out", str(path), "--scale", "4"]) == 0
    assert codec.read(path).recipe.model == "film"
    assert main(["show", str(path)]) == 0
    assert "film" in capsys.readouterr().out


def test_without_ffmpeg_nothing_is_generated_for_an_mp4(
    filmed: FakeEngine, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["generate", "film", "--seed", "1", "--out", str(tmp_path / "a.mp4")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert filmed.starts == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["film", "--out", "a.wav"], "a clip is written as .gif, .apng, .mp4, .png or .cast"),
        (["film", "--denoising"], "--denoising: needs --out"),
        (["film", "--denoising", "--out", "a.png"], "--denoising: needs --out FILE.gif"),
        (["shapes", "--out", "a.gif", "--denoising"], "it is for models of video"),
        (["plays", "--denoising"], "--denoising: plays writes text"),
        (["shapes", "--out", "a.mp4"], "an image is written as .png"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    filmed: FakeEngine, capsys: Capture, arguments: list[str], said: str
) -> None:
    assert main(["generate", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert filmed.starts == []
