"""Images and texts logged through `import genui`."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_runs import folder, records, said
from PIL import Image as Pillow

import genui
from genui.formats.audio import decode_wav
from genui.runs.api import Run
from genui.runs.listing import summarise
from genui.runs.media import LARGEST
from genui.ui.watcher import RunReader, load_sample, sample_files


def image(run: Run, step: int) -> "np.ndarray":
    """The sample of that step, uint8 [H, W, 3]."""
    with Pillow.open(folder(run).sample(step, ".png")) as image:
        return np.asarray(image.convert("RGB"))


def test_images_of_every_shape_become_a_sample(tmp_path: Path):
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[1, 2] = (255, 128, 0)
    Pillow.fromarray(rgb).save(tmp_path / "rgb.png")
    run = genui.init("images")
    same: list[Any] = [
        rgb,
        rgb.transpose(2, 0, 1),
        rgb.transpose(2, 0, 1)[None],
        rgb / 255,
        rgb.astype(np.float64),
        rgb.astype(np.int64),
        Pillow.fromarray(rgb),
        tmp_path / "rgb.png",
        str(tmp_path / "rgb.png"),
    ]
    for step, data in enumerate(same):
        run.log({"image": genui.Image(data, caption="ink")}, step=step)
        assert np.array_equal(image(run, step), rgb), step
    with Pillow.open(folder(run).sample(0, ".png")) as saved:
        assert saved.info["Description"] == "ink"


def test_grey_and_black_and_white_images():
    run = genui.init("grey")
    run.log({"grey": genui.Image(np.array([[0.0, 0.5], [1.0, math.nan]]))}, step=0)
    assert image(run, 0)[:, :, 1].tolist() == [[0, 128], [255, 0]]
    run.log({"bool": genui.Image(np.array([[True, False]]))}, step=1)
    assert image(run, 1)[:, :, 2].tolist() == [[255, 0]]


def test_several_images_in_a_step_tile_into_one():
    run = genui.init("tiles")
    greys = [np.full((2, 3), value, np.uint8) for value in (50, 100, 150)]
    run.log({"fakes": [genui.Image(grey) for grey in greys]}, step=7, commit=False)
    run.log({"real": genui.Image(np.full((2, 3), 200, np.uint8))}, step=7)
    run.finish()  # on a busy machine what was logged last waits up to a second
    found = image(run, 7)[:, :, 0]
    assert found.shape == (4, 6)
    assert found[::2, ::3].tolist() == [[50, 100], [150, 200]]
    assert os.listdir(folder(run).samples) == ["step-00000007.png"]


def test_a_large_image_is_made_small_enough_for_the_app():
    run = genui.init("large")
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    run.log({"noise": genui.Image(noise)})
    assert folder(run).sample(0, ".png").stat().st_size <= LARGEST
    assert image(run, 0).shape == (450, 450, 3)


def test_many_large_images_and_texts_of_one_step_stay_small():
    run = genui.init("many")
    greys = [genui.Image(np.full((1500, 1000), number, np.uint8)) for number in range(70)]
    run.log({f"grey {number}": grey for number, grey in enumerate(greys)}, step=3)
    for number in range(70):
        run.log({"text": str(number) + "x" * 100_000}, step=3)
    found = image(run, 3)
    assert found.shape == (8 * 512, 8 * 341, 3)
    assert found[256::512, 170::341, 0].ravel().tolist() == list(range(64))
    text = folder(run).sample(3, ".txt").read_text()
    assert len(text) <= LARGEST
    assert "[text]\n9xxx" in text
    assert "\n40xxx" not in text


def test_a_video_of_too_many_pixels_is_left_out(capsys: pytest.CaptureFixture[str]):
    run = genui.init("bomb")
    frames = np.broadcast_to(np.zeros((1, 3, 1, 1), np.uint8), (100, 3, 2000, 2000))
    run.log({"loss": 1.0, "clip": genui.Video(frames)})
    assert records(run) == [{"step": 0, "loss": 1.0}]
    assert said(capsys) == [
        "genui: a sample of step 0 is left out: a video of over 128 megapixels; "
        "log fewer or smaller frames"
    ]


def test_a_sample_that_has_no_text_leaves_the_numbers_beside_it(
    capsys: pytest.CaptureFixture[str],
):
    class Odd:
        def __str__(self) -> str:
            raise ValueError("no text")

    run = genui.init("odd")
    run.log({"loss": 1.0, "wrote": genui.Text(Odd()), "rows": genui.Table(["a"], [[Odd()]])})
    assert records(run) == [{"step": 0, "loss": 1.0}]
    assert said(capsys) == ["genui: a sample of step 0 is left out: no text"]


def test_a_histogram_of_equal_half_precision_numbers():
    histogram = genui.Histogram(np.full(10, 1000, np.float16))
    assert sum(histogram.histogram) == 10
    assert histogram.bins[0] < 1000 < histogram.bins[-1]


@pytest.mark.parametrize(
    "data",
    [None, "missing.png", np.zeros(5), np.zeros((0, 3)), np.zeros((2, 2, 7)), np.array("x"), {}],
)
def test_what_is_no_image_is_said_and_the_numbers_beside_it_are_kept(
    data: Any, capsys: pytest.CaptureFixture[str]
):
    run = genui.init("no image")
    run.log({"loss": 1.0, "image": genui.Image(data)})
    run.log({"loss": 2.0, "image": genui.Image(np.zeros((2, 2)))})
    assert [record["loss"] for record in records(run)] == [1.0, 2.0]
    assert os.listdir(folder(run).samples) == ["step-00000001.png"]
    (line,) = said(capsys)
    assert line.startswith("genui: the image of step 0 is left out: ")


def test_texts_become_samples():
    run = genui.init("texts")
    run.log({"wrote": "To be, or not\nto be"}, step=3)
    run.log({"a": genui.Text("one"), "b": ["two", "three\ud800"]}, step=4)
    assert folder(run).sample(3, ".txt").read_text() == "To be, or not\nto be"
    assert folder(run).sample(4, ".txt").read_text() == "[a]\none\n\n[b]\ntwo\n\n[b]\nthree?\n"
    assert records(run) == []


# --- Tables, histograms, sounds and videos ------------------------------------------------------


def test_a_table_is_kept_as_csv_and_shown_as_text():
    run = genui.init("tables")
    table = genui.Table(columns=["input", "score"])
    table.add_data("2 + 2", 0.25)
    table.add_data("a, b", genui.Image(np.zeros((4, 4))))
    table.add_column("seen", [True, False])
    run.log({"answers": table}, step=3)
    assert folder(run).sample(3, ".csv").read_text().splitlines() == [
        "input,score,seen",
        "2 + 2,0.25,True",
        '"a, b",[image],False',
    ]
    assert folder(run).sample(3, ".txt").read_text().splitlines() == [
        "input  score    seen",
        "2 + 2  0.25     True",
        "a, b   [image]  False",
    ]
    assert image(run, 3).shape == (4, 4, 3)
    assert next(iter(table.iterrows())) == (0, ["2 + 2", 0.25, True])
    assert table.get_column("seen", convert_to="numpy").tolist() == [True, False]


def test_a_histogram_is_kept_with_its_edges():
    run = genui.init("histograms")
    run.log({"w": genui.Histogram([0, 1, 1, math.nan, 2], num_bins=2), "loss": 1.0}, step=4)
    run.log({"w": genui.Histogram(np_histogram=([5, 6], [0, 0.5, 1]))}, step=5)
    lines = [json.loads(line) for line in folder(run).histograms.read_text().splitlines()]
    assert [(line["step"], line["name"], line["bins"], line["counts"]) for line in lines] == [
        (4, "w", [0.0, 1.0, 2.0], [1.0, 3.0]),
        (5, "w", [0.0, 0.5, 1.0], [5.0, 6.0]),
    ]
    run.log({"text": "hello"}, step=5)
    reader = RunReader(summarise(folder(run)))
    view = reader.read()
    assert view is not None
    assert list(view.sample_files) == [4, 5]
    shown = load_sample(view.sample_files[5], 5)
    assert "hello" in shown.text
    assert shown.image is not None  # both steps as a heat map
    run.log({"w": genui.Histogram([1.0])}, step=6)
    view = reader.read()
    assert view is not None
    assert list(view.sample_files) == [4, 5, 6]


def test_sounds_and_videos_are_kept_and_shown():
    run = genui.init("media")
    tone = np.sin(np.arange(8000) / 5).astype(np.float32)
    run.log({"a": genui.Audio(tone, sample_rate=8000), "b": genui.Audio(-tone)}, step=1)
    sound = decode_wav(folder(run).sample(1, ".wav").read_bytes())
    assert (len(sound.samples), sound.rate) == (8000, 8000)
    assert folder(run).sample(1, ".2.wav").exists()
    shown = load_sample(sample_files(folder(run))[1], 1)
    assert shown.image is not None
    rows = shown.image.astype(int).sum(axis=(1, 2))
    assert rows.max() > 4 * np.median(rows)  # one tone, one bright row
    clip = np.full((10, 3, 6, 8), 25, np.uint8).cumsum(axis=0).astype(np.uint8) - 25
    run.log({"clip": genui.Video(clip, fps=5)}, step=2)
    with Pillow.open(folder(run).sample(2, ".gif")) as saved:
        assert (saved.size, saved.info["duration"]) == ((8, 6), 200)
    strip = image(run, 2)
    assert strip.shape[0] == 6
    assert strip[0, 0].tolist() == [0, 0, 0]
    assert strip[0, -1].tolist() == [200, 200, 200]  # every second of ten frames


def test_media_that_cannot_be_read_cost_one_line(capsys: pytest.CaptureFixture[str]):
    run = genui.init("broken")
    run.log({"a": genui.Audio("no.wav"), "loss": 1.0}, step=1)
    run.log({"v": genui.Video(np.zeros(3)), "t": genui.Table(["a"], [[1]])}, step=2)
    assert records(run) == [{"step": 1, "loss": 1.0}]
    assert len(said(capsys)) == 1
    assert folder(run).sample(2, ".csv").exists()


def test_many_images_that_are_logged_singly_are_all_in_the_sample(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("genui.runs.media._TILING", -1.0)  # every image takes too long
    run = genui.init("single")
    for step in (1, 2):
        for grey in (50, 100, 150, 200):
            run.log({"grey": genui.Image(np.full((2, 2), grey, np.uint8))}, step=step)
    assert image(run, 1)[::2, ::2, 0].tolist() == [[50, 100], [150, 200]]
    run.finish()
    assert image(run, 2)[::2, ::2, 0].tolist() == [[50, 100], [150, 200]]
