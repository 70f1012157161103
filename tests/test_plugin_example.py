"""The example plug-in, installed as a package and named as a file, from the shell to a model."""

import json
from pathlib import Path

import pytest
from PIL import Image
from plugin_site import install_plugin

from genui.base import plugins
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.data.image_datasets import load_images
from genui.logs import find_logs, open_tail
from genui.protocol import ImageSettings, Start, TextSettings
from genui.protocol.samplers import SAMPLERS, Step
from genui.recipes import RECIPES, find_recipe
from genui.runs import launch
from genui.ui.traces.controller import ShownTrace
from genui.ui.traces.export import formats

EXAMPLE = Path(__file__).with_name("plugin_example")
MODULE = "genui_patterns.py"
SMALL = {
    "batch": "4", "width": "32", "heads": "2", "layers": "1", "patch": "8", "steps": "2",
    "device": "cpu", "threads": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install tests/plugin_example` leaves, without a network or a build.

    PYTHONPATH too, for the processes that genui starts.
    """
    place = tmp_path / "site"
    install_plugin(EXAMPLE, place)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=":")


def test_its_rows_are_listed(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed[-2:] == ["patterns", "sums"]
    assert main(["recipes", "sums"]) == 0
    assert "trained on sums: sums of two numbers under 100; CC0-1.0" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plug-ins"] == "genui-patterns"


def test_its_images_are_drawn_and_split_as_the_row_says(installed: None) -> None:
    images = load_images("patterns")
    assert (images.name, images.licence, images.scheme) == ("patterns", "CC0-1.0", "figure-ground")
    assert len(images) == len(images.train) == 12
    red_on_black = images.compose("red wide level stripes on black")
    assert red_on_black is not None
    assert red_on_black[0, 0].min() > 0.5 > red_on_black[0, 8].max()


def test_a_model_of_its_recipe_is_trained_and_draws_with_its_sampler(
    installed: None, signals: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = launch.create(find_recipe("patterns"), SMALL, "mine")
    assert trainer.train(run) == 0, run.console.read_text()
    drawn = tmp_path / "drawn.png"
    words = ["generate", "mine", "--prompt", "red wide level stripes on black", "--steps", "3"]
    assert main([*words, "--sampler", "midpoint", "--out", str(drawn)]) == 0
    assert Image.open(drawn).size[0] % 32 == 0
    for file in (drawn, drawn.with_suffix(".ppm")):  # a file type of its own
        assert main([*words, "--sampler", "midpoint", "--seed", "1", "--out", str(file)]) == 0
        capsys.readouterr()
        assert main(["replay", str(file)]) == 0
        assert capsys.readouterr().out.strip() == "identical"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 255
    file.write_bytes(changed)
    assert main(["replay", str(file)]) == 1
    assert "of the pixels differ" in capsys.readouterr().out
    file.write_bytes(b"P6")
    assert main(["show", str(file)]) == 1
    assert (
        capsys.readouterr().err == f"genui: {file}: is no image of ours; write or copy it again\n"
    )


def test_its_file_type_is_offered_by_the_app_for_images_alone(installed: None) -> None:
    for settings, offered in ((ImageSettings(), True), (TextSettings(), False)):
        start = Start(trace=0, model="m", prompt="", seed=0, settings=settings)
        trace: ShownTrace = ShownTrace(request=start, first=0)
        assert (".ppm" in [form.suffix for form in formats(trace)]) == offered


def test_a_file_type_that_is_not_installed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "x.ppm"]) == 2
    assert "a recipe is in files that end in .png" in capsys.readouterr().err


def test_its_sampler_is_exact_where_the_denoised_image_is_the_same_everywhere(
    installed: None,
) -> None:
    import torch

    clean, noise = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    step = Step(x=8 * noise, denoised=clean, sigma=8.0, sigma_next=2.0, noise=noise)
    sampler = SAMPLERS["midpoint"]
    assert torch.allclose(sampler.function(step, lambda x, sigma: clean), 2 * noise)


def test_a_sampler_without_a_function_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(
        "from genui.protocol.samplers import Sampler\nSAMPLERS = {'bare': Sampler(title='Bare')}\n"
    )
    plugins.use_files([str(bare)])
    error = capsys.readouterr().err
    assert error.startswith(f"genui: plug-in {bare}: ")
    assert "'function'; skipped" in error
    assert error.count("\n") == 1


def test_its_log_is_read_and_followed_like_any_other(
    installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.logfmt"
    log.write_text("step=1 loss=2.5 lr=0.1 note=warm\nbroken\nstep=2 loss=1.25 lr=0.1\nstep=3 lo")
    assert main(["inspect", str(log), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["metrics"], shown["step"]) == ({"loss": 1.25, "lr": 0.1}, 2)

    (summary,) = find_logs(tmp_path)
    assert summary.format == "logfmt"
    tail = open_tail(summary)
    while tail.read():
        pass
    assert (list(tail.series), tail.bad_lines) == (["loss", "lr"], 1)
    with log.open("a") as file:
        file.write("ss=1.0 lr=0.05\n")
    while tail.read():
        pass
    assert tail.series["loss"].values.tolist() == [2.5, 1.25, 1.0]


def test_the_same_file_named_in_the_shell_trains_in_a_process_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(EXAMPLE / MODULE)
    pairs = ("layers=1", "width=16", "sample_tokens=2", "device=cpu")
    small = [word for pair in pairs for word in ("--set", pair)]
    words = ["train", "sums", "--steps", "2", "--name", "adds", *small, "--foreground"]
    assert main(["--plugin", file, *words]) == 0
    capsys.readouterr()
    assert main(["--plugin", file, "generate", "adds", "--prompt", "1+1=", "--tokens", "3"]) == 0
    assert capsys.readouterr().out.startswith("1+1=")


def test_without_the_plugin_its_names_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "patterns" not in RECIPES
    assert main(["train", "patterns"]) == 2
    assert "no recipe 'patterns'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no sampler 'midpoint'"):
        ImageSettings(sampler="midpoint")


def test_what_a_loader_of_a_plugin_does_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENUI_DEBUG", raising=False)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import numpy as np\n"
        "from genui.engine.data.image_datasets import ImageDataset\n"
        "zeros = lambda side: np.zeros((2, side, side, 4), np.uint8)\n"
        "row = dict(summary='', licence='none')\n"
        "DATASETS = [\n"
        "    ImageDataset(name='raises', load=lambda: 1 / 0, **row),\n"
        "    ImageDataset(name='small', load=lambda: (zeros(8), 'ab'), **row),\n"
        "    ImageDataset(name='bare', load=lambda: (zeros(32), ()), **row),\n"
        "]\n"
    )
    for name, fault in (
        ("raises", "cannot be loaded: ZeroDivisionError"),
        ("small", "its images are uint8 [2, 8, 8, 4]"),
        ("bare", "2 images, 0 captions"),
    ):
        words = ["--plugin", str(wrong), "train", "icons", "--set", f"dataset={name}"]
        assert main(words) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"genui: dataset {name}: {fault}")
        assert err.count("\n") == 1
