"""`genui show`."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_fakes import write_checkpoint
from PIL import Image

from genui.cli.main import main
from genui.formats import image
from genui.formats.recipe import TraceRecipe, seal, to_json
from genui.protocol import EditAt, ImageSettings, SetSeed
from genui.recipes import find_recipe
from genui.runs.layout import RunDir


def test_an_image_is_drawn_and_says_how_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.png"
    recipe = seal(
        TraceRecipe(
            model="icons",
            prompt="red \x1b[31mheart",
            settings=ImageSettings(steps=30),
            edits=(EditAt(step=4, edit=SetSeed(9)),),
        )
    )
    file.write_bytes(image.png(np.full((4, 200, 3), 255, np.uint8), to_json(recipe)))
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    facts = dict(line.split(None, 1) for line in out.splitlines() if not line.startswith("@"))
    assert facts["prompt"] == "red heart"
    assert "steps 30" in facts["settings"]
    assert facts["edits"] == "4:seed=9"
    assert "rho" not in facts["settings"]  # told only where it was chosen
    assert "negative" not in facts["settings"]  # there is none
    assert max(map(len, out.splitlines())) <= 80  # a wide image is made to fit
    assert "\x1b" not in out


def test_a_recipe_edited_by_hand_is_shown_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = to_json(seal(TraceRecipe(model="icons", settings=ImageSettings(), seed=7)))
    file = tmp_path / "x.png"
    file.write_bytes(image.png(np.zeros((2, 2, 3), np.uint8), recipe.replace(":7,", ":8,")))
    assert main(["show", str(file)]) == 0
    assert f"{file}: its recipe was edited by hand" in capsys.readouterr().err


@pytest.mark.parametrize("chunk", ["[1, 2]", "not json", "{}"])
def test_a_chunk_that_is_not_ours_is_left_alone(
    chunk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").write_bytes(image.png(np.zeros((2, 2, 3), np.uint8), chunk))
    assert main(["show", str(tmp_path / "x.png")]) == 0
    assert capsys.readouterr().err == ""


def test_a_sample_is_printed_without_its_escape_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.txt").write_bytes(b"plain \x1b]0;title\x07text \xff")
    assert main(["show", str(tmp_path / "x.txt")]) == 0
    assert capsys.readouterr().out == "plain text �\n"


def test_a_checkpoint_shows_its_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_checkpoint(tmp_path / "mine.safetensors", find_recipe("icons"), step=1200)
    assert main(["show", str(file)]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["kind"] == "diffusion, image"
    assert facts["step"] == "1,200"
    assert facts["width"] == "256"


def test_a_shipped_model_shows_its_card(
    bare_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "plays"]) == 0
    out = capsys.readouterr().out
    assert "1.44 nats/char" in out
    assert "public domain" in out


def test_a_run_folder_is_inspected(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    assert main(["show", str(run.path)]) == 0
    assert ["run", run.id] == capsys.readouterr().out.splitlines()[0].split()


@pytest.mark.parametrize(
    ("name", "content", "fault", "code"),
    [
        ("x.png", b"not an image", "is not an image that genui can read", 1),
        ("x.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "is not an image that genui can read", 1),
        ("x.wav", b"not a sound", "is not a WAV file", 1),
        ("x.safetensors", b"\xff" * 64, "x.safetensors", 2),
        ("x.exe", b"", "shows files that end in", 2),
        (None, b"", "no such file", 2),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    name: str | None,
    content: bytes,
    fault: str,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / (name or "missing.png")
    if name:
        file.write_bytes(content)
    assert main(["show", str(file)]) == code
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1


def test_a_named_pipe_is_refused_rather_than_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "x.txt")
    assert main(["show", str(tmp_path / "x.txt")]) == 2
    assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("width", "height", "fault"),
    [
        (8_001, 8_000, "over 64,000,000 pixels"),  # below Pillow's own limit
        (10_000, 10_000, "over 64,000,000 pixels"),  # of which Pillow warns
        (20_000, 20_000, "over 64,000,000 pixels"),  # which Pillow refuses
        (70_000, 1, "over 65,535 pixels on one side"),
    ],
)
def test_an_image_that_declares_too_many_pixels_is_refused_by_its_header(
    width: int, height: int, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)  # RGBA of 16 bits a channel
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
    )
    assert main(["show", str(file)]) == 1
    assert capsys.readouterr().err == f"genui: {file}: {fault}; make it smaller\n"


def test_a_gif_of_more_frames_than_are_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shades = [Image.new("RGB", (8, 8), (50 * n, 0, 0)) for n in range(5)]
    shades[0].save(tmp_path / "x.gif", "GIF", save_all=True, append_images=shades[1:])
    monkeypatch.setattr("genui.formats.image.MAX_FRAMES", 5)
    assert main(["show", str(tmp_path / "x.gif")]) == 0
    monkeypatch.setattr("genui.formats.image.MAX_FRAMES", 4)
    capsys.readouterr()
    assert main(["show", str(tmp_path / "x.gif")]) == 1
    assert (
        capsys.readouterr().err == f"genui: {tmp_path / 'x.gif'}: over 4 frames; make it smaller\n"
    )


def test_a_card_is_shown_on_one_line_an_entry(
    bare_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = {"quality": {"loss": 1.4, "rate": 2}, "data": ["a", "b"], "limitations": "two\nlines"}
    (bare_models / "plays" / "card.json").write_text(json.dumps(card))
    assert main(["show", "plays"]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["data"] == "a, b"
    assert facts["limitations"] == "two lines"


def test_a_shipped_model_s_sample_is_drawn_above_its_card(
    bare_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 8), (200, 30, 30)).save(bare_models / "shapes" / "sample.png")
    assert main(["show", "shapes"]) == 0
    with_sample = capsys.readouterr().out
    assert main(["show", "plays"]) == 0
    without = capsys.readouterr().out
    assert with_sample.splitlines()[0].split()[0] != "model"
    assert "kind" in with_sample
    assert without.splitlines()[0].split()[0] == "model"
