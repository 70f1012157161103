"""Samples of other tools' logs as text and image."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.formats.audio import encode_wav
from genui.logs import media
from genui.logs.base import Media, MediaKind, MediaStore
from genui.logs.histograms import Histograms
from genui.logs.media import compose, draw_curve, format_table, tile


def sample(tmp_path: Path, kind: MediaKind, data: bytes, **fields: object) -> Media:
    path = tmp_path / "sample"
    path.write_bytes(data)
    return Media(3, "owl", kind, path)._replace(**fields)


def png(shade: int, height: int = 4, width: int = 6) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_part_of_a_file_is_an_image(tmp_path: Path):
    data = png(7)
    part = sample(tmp_path, "image", b"xx" + data + b"yy", start=2, size=len(data), caption="a")
    text, image = compose([part])
    assert text == "owl: a"
    assert image is not None
    assert image.shape == (4, 6, 3)
    assert (image == 7).all()


def test_images_of_several_sizes_are_laid_side_by_side():
    small, large = np.full((2, 3, 3), 9, np.uint8), np.full((4, 6, 3), 5, np.uint8)
    image = tile([large, small])
    assert image is not None
    assert image.shape == (4, 14, 3)
    assert (image[:, :6] == 5).all()
    assert (image[:, 8:] == 9).all()  # twice as large
    assert tile([]) is None


def test_a_sound_says_how_long_it_is_and_is_drawn(tmp_path: Path):
    wave = (np.sin(np.arange(8000) / 5) * np.linspace(0, 20000, 8000)).astype(np.int16)
    text, image = compose([sample(tmp_path, "audio", encode_wav(wave, 16000, ""))])
    assert text == "owl  0.50 s, 16,000 Hz"
    assert image is not None
    brightness = image.astype(int).sum(axis=(0, 2))
    assert brightness[0] < brightness[len(brightness) // 2] < brightness[-1]  # it grows louder


def test_a_table_has_columns_and_says_how_many_rows_are_left_out():
    table = {"columns": ["a", "long name"], "data": [["x\ny", {"_type": "image-file"}]] * 60}
    lines = format_table(table).splitlines()
    assert lines[0] == "a    long name"
    assert lines[1] == "x y  image-file"
    assert lines[-1] == "and 10 more rows"


@pytest.mark.parametrize(
    ("kind", "data"),
    [("image", b"no image"), ("audio", b"RIFF"), ("table", b"[1]"), ("table", b"{"),
     ("image", png(7)[:40])],
)  # fmt: skip
def test_what_cannot_be_read_is_a_line(kind: MediaKind, data: bytes, tmp_path: Path):
    text, image = compose([sample(tmp_path, kind, data)])
    assert text.startswith("owl  cannot be read (")
    assert image is None


def test_a_missing_file_and_one_that_is_too_large_are_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = sample(tmp_path, "text", b"12345")
    assert compose([one])[0] == "owl  12345"
    monkeypatch.setattr(media, "LARGEST", 4)
    assert "larger than" in compose([one])[0]
    one.path.unlink()
    assert "not beside the log" in compose([one])[0]


def test_more_images_than_fit_are_counted(tmp_path: Path):
    one = sample(tmp_path, "image", png(7))
    text, _ = compose([one] * (media.MAX_IMAGES + 3))
    assert text.endswith("and 3 more")


def test_histograms_over_time_are_a_heat_map():
    histograms = Histograms()
    for step in (1, 2):
        assert histograms.add(step, [0, 1, 2], [4, 0] if step == 1 else [0, 4])
    image = histograms.heat_map(2).astype(int).sum(axis=2)
    height, width = image.shape
    assert image[-1, 0] > image[0, 0]  # low values at step 1
    assert image[0, -1] > image[-1, -1]  # high ones at step 2
    assert histograms.heat_map(1).shape == (height, width, 3)
    with pytest.raises(ValueError, match="no histogram"):
        histograms.heat_map(0)
    for edges, counts in (
        ([0, 1], [2, 3]),
        ([], []),
        ([0, float("nan")], [1]),
        ([1, 0], [1]),
        ([0, 1], [1e300]),
    ):
        assert not histograms.add(3, edges, counts)
    assert not histograms.add(3, [0, 1], [1e300])  # no float32
    for number in range(5 * Histograms.MAX_HISTOGRAMS):
        histograms.add(number, [0, 0], [1])
    assert len(histograms) <= Histograms.MAX_HISTOGRAMS
    assert histograms.heat_map(10**6).shape[0] == height


def test_a_curve_is_drawn_upwards():
    image = draw_curve([0, 1], [1, 0])[..., 0]
    assert image[0, 0] == image[-1, -1] == 200
    assert image[-1, 0] == image[0, -1] == 24


def test_histograms_of_too_many_names_and_of_no_numbers_are_left_out():
    store = MediaStore(most_histograms=2)

    def add(name: str, counts: object) -> None:
        store.add(Media(1, name, "histogram", Path(), content=([0, 1], counts)))

    for counts in ("x", 5, [[1]], {}, None, [1] * (Histograms.MAX_COUNTS + 1)):
        add("odd", counts)
    assert store.by_step == {}
    for name in ("a", "b", "c", "a"):
        add(name, [1])
    first, again, other = store.by_step[1]
    assert [first.name, again.name, other.name] == ["a", "a", "b"]
    assert first.content is again.content
    store.forget_after(0)
    assert store.by_step == {}
    assert len(first.content) == 0
