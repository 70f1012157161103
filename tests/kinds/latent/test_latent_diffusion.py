"""Diffusion in the latents of an autoencoder: trained, drawn, edited, saved and measured."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image
from shares import assert_shares_add_up
from shown import PNG, show_step

from genui.base.errors import GenuiError, MisuseError
from genui.base.paths import runs_dir
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.load import forget_models, open_trace, stream
from genui.engine.sample.diffusion import Prompts
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import model_metadata, write_model
from genui.formats.image import pixels
from genui.kinds.latent.denoising import LatentTask
from genui.kinds.latent.judging import measure_latents
from genui.kinds.latent.medium import LatentMedium, find_autoencoder
from genui.kinds.latent.network import Autoencoder, autoencoder_config
from genui.kinds.latent.variants import split_name
from genui.protocol import AddNoise, Axis, ImageFrame, ImageSettings, ReadMaps, SetPrompt, Start
from genui.recipes import find_recipe, override
from genui.runs.layout import RunDir, Status, create_run, write_status

pytestmark = pytest.mark.usefixtures("signals")

CAPTION = "red square on blue"
SETTINGS = ImageSettings(steps=3)


def write_autoencoder(seed: int = 0) -> RunDir:
    """A run of a very small autoencoder with random weights, `coder`."""
    small = {"width": "4", "blocks": "1", "deep_blocks": "1"}
    recipe: Any = override(find_recipe("autoencoder-128"), small)
    torch.manual_seed(seed)
    model = Autoencoder(autoencoder_config(recipe))
    run = create_run(recipe, {}, "coder")
    extra = {"dataset": "shapes", "fingerprint": "1", "licence": "CC0-1.0"}
    write_model(run.checkpoint(1), model.state_dict(), model_metadata(recipe, 1, model, extra))
    write_status(run, Status(state="finished", step=1, steps=1))
    return run


@pytest.fixture
def make(shapes: tuple[str, str]) -> Callable[..., RunDir]:
    """Makes a run of a very small diffusion model in the latents of `coder`."""
    write_autoencoder()

    def create(**settings: str) -> RunDir:
        small = {
            "dataset": shapes[0], "autoencoder": "coder", "examples": "8", "batch": "4",
            "layers": "1", "width": "16", "heads": "2", "caption_width": "16", "canvas_batch": "4",
            "steps": "4", "threads": "1", "precision": "fp32", "eval_every": "2",
            "sample_every": "4", "checkpoint_every": "4", "sample_captions": CAPTION,
        } | settings  # fmt: skip
        return create_run(override(find_recipe("icons-128"), small), small, "tiny")

    return create


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run stays that several tests read."""
    return tmp_path_factory.mktemp("latents") / "tiny"


@pytest.fixture
def run(make: Callable[..., RunDir], kept: Path) -> RunDir:
    """A finished run; it is trained once, and copied for each test."""
    if not kept.exists():
        run = make()
        assert trainer.train(run) == 0, run.console.read_text()
        shutil.copytree(run.path, kept)
        return run
    return RunDir(Path(shutil.copytree(kept, runs_dir() / "tiny")))


def _trace(run: RunDir, **changes: Any) -> Trace:
    start = Start(trace=1, model=run.path.name, prompt=CAPTION, seed=3, settings=SETTINGS)
    trace = open_trace(replace(start, **changes))
    list(trace.advance(0, trace.started.total_steps))
    return trace


def _frame(trace: Trace, step: int = 3) -> ImageFrame:
    frame = trace.generator.frame(trace.state(step))
    assert isinstance(frame, ImageFrame)
    return frame


def test_it_trains_and_each_step_shows_the_decoded_prediction(run: RunDir) -> None:
    *_, sample = sorted(run.samples.glob("*.png"))
    assert Image.open(sample).size == (128, 128)
    trace = _trace(run)
    for step in range(4):
        frame, state = _frame(trace, step), trace.state(step)
        assert (frame.width, frame.height) == (128, 128)
        autoencoder, _ = find_autoencoder("coder")
        decoded = autoencoder.decode(state.denoised).clamp(-1, 1)[0].permute(1, 2, 0)
        shown = pixels(frame, "denoised") / 127.5 - 1
        assert np.abs(shown - decoded.numpy()).max() < 0.01
    assert _frame(trace).x == _frame(trace).denoised
    maps = trace.answer(ReadMaps(trace=1, step=3, view="channels"))
    assert (len(maps.names), maps.side) == (8, 16)


def test_an_image_has_the_same_bits_alone_and_again(run: RunDir) -> None:
    frames = [list(stream(Start(
        trace=1, model=run.path.name, prompt=CAPTION, seed=seed, settings=SETTINGS,
    )))[-1] for seed in (3, 3, 4)]  # fmt: skip
    assert frames[0] == frames[1] != frames[2]


