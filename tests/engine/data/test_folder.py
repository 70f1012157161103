"""A user's own folder of images, good and bad."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import GenuiError, MisuseError
from genui.engine.data import image_sources, own_images, sources
from genui.engine.data.captions import MAX_NOTES
from genui.engine.data.image_datasets import load_images, load_own
from genui.engine.data.image_files import read_square
from genui.engine.data.preparation import Preparation

MONSTERS = Path("/work/shared/data/monsters.zip")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    return place


def save(path: Path, size: tuple[int, int] = (8, 8), colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def message(folder: Path | str) -> str:
    with pytest.raises(MisuseError) as fault:
        load_own(folder)
    text = str(fault.value)
    assert text.isprintable()  # one line, nothing a terminal would obey
    return text


# --- captions -----------------------------------------------------------------------


def test_captions_beside_the_images(folder: Path) -> None:
    save(folder / "1.png")
    (folder / "1.txt").write_text("\ufeffA Red\n  Square\x1b[31m\n", encoding="utf-8")
    save(folder / "2.jpg")
    images = load_own(folder)
    assert images.captions == ("a red square [31m",)
    assert images.scheme == "plain"
    assert len(images.notes) == 1
    assert "2.jpg" in images.notes[0]
    assert "2.txt" in images.notes[0]


def test_captions_from_metadata(folder: Path) -> None:
    save(folder / "a.png")
    save(folder / "deep" / "b.webp")
    save(folder / "c.png")
    rows = [
        json.dumps({"file_name": "a.png", "text": "First"}),
        "{broken",
        "",
        json.dumps({"file_name": "deep/b.webp", "text": "second", "more": 1}),
        json.dumps({"file_name": "../../etc/passwd", "text": "elsewhere"}),
        json.dumps({"file_name": "nul\0.png", "text": "impossible"}),
    ]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    images = load_own(folder)
    assert images.captions == ("first", "second")
    assert any("line 2" in note for note in images.notes)
    assert any("c.png" in note for note in images.notes)


def test_an_image_is_named_by_its_file(folder: Path) -> None:
    save(folder / "cats" / "012.png")
    save(folder / "dog.png")
    assert load_own(folder).describe_source(0) == "mine 0 (cats/012.png)"


def test_captions_from_names(folder: Path) -> None:
    for name in ("Red-cat_012.png", "blue_dog7.gif", "green fish.bmp", "hens/001.jpeg"):
        save(folder / name)
    captions = load_own(folder).captions
    assert sorted(captions) == ["blue dog", "green fish", "hens", "red cat"]


def test_a_name_that_says_nothing_is_left_out(folder: Path) -> None:
    save(folder / "001.png")
    save(folder / "cat.png")
    images = load_own(folder)
    assert images.captions == ("cat",)
    assert "001.png" in images.notes[0]


# --- images -----------------------------------------------------------------------


def test_any_shape_is_centred_and_padded_with_transparency(folder: Path) -> None:
    image = read_square(save(folder / "wide.png", (200, 100))).rgba
    assert image.shape == (32, 32, 4)
    assert tuple(image[16, 16]) == (255, 0, 0, 255)
    assert image[:7, :, 3].max() <= 2  # LANCZOS rings faintly
    assert image[9:23, :, 3].min() >= 253
    assert image[25:, :, 3].max() <= 2


@pytest.mark.parametrize("factor", [1, 5])
def test_pixel_art_keeps_every_pixel(folder: Path, factor: int) -> None:
    art = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    enlarged = art.repeat(factor, axis=0).repeat(factor, axis=1)
    Image.fromarray(enlarged).save(folder / "art.png")
    np.testing.assert_array_equal(read_square(folder / "art.png").rgba, art)


def test_a_smaller_image_is_enlarged_with_hard_edges(folder: Path) -> None:
    art = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(art).save(folder / "art.png")
    enlarged = art.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(read_square(folder / "art.png").rgba[..., :3], enlarged)


def test_sixteen_bit_grey_keeps_its_levels(folder: Path) -> None:
    levels = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (32, 1))
    Image.fromarray(levels).save(folder / "deep.png")
    read = read_square(folder / "deep.png").rgba[..., 0].astype(int)
    np.testing.assert_allclose(read, levels / 257, atol=1)


def test_a_photograph_is_turned_upright(folder: Path) -> None:
    sideways = Image.new("RGB", (64, 64), "red")
    sideways.paste("blue", (0, 0, 64, 32))  # blue above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    sideways.save(folder / "photo.jpg", exif=exif)
    red, _, blue, _ = read_square(folder / "photo.jpg").rgba[28, 16]
    assert blue > 200
    assert red < 50


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_common_colour_mode_is_read(folder: Path, mode: str) -> None:
    path = folder / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (40, 40), "white").convert(mode).save(path)
    assert tuple(read_square(path).rgba[16, 16]) == (255, 255, 255, 255)


def test_an_animation_gives_its_first_frame(folder: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(folder / "x.gif", save_all=True, append_images=[second])
    assert tuple(read_square(folder / "x.gif").rgba[4, 4, :3]) == (255, 0, 0)


# --- what is refused ----------------------------------------------------------------


def test_a_corrupt_image_is_named_and_the_others_are_used(folder: Path) -> None:
    whole = save(folder / "good.png", (64, 64))
    (folder / "torn.png").write_bytes(whole.read_bytes()[:60])
    (folder / "fake.jpg").write_text("no image at all")
    images = load_own(folder)
    assert images.captions == ("good",)
    assert len(images.notes) == 2
    assert "fake.jpg" in images.notes[0]
    assert "torn.png" in images.notes[1]


def test_a_bomb_is_refused_from_its_header(folder: Path) -> None:
    save(folder / "good.png")
    header = bytearray(save(folder / "bomb.bmp").read_bytes())
    header[18:26] = (100_000).to_bytes(4, "little") * 2  # claims 10 gigapixels
    (folder / "bomb.bmp").write_bytes(header)
    (note,) = load_own(folder).notes
    assert "bomb.bmp" in note
    assert "pixels" in note


def test_a_folder_of_nothing_usable(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "bad.png" in message(folder)


@pytest.mark.parametrize("name", ["missing", "a\x1b[31m\nb", "x" * 300, "a\0b"])
def test_a_missing_folder(folder: Path, name: str) -> None:
    assert "no such folder" in message(folder / name)


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "permissions" in message(folder)


def test_a_file_instead_of_a_folder(folder: Path) -> None:
    assert "is a file" in message(save(folder / "x.png"))


def test_a_folder_without_images_says_what_was_looked_for(folder: Path) -> None:
    (folder / "notes.md").write_text("hello")
    assert "looked for .png" in message(folder)
    assert message(folder).endswith(".parquet, .arrow, .tar")


def test_many_faults_stay_few_lines(folder: Path) -> None:
    save(folder / "good.png")
    for i in range(50):
        (folder / f"bad {i} x.png").write_bytes(b"")
    notes = load_own(folder).notes
    assert len(notes) == MAX_NOTES + 1
    assert "30 more" in notes[-1]


def test_only_so_many_images_are_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_images, "MAX_IMAGES", 2)
    for name in ("a", "b", "c"):
        save(folder / f"{name}.png")
    images = load_own(folder)
    assert images.captions == ("a", "b")
    assert "only the first 2 taken" in images.notes[0]


def test_more_images_than_fit_are_decoded_once_and_after_a_kill_from_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(9):
        save(folder / f"{'abcdefghi'[i]}.png", colour=f"#{20 * i:02x}0000")
    (folder / "f.png").write_bytes(b"broken")
    small = load_own(folder)
    monkeypatch.setattr(own_images, "MAX_IMAGES", 4)
    monkeypatch.setattr(image_sources, "AT_ONCE", 1)
    monkeypatch.setattr(own_images, "KEEP_EVERY", 3)
    monkeypatch.setattr(sources, "REPORT_S", 0)
    lines: list[str] = []

    def kill(line: str) -> None:
        lines.append(line)
        if len(lines) in (5, 8):
            raise KeyboardInterrupt

    watched = Preparation(kill)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            load_own(folder, every=True, preparation=watched)
    large = load_own(folder, every=True, preparation=watched)
    assert len(lines) < 9 + 5 + 3
    monkeypatch.setattr(own_images, "read_square", None)
    again = load_own(folder, every=True)
    for images in (large, again):
        assert isinstance(images.rgba, np.memmap)
        assert images.captions == small.captions
        assert images.notes == small.notes
        assert images.fingerprint == large.fingerprint
        assert (images.rgba == small.rgba).all()
        assert images.train.tolist() == small.train.tolist()
        drawn = [
            each.canvas_batch(np.array([2, 5]), np.random.default_rng(0))[1]
            for each in (images, small)
        ]
        assert (drawn[0] == drawn[1]).all()
    (prepared,) = own_images.list_decoded()
    assert (prepared.name, prepared.content, prepared.share) == ("mine", "8 images", 1.0)
    os.truncate(prepared.folder / own_images.PIXELS, 100)
    with pytest.raises(GenuiError, match="was cut short"):
        load_own(folder, every=True)


# --- the whole ----------------------------------------------------------------------


def test_data_takes_the_place_of_a_named_set(folder: Path) -> None:
    save(folder / "cat.png")
    images = load_images("icons", str(folder))
    assert (images.name, images.captions) == ("mine", ("cat",))
    assert len(images.held_out) == 0


@pytest.mark.skipif(not MONSTERS.exists(), reason=f"{MONSTERS} is not on this machine")
def test_a_real_folder(folder: Path) -> None:
    with zipfile.ZipFile(MONSTERS) as archive:
        archive.extractall(folder)
    images = load_own(folder)
    assert len(images) + len(images.notes) == 982  # 14 of its captions are empty
    assert len(images.held_out) == 60
    batch = images.batch(images.train[:64], np.random.default_rng(0))
    assert batch.captions[0] == images.captions[images.train[0]]
    assert batch.rgb.std() > 0.1
