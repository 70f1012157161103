"""`genui generate` with an engine that says what it was asked."""

import base64
import io
import json
import sys
from pathlib import Path

import pytest
from cli_fakes import SIDE, FakeEngine
from PIL import Image

from genui.cli.generation import LoadingLine
from genui.cli.main import main
from genui.protocol import ImageSettings, TextSettings
from genui.recipes import RECIPES, DiffusionRecipe

pytestmark = pytest.mark.usefixtures("bare_models")


def test_text_streams_after_its_prompt_and_is_sanitised(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "plays", "--prompt", "ANN: ", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "ANN: Good morrow, friend\n"
    assert err == ""
    assert engine.starts[0].seed == 3


def test_the_seed_drawn_is_printed_so_that_it_can_be_repeated(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "plays"]) == 0
    seed = engine.starts[0].seed
    assert capsys.readouterr().err == f"seed {seed} (repeat with --seed {seed})\n"


def test_without_a_prompt_the_recipe_has_one(engine: FakeEngine) -> None:
    assert main(["generate", "plays", "--seed", "1"]) == 0
    assert main(["generate", "shapes", "--seed", "1"]) == 0
    icons = RECIPES["icons"]
    assert isinstance(icons, DiffusionRecipe)
    assert [start.prompt for start in engine.starts] == ["ROMEO:\n", icons.sample_captions[0]]


def test_settings_reach_the_engine(engine: FakeEngine) -> None:
    words = ["--tokens", "9", "--temperature", "0.5", "--top-k", "4", "--top-p", "0.9"]
    words += ["--min-p", "0.1", "--repetition-penalty", "1.2"]
    assert main(["generate", "plays", *words]) == 0
    words = ["--steps", "6", "--sampler", "ddim", "--guidance", "3", "--eta", "0.5"]
    assert main(["generate", "shapes", *words]) == 0
    assert [start.settings for start in engine.starts] == [
        TextSettings(
            tokens=9, temperature=0.5, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.2
        ),
        ImageSettings(steps=6, sampler="ddim", guidance=3.0, eta=0.5),
    ]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["play"], "did you mean 'plays'?"),
        (["plays", "--guidance", "2"], "--guidance: plays writes text; it takes --temperature"),
        (["shapes", "--top-k", "2"], "--top-k: shapes draws images; it takes --sampler"),
        (["plays", "--temperature", "hot"], "--temperature hot: "),
        (["plays", "--tokens", "0"], "--tokens 0: "),
        (["shapes", "--sampler", "huen"], "did you mean 'heun'?"),
        (["plays", "--grammar", "pyton"], "no such grammar; did you mean 'python'?"),
        (["plays", "--dry", "-1"], "--dry -1: "),
        (["plays", "--dry-length", "0"], "--dry-length 0: "),
        (["shapes", "--autoguidance", "21"], "--autoguidance 21: "),
        (["shapes", "--seed", "-1"], "--seed -1: "),
        (["shapes", "-n", "0"], "-n 0: expected a whole number, 1 to"),
        (["shapes", "--out", "x.txt"], "an image is written as .png, .gif, .apng or .cast"),
        (["plays", "--out", "x.png"], "x.png: text is written as .txt or .cast"),
        (["plays", "--out", "x.cast", "-n", "2"], "a recording holds one text"),
        (["plays", "--trace", "x.trace", "-n", "2"], "a trace is one sample"),
        (["plays", "--trace", "x.txt"], "a trace is written as .trace"),
        (["plays", "--film", "x.png"], "--film: plays writes text"),
        (["shapes", "--film", "x.png", "--out", "x.png"], "x.png: is the file of --out too"),
        (["plays", "--attention", "2", "--out", "x.txt"], "--out: leave it out with --attention"),
        (["plays", "--attention", "2", "--layers", "2"], "--layers: leave it out with --attention"),
        (["plays", "--init", "x.png"], "--init: plays writes text"),
        (["plays", "--grid", "seed=1,2"], "--grid: plays writes text"),
        (["shapes", "--film", "x.gif"], "a filmstrip is written as .png"),
        (["shapes", "--frames", "/proc/x"], "--frames /proc/x: cannot be created"),
        (["shapes", "--frames", "/etc/passwd"], "/etc/passwd: is a file"),
        (["shapes", "--frames", "/etc"], "holds other files"),
        (["shapes", "--scale", "0"], "--scale 0: expected a whole number, 1 to"),
        (["shapes", "--scale", "2"], "--scale: is for files of images: --out FILE, which ends"),
        (["shapes", "--rate", "0"], "--rate 0.0: expected a number, 0.1 to 50"),
        (["shapes", "--rate", "2"], "--rate: is for animations"),
        (["shapes", "--rate", "2", "--out", "a.png"], "--rate: is for animations"),
        (["shapes", "--strength", "0.5"], "--strength: needs --init IMAGE"),
        (["shapes", "--init", "x.png", "--strength", "0"], "--strength 0: give a number above 0"),
        (["shapes", "--init", "x.png", "--strength", "nan"], "--strength nan: give a number"),
        (["plays", "--out", "/no/folder/x.txt"], "no folder /no/folder"),
        (["plays", "--out", "/proc/x.txt"], "cannot write in /proc"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_generated(
    words: list[str], fault: str, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *words]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert fault in err
    assert err.count("\n") == 1
    assert engine.starts == []


@pytest.mark.parametrize("content", [b"", b"\x10", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_that_is_no_checkpoint_is_named(
    content: bytes, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    assert main(["generate", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"genui: {file}: ")
    assert err.count("\n") == 1
    assert engine.starts == []


def test_a_folder_is_no_file_to_write(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").mkdir()
    assert main(["generate", "shapes", "--out", str(tmp_path / "x.png")]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert engine.starts == []


def test_what_the_model_does_not_know_is_said_once(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.note = "not in its alphabet: ß"
    assert main(["generate", "plays", "--prompt", "ß", "--seed", "1", "-n", "2"]) == 0
    assert capsys.readouterr().err == "not in its alphabet: ß\n"


def test_count_goes_on_from_the_seed(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "plays", "--prompt", "", "--seed", "5", "-n", "2"]) == 0
    text = "Good morrow, friend\n"
    assert capsys.readouterr().out == f"--- seed 5\n{text}--- seed 6\n{text}"
    assert [start.seed for start in engine.starts] == [5, 6]


def test_ctrl_c_keeps_what_was_written_and_ends_the_line(
    engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.interrupt_after = 2
    assert main(["generate", "plays", "--prompt", "", "--seed", "1"]) == 130
    assert capsys.readouterr() == ("Good morrow\n", "")


def test_ctrl_c_writes_the_samples_that_are_complete(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "plays.txt"
    engine.interrupt_after, engine.interrupt_from = 2, 7
    words = ["--prompt", "", "--seed", "5", "-n", "4", "--out", str(target)]
    assert main(["generate", "plays", *words]) == 130
    assert capsys.readouterr().err == f"interrupted: 2 of 4 samples are complete\nwrote {target}\n"
    assert target.read_text().count("Good morrow, friend") == 2


def test_text_to_a_file(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "play.txt"
    assert main(["generate", "plays", "--prompt", "A", "--seed", "1", "--out", str(target)]) == 0
    text, recipe = target.read_text().split("\ngenui-recipe: ")
    assert text == "AGood morrow, friend"
    assert json.loads(recipe)["prompt"] == "A"
    assert recipe.count("\n") == 1
    assert capsys.readouterr() == ("", f"wrote {target}\n")
    assert list(tmp_path.glob("*.aside")) == []


def test_a_grid_of_seeds_in_one_png_that_carries_its_recipe(
    engine: FakeEngine, tmp_path: Path
) -> None:
    target = tmp_path / "grid.png"
    words = ["--prompt", "red heart — big", "--seed", "10", "-n", "5", "--out", str(target)]
    assert main(["generate", "shapes", *words]) == 0
    with Image.open(target) as image:
        assert image.size == (4 * SIDE, 2 * SIDE)
        assert [image.getpixel((x * SIDE, 0)) for x in range(4)] == [
            (seed, 3, 0) for seed in (10, 11, 12, 13)
        ]
        assert image.getpixel((0, SIDE)) == (14, 3, 0)
        recipe = json.loads(image.info["genui"])
    assert recipe["model"] == "shapes"
    assert recipe["prompt"] == "red heart — big"
    assert (recipe["seed"], recipe["count"]) == (10, 5)
    assert recipe["settings"] == {
        "type": "image", "sampler": "dpmpp-2m", "steps": 12, "guidance": 2.0, "autoguidance": 1.0,
        "eta": 0.0, "sigma_min": None, "rho": 5.0, "s_tmin": 0.0, "negative": "", "size": 0,
        "decoder": "last", "watermark": "none", "watermark_key": "mine",
    }  # fmt: skip


def test_every_step_as_an_image_in_a_folder_of_their_own(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "frames"
    words = ["generate", "shapes", "--seed", "9", "--scale", "2", "--frames", str(folder)]
    assert main(words) == 0
    names = [f"frame-{step:04d}.png" for step in range(4)]
    assert sorted(path.name for path in folder.iterdir()) == names
    with Image.open(folder / names[2]) as image:
        assert image.size == (2 * SIDE, 2 * SIDE)
        assert image.getpixel((0, 0)) == (9, 2, 0)
    (folder / "frame-0099.png").touch()  # of a longer trace
    assert main(words) == 0
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_filmstrip_shows_every_step_of_a_short_trace(engine: FakeEngine, tmp_path: Path) -> None:
    target = tmp_path / "film.png"
    assert main(["generate", "shapes", "--seed", "9", "--film", str(target)]) == 0
    with Image.open(target) as image:
        assert image.size == (4 * SIDE + 3, SIDE)
        row = [image.getpixel((x * (SIDE + 1), 0)) for x in range(4)]
    assert row == [(9, step, 0) for step in range(4)]


def test_a_recording_has_one_output_a_token(engine: FakeEngine, tmp_path: Path) -> None:
    target = tmp_path / "play.cast"
    words = ["--prompt", "A\n", "--seed", "1", "--rate", "4", "--out", str(target)]
    assert main(["generate", "plays", *words]) == 0
    header, *events = map(json.loads, target.read_text().splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert header["genui"]["prompt"] == "A\n"
    assert [event[2] for event in events] == ["A\r\n", "Good", " morrow", ",", " friend"]
    assert [event[0] for event in events] == [0, 0.25, 0.5, 0.75, 1]
    assert {event[1] for event in events} == {"o"}


def test_an_image_is_drawn_in_the_terminal(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "3")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["generate", "shapes", "--seed", "200"]) == 0
    assert "2;200;3;0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["generate", "shapes", "--seed", "200"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_json_gives_a_line_a_sample(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "plays", "--prompt", "", "--seed", "5", "-n", "2", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["text"] == "Good morrow, friend"
    assert (first["seed"], second["seed"]) == (5, 6)
    assert first["settings"]["temperature"] == 0.8
    assert main(["generate", "shapes", "--seed", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    with Image.open(io.BytesIO(base64.b64decode(found["png_base64"]))) as image:
        assert image.size == (SIDE, SIDE)


def test_a_terminal_shows_how_many_of_all_samples_are_generated(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["generate", "shapes", "--seed", "5", "-n", "4", "--json"]) == 0
    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert [line.split(",")[0] for line in shown if line.startswith("sample 2/4")] == [
        "sample 2/4  step 0/4  █████░░░░░░░░░░░░░░░ 25 %",
        "sample 2/4  step 1/4  ██████░░░░░░░░░░░░░░ 31 %",
        "sample 2/4  step 2/4  ████████░░░░░░░░░░░░ 38 %",
        "sample 2/4  step 3/4  █████████░░░░░░░░░░░ 44 %",
    ]


def test_a_terminal_shows_how_far_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    loading = LoadingLine()
    with loading.shown("smollm2"):
        loading.progress.advance(1, 4)
        assert "loading smollm2 █████░░░░░░░░░░░░░░░ 25 %" in capsys.readouterr().err
    assert capsys.readouterr().err == "\r\x1b[K"  # nothing stays
    loading.progress.advance(2, 4)
    assert not capsys.readouterr().err