def test_outside_a_mask_the_image_stays(run: RunDir) -> None:
    trace = _trace(run)
    mask = np.zeros((32, 32), np.uint8)
    mask[3, 3] = 1  # in the square of one latent
    fork = trace.fork(2, 3, AddNoise(to=1, mask=mask.tobytes()))
    list(fork.advance(3, 9))
    before, after = (pixels(_frame(each, at), "denoised") for each, at in ((trace, 3), (fork, 5)))
    changed = (before != after).any(axis=2)
    assert changed[8:16, 8:16].any()
    changed[8:16, 8:16] = False
    assert not changed.any()


def test_it_starts_from_an_image_and_from_a_training_image(run: RunDir, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (200, 100), "red").save(photo)
    trace = _trace(run, init=str(photo), strength=0.5)
    assert "200×100 fitted to 128×128" in trace.started.note
    assert "“red square on blue”" in _trace(run, init="data:", strength=0.5).started.note


def test_forks_and_grids_work_and_a_watermark_is_refused(run: RunDir) -> None:
    trace = _trace(run)
    fork = trace.fork(2, 1, SetPrompt(prompt="wide bar"))
    list(fork.advance(1, 9))
    assert _frame(fork).denoised != _frame(trace).denoised
    grid = _frame(_trace(run, grid=(Axis(name="seed", values=("3", "4")),)))
    assert (grid.width, grid.height) == (256, 128)
    with pytest.raises(MisuseError, match="watermark noise: this model draws images"):
        _trace(run, settings=replace(SETTINGS, watermark="noise"))


def test_the_prompts_of_generated_data_are_like_the_captions_of_its_own_data(run: RunDir) -> None:
    prompts = Prompts(run.path.name, 1)
    assert prompts.source == "captions like those of shapes"
    assert len({prompts.at(index) for index in range(8)}) > 1


def test_a_saved_image_is_replayed_verified_and_exported(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "square.png"
    words = ["generate", run.path.name, "--prompt", CAPTION, "--steps", "3", "--out"]
    assert main([*words, str(out)]) == 0
    assert Image.open(out).size == (128, 128)
    assert main(["replay", str(out)]) == 0
    assert "identical" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 0
    assert main([*words, str(tmp_path / "steps.gif")]) == 0
    assert Image.open(tmp_path / "steps.gif").size == (128, 128)


def test_another_autoencoder_of_that_name_is_refused(run: RunDir) -> None:
    forget_models()
    write_autoencoder(seed=1)
    with pytest.raises(GenuiError, match="trained in the latents of another coder"):
        _trace(run)


def test_without_its_autoencoder_one_line_says_what_is_missing(make: Callable[..., RunDir]) -> None:
    recipe: Any = find_recipe("icons-128")
    with pytest.raises(MisuseError, match="no model 'nowhere'"):
        LatentTask(override(recipe, {"autoencoder": "nowhere"}), torch.device("cpu"))  # type: ignore[arg-type]


def test_the_canvas_is_left_out_at_random_and_counts_when_drawing(run: RunDir) -> None:
    generator: Any = _trace(run).generator
    network = generator.model.network
    assert network.config.canvas_dropout == 0.2
    with torch.no_grad():
        network.canvas[-1].bias.fill_(5)
    drawn = [generator.draw([CAPTION], [1], SETTINGS)]
    network.canvas_share = 0.0
    drawn.append(generator.draw([CAPTION], [1], SETTINGS))
    assert (drawn[0] != drawn[1]).any()


def test_shares_of_a_batch_add_up(make: Callable[..., RunDir], shapes: tuple[str, str]) -> None:
    small = {
        "dataset": shapes[0], "autoencoder": "coder", "examples": "8", "batch": "4", "layers": "1",
        "width": "16", "heads": "2", "caption_width": "16", "canvas_dropout": "0",
    }  # fmt: skip
    task = LatentTask(override(find_recipe("icons-128"), small), torch.device("cpu"))  # type: ignore[arg-type]
    assert_shares_add_up(task)


def test_the_images_of_a_step_are_shown_as_the_autoencoder_keeps_them(
    make: Callable[..., RunDir], shapes: tuple[str, str]
) -> None:
    small = {"dataset": shapes[0], "autoencoder": "coder", "examples": "8", "batch": "4"}
    recipe: Any = override(find_recipe("icons-128"), small | {"layers": "1", "width": "16"})
    for example in show_step(LatentTask(recipe, torch.device("cpu"))):
        assert example.image.startswith(PNG)
        assert example.text


def test_its_metrics_say_what_is_copied_and_what_the_canvas_adds(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genui.engine.metrics.images.DIFFUSION_SAMPLES", 2)
    monkeypatch.setattr("genui.kinds.latent.judging.SETTINGS", replace(SETTINGS, steps=1))
    trace = _trace(run)
    generator: Any = trace.generator
    assert isinstance(generator.medium, LatentMedium)
    metrics = measure_latents(generator, generator.medium.trained)
    assert {"trained captions", "copying", "without its canvas"} <= metrics.keys()
    assert "genui train icons-128-objects" in metrics["new pairs right"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("bell outline off", ("bell", "outline off")),
        ("account with plus in a box", ("account", "with plus in a box")),
        ("cup with straw", ("cup with straw", "plain")),
    ],
)
def test_a_name_is_an_object_and_a_variant(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts
