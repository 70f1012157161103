"""`genui replay`, with real models too small to be good at anything."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from saved_samples import as_once_written
from tiny_models import write_models

from genui.cli.main import main
from genui.formats import codec, image
from genui.formats import recipe as saved
from genui.protocol import kinds

pytestmark = pytest.mark.usefixtures("tiny")

TEXT = ["generate", "plays", "--prompt", "to be", "--seed", "3", "--tokens", "12"]
IMAGE = ["generate", "shapes", "--prompt", "cat", "--seed", "3", "--steps", "3"]


def replay(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["replay", str(path)])
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.txt", TEXT),
        ("x.txt", [*TEXT, "-n", "2"]),
        ("x.txt", [*TEXT, "--fork", "4:token=z", "--fork", "6:text=on a", "--fork", "9:seed=8"]),
        ("x.txt", [*TEXT, "--fork", "3:ablate=1.2", "--fork", "5:steer=1:2:sea|stone"]),
        ("x.txt", [*TEXT, "--fork", "4:patch=1:6:not to be"]),
        ("x.cast", TEXT),
        ("x.png", IMAGE),
        ("x.png", [*IMAGE, "-n", "3", "--scale", "2"]),
        ("x.png", [*IMAGE, "--grid", "seed=1..3", "--grid", "guidance=1,2"]),
        ("x.png", [*IMAGE, "--fork", "3:noise=1", "--fork", "3:caption=dog"]),
        ("x.gif", [*IMAGE, "--sampler", "ddpm", "--fork", "1:guidance=4"]),
        ("x.apng", IMAGE),
        ("x.cast", IMAGE),
    ],
)
def test_what_was_generated_replays_as_identical(
    name: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert main([*words, "--out", str(path)]) == 0
    assert replay(path, capsys) == (0, "identical\n")


def test_filmstrips_frames_and_traces_replay_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film_file, folder, trace = (tmp_path / name for name in ("f.png", "frames", "x.trace"))
    words = ["--film", str(film_file), "--frames", str(folder), "--trace", str(trace)]
    assert main([*IMAGE, "--fork", "2:seed=5", *words]) == 0
    for path in (film_file, folder / "frame-0000.png", folder / "frame-0002.png", trace):
        assert replay(path, capsys) == (0, "identical\n")


def test_a_trace_with_a_setting_that_is_gone_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "x.trace"
    assert main([*IMAGE, "--fork", "2:seed=5", "--trace", str(trace)]) == 0
    trace.write_text(as_once_written(trace.read_text()))
    assert replay(trace, capsys) == (0, "identical\n")


def test_a_fresh_process_says_identical(tmp_path: Path) -> None:
    """Only a shipped model is found by another process, so this one is named by its path."""
    files = [tmp_path / name for name in ("x.png", "x.gif", "x.txt")]
    for path in files:
        words = TEXT if path.suffix == ".txt" else IMAGE
        weights = kinds.find_weights(f"{words[1]}/model.safetensors")
        assert main(["generate", str(weights), *words[2:], "--out", str(path)]) == 0
    script = (
        "import sys; from genui.cli.main import main\nfor f in sys.argv[1:]: main(['replay', f])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("identical\n" * 3, "")


# --- how far apart ------------------------------------------------------------------


def rewritten(path: Path, change) -> None:
    """The pixels of a PNG changed, and its recipe left."""
    found = image.read(path.read_bytes())
    pixels = found.frames[0].copy()
    change(pixels)
    path.write_bytes(image.png(pixels, found.text))


def test_a_changed_pixel_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.png"
    assert main([*IMAGE, "--out", str(path)]) == 0

    def paint(pixels: np.ndarray) -> None:
        pixels[0, 0] = 255 - pixels[0, 0]
        pixels[0, 0, 0] = 255 if pixels[0, 0, 0] > 127 else 0

    rewritten(path, paint)
    code, said = replay(path, capsys)
    assert code == 1
    assert "0.10% of the pixels differ, by " in said  # one of 32 × 32
    assert "the file was changed" in said
    assert main(["replay", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["identical"] is False
    assert found["pixels"] == pytest.approx(1 / 1024)
    assert 0 < found["mean"] < found["largest"] <= 255


def test_an_image_cut_to_another_size_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    assert main([*IMAGE, "--out", str(path)]) == 0
    found = image.read(path.read_bytes())
    path.write_bytes(image.png(np.ascontiguousarray(found.frames[0][:16]), found.text))
    code, said = replay(path, capsys)
    assert code == 1
    assert "1 of 32×16, and again 1 of 32×32" in said


def test_a_gif_painted_over_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.gif"
    assert main([*IMAGE, "--out", str(path)]) == 0
    found = image.read(path.read_bytes())
    frames = [np.zeros_like(frame) + 9 * i for i, frame in enumerate(found.frames)]
    path.write_bytes(image.gif([frame.astype(np.uint8) for frame in frames], found.text))
    code, said = replay(path, capsys)
    assert code == 1
    assert "of the pixels differ" in said


def test_the_first_changed_character_is_named_with_its_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.txt"
    assert main([*TEXT, "--out", str(path)]) == 0
    text = path.read_text()
    at = len("to be") + 3
    path.write_text(text[:at] + "#" + text[at + 1 :])
    code, said = replay(path, capsys)
    assert code == 1
    assert f"differs from character {at + 1} (step 4) on: '#" in said


def test_another_machine_is_named_and_its_rounding_not_called_a_forgery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    assert main([*IMAGE, "--out", str(path)]) == 0
    file = codec.read(path)
    machine = saved.Machine(device="tpu", precision="fp32", threads=1, processor="Z80", torch="1")
    assert isinstance(file.content, list)
    pixels = file.content[0].copy()
    pixels[0, 0, 0] ^= 1
    recipe = saved.to_start(file.recipe)
    started = saved.recipe_of(recipe, _started(file), machine, file.recipe.result)
    path.write_bytes(image.png(pixels, saved.to_json(started)))
    code, said = replay(path, capsys)
    assert code == 1
    assert "0.10% of the pixels differ, by 1 of 255 at most" in said
    assert "made on another machine or by other versions, which may round differently: " in said
    assert "device tpu then, cpu now" in said
    assert "processor Z80 then" in said
    assert "changed" not in said


def _started(file: codec.SavedFile):
    from genui.protocol import Started

    recipe = file.recipe
    return Started(
        trace=0,
        model=recipe.model,
        family="diffusion",
        medium="image",
        prompt=recipe.prompt,
        total_steps=3,
        fingerprint=recipe.fingerprint,
    )


# --- what cannot be replayed ----------------------------------------------------------


def test_other_weights_are_refused_with_both_fingerprints(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.txt"
    assert main([*TEXT, "--out", str(path)]) == 0
    was = codec.read(path).recipe.fingerprint
    write_models(tiny, seed=1)
    code, said = replay(path, capsys)
    assert code == 1
    assert said.startswith(f"genui: {path}: was made with weights {was}, and 'plays' here has ")
    assert said.count("\n") == 1


def test_a_missing_model_is_named(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.txt"
    assert main([*TEXT, "--out", str(path)]) == 0
    (tiny / "plays" / "model.safetensors").unlink()
    code, said = replay(path, capsys)
    assert code == 1
    assert said.startswith(f"genui: {path}: its model 'plays' is missing")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("x.txt", b"a text\n", "has no recipe"),
        ("x.png", b"", "is empty"),
        ("x.png", None, "no such file"),
        ("x.doc", b"a", "a recipe is in files that end in"),
    ],
)
def test_a_file_that_carries_no_recipe_is_one_line(
    name: str,
    content: bytes | None,
    fault: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, said = replay(path, capsys)
    assert code in (1, 2)
    assert fault in said
    assert said.count("\n") == 1


def test_a_recipe_edited_by_hand_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.txt"
    assert main([*TEXT, "--out", str(path)]) == 0
    path.write_text(path.read_text().replace('"seed":3', '"seed":4'))
    code, said = replay(path, capsys)
    assert code == 1
    assert "its recipe was edited by hand" in said
