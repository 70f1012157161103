"""The image that a trace begins from: a user's own file, or a training image."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genui.base.errors import MisuseError
from genui.engine.data.captions import COLOURS, Vocabulary
from genui.engine.data.image_files import SIDE, fit_square
from genui.engine.data.images import CaptionedImages, fingerprint
from genui.engine.device import Machine
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.media import ImageMedium, initial_image, nearest_training_image
from genui.protocol import ImageSettings, RgbImage, Start
from genui.recipes import DiffusionRecipe, find_recipe, override

MACHINE = Machine("cpu", "fp32", 1)


def pixels(image: RgbImage) -> np.ndarray:
    return np.frombuffer(image.rgb, np.uint8).reshape(image.height, image.width, 3)


def read(path: Path) -> np.ndarray:
    return pixels(initial_image(str(path), "", None)[0])


def test_any_size_is_fitted_whole(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100), "red").save(tmp_path / "wide.png")
    found = read(tmp_path / "wide.png")
    assert tuple(found[16, 16]) == (255, 0, 0)
    assert tuple(found[2, 16]) == (255, 255, 255)  # beyond its edge


def test_a_long_image_is_fitted_without_the_square_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("wide.png", (20_000, 100)), ("tall.png", (100, 20_000))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    new, areas = Image.new, []

    def record(mode: str, size: tuple[int, int], color: object = 0) -> Image.Image:
        areas.append(size[0] * size[1])
        return new(mode, size, color)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "new", record)
    for name, row in (("wide.png", (15, 3)), ("tall.png", (3, 15))):
        found = read(tmp_path / name)
        assert tuple(found[row]) != (255, 255, 255)
        assert tuple(found[2, 2]) == (255, 255, 255)
    assert max(areas) <= 20_000 * 100


@pytest.mark.parametrize("size", [(40, 8), (7, 40), (9, 130), (130, 9), (200, 5000)])
def test_an_image_of_any_shape_is_fitted_as_the_square_around_it(size: tuple[int, int]) -> None:
    width, height = size
    ramp = np.linspace(0, 255, width * height * 4).reshape(height, width, 4).astype(np.uint8)
    image = Image.fromarray(ramp)
    square = Image.new("RGBA", (max(size), max(size)))
    square.paste(image, ((max(size) - width) // 2, (max(size) - height) // 2))
    resized = square.convert("RGBa").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    expected, found = np.asarray(resized.convert("RGBA")), fit_square(image)
    if height > 4096:  # a column of whole pixels
        rows = [each[..., 3].astype(int).sum(axis=1) for each in (expected, found)]
        assert np.abs(rows[0] - rows[1]).max() < 128
        assert found[:, :14].max() == found[:, -14:].max() == 0
    else:
        assert (found == expected).all()


def test_grey_of_16_bits_is_read_in_strips(tmp_path: Path) -> None:
    side = 3000
    Image.fromarray(np.full((side, side), 200 * 257, np.uint16)).save(tmp_path / "x.png")
    tracemalloc.start()
    try:
        found = read(tmp_path / "x.png")
        assert tracemalloc.get_traced_memory()[1] < 8 * side**2  # one array of float64
    finally:
        tracemalloc.stop()
    assert tuple(found[16, 16]) == (200, 200, 200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_any_mode_is_read(tmp_path: Path, mode: str) -> None:
    grey = np.full((40, 40), 200, np.uint8)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert(mode, dither=Image.Dither.NONE)
    image.save(tmp_path / "x.png")
    expected = 255 if mode == "1" else 200
    assert tuple(read(tmp_path / "x.png")[16, 16]) == (expected,) * 3


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (Image.new("RGB", (32, 32)), ""),
        (Image.new("RGB", (300, 300)), "x.png: 300×300 fitted to 32×32"),
        (Image.new("RGBA", (32, 32), (1, 2, 3, 99)), "x.png: transparent areas filled with white"),
        (Image.new("I;16", (32, 32)), "x.png: 16 bits reduced to 8"),
        (
            Image.new("LA", (64, 48)),
            "x.png: 64×48 fitted to 32×32, transparent areas filled with white",
        ),
    ],
)
def test_what_was_done_to_an_image_is_told(tmp_path: Path, image: Image.Image, told: str) -> None:
    image.save(tmp_path / "x.png")
    assert initial_image(str(tmp_path / "x.png"), "", None)[1] == told


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    half = np.zeros((32, 32, 4), np.uint8)
    half[:, :16, 3] = 255  # black on the left, nothing on the right
    half[:, 15, 3] = 128
    Image.fromarray(half).save(tmp_path / "x.png")
    found = read(tmp_path / "x.png")
    assert tuple(found[9, 3]) == (0, 0, 0)
    assert tuple(found[9, 15]) == (127, 127, 127)
    assert tuple(found[9, 30]) == (255, 255, 255)


def large(path: Path) -> None:
    """A header that claims 10 gigapixels, over nothing."""
    Image.new("RGB", (2, 2)).save(path, "BMP")
    header = bytearray(path.read_bytes())
    header[18:26] = (100_000).to_bytes(4, "little") * 2
    path.write_bytes(header)


def just_over(path: Path) -> None:
    """Just over the limit, and under Pillow's own."""
    Image.new("RGB", (2, 2)).save(path, "BMP")
    header = bytearray(path.read_bytes())
    header[18:26] = (8_001).to_bytes(4, "little") * 2
    path.write_bytes(header)


def torn(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (large, "over 64,000,000 pixels; make it smaller"),
        (just_over, "over 64,000,000 pixels; make it smaller"),
        (torn, "damaged or truncated"),
        (lambda path: path.write_text("hello"), "is not an image"),
        (lambda path: path.write_bytes(b""), "is not an image"),
        (lambda path: path.mkdir(), "is a folder; name an image file of at most 64 MB"),
        (lambda path: None, "no such file"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
    ],
    ids=["bomb", "just over", "torn", "text", "empty", "folder", "missing", "pipe"],
)
def test_a_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path, make, message) -> None:
    path = tmp_path / "mine.png"
    make(path)
    with pytest.raises(MisuseError, match=rf"mine\.png: .*{message}") as raised:
        read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["x\0y", "x" * 5000, "\x1b[31mred"], ids=["null", "long", "escape"]
)
def test_no_name_breaks_it(name: str) -> None:
    with pytest.raises(MisuseError) as raised:
        initial_image(name, "", None)
    assert not {"\x1b", "\0", "\n"} & set(str(raised.value))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RgbImage(width=64, height=32, rgb=bytes(64 * 32 * 3)), "64×32: this model draws 32×32"),
        (RgbImage(width=32, height=32, rgb=bytes(5)), "has 5 bytes"),
    ],
)
def test_an_image_of_another_size_is_refused(image: RgbImage, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        initial_image(image, "", None)


def test_the_trace_keeps_what_it_read(image_generator: DiffusionGenerator, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (50, 50), "blue").save(path)
    _, started = image_generator.begin(
        Start(trace=1, model="m", prompt="cat", seed=1, settings=ImageSettings(), init=str(path))
    )
    assert (started.init, started.note) == initial_image(str(path), "", None)


# --- "data:" ------------------------------------------------------------------------------


def named(scheme: str, *names: str) -> CaptionedImages:
    """Opaque squares, each of its own shade of red; the last is held out."""
    rgba = np.zeros((len(names), 32, 32, 4), np.uint8)
    rgba[..., 0] = (np.arange(len(names)) * 10 + 100)[:, None, None]
    rgba[:, 8:24, 8:24, 3] = 255
    return CaptionedImages(
        name="squares",
        licence="",
        fingerprint=fingerprint(rgba, names),
        rgba=rgba,
        captions=names,
        scheme=scheme,  # type: ignore[arg-type]
        train=np.arange(len(names) - 1),
        held_out=np.array([len(names) - 1]),
    )


@pytest.mark.parametrize(
    ("caption", "which"),
    [("cat", 0), ("the cat face", 1), ("a FACE", 1), ("cat dog on blue", 0), ("sad wolf", 2)],
)
def test_the_nearest_shares_the_most_words(caption: str, which: int) -> None:
    images = named("ground", "cat", "cat face", "sad face", "wolf face")
    assert pixels(nearest_training_image(images, caption)[0])[16, 16, 0] == 100 + 10 * which


@pytest.mark.parametrize(
    ("scheme", "caption", "figure", "ground"),
    [
        ("plain", "cat on white", (100, 0, 0), "black"),
        ("ground", "cat on white", (100, 0, 0), "white"),
        ("ground", "cat", (100, 0, 0), "black"),
        ("figure-ground", "blue cat on yellow", "blue", "yellow"),
        ("figure-ground", "cat", "white", "black"),
        ("figure-ground", "cat on white", "black", "white"),
        ("figure-ground", "black cat", "white", "black"),
    ],
)
def test_it_comes_in_the_colours_of_the_caption(scheme, caption, figure, ground) -> None:
    found = pixels(nearest_training_image(named(scheme, "cat", "dog"), caption)[0])
    assert tuple(found[16, 16]) == COLOURS.get(figure, figure)
    assert tuple(found[1, 1]) == COLOURS.get(ground, ground)


def test_a_caption_that_names_nothing_trained_is_told() -> None:
    with pytest.raises(MisuseError, match=r"squares: no training image .*'dog on red'"):
        nearest_training_image(named("ground", "cat", "dog"), "dog on red")


def test_a_model_that_forgot_its_data_says_so() -> None:
    with pytest.raises(MisuseError, match="trained on"):
        initial_image("data:", "cat", None)


def test_a_trace_begins_from_its_models_own_data(
    image_generator: DiffusionGenerator, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 32), "blue").save(tmp_path / "dog.png")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "cat.png")
    recipe = override(find_recipe("icons"), {"data": str(tmp_path)})
    assert isinstance(recipe, DiffusionRecipe)
    vocabulary = Vocabulary.build(["cat", "dog"])
    generator = DiffusionGenerator(image_generator.model, vocabulary, MACHINE, ImageMedium(recipe))
    asked = Start(
        trace=1, model="m", prompt="a dog", seed=1, settings=ImageSettings(), init="data:"
    )
    _, started = generator.begin(asked)
    assert isinstance(started.init, RgbImage)
    assert tuple(pixels(started.init)[16, 16]) == (0, 0, 255)


@pytest.mark.parametrize(
    ("scheme", "caption", "plain"),
    [
        ("figure-ground", "red cat on blue", "white cat on black"),
        ("figure-ground", "red cat", "red cat"),
        ("figure-ground", "cat on blue", "cat on blue"),
        ("ground", "cat on blue", "cat"),
        ("ground", "dog", "dog"),
        ("plain", "cat", "cat"),
    ],
)
def test_a_caption_takes_the_default_colours_if_it_names_colours(
    scheme: str, caption: str, plain: str
) -> None:
    assert named(scheme, "cat", "dog").in_default_colours(caption) == plain
