import asyncio

import msgspec
import numpy as np
import pytest
from widget_stage import CountingDriver, Stage, lines_of, settle, styles_of

from genui.protocol import ImageFrame
from genui.ui.textual_parts import driver_of
from genui.ui.widgets.image import ImageView


def noise(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


async def test_it_says_what_is_missing_until_there_is_an_image() -> None:
    image = ImageView("Press enter to draw")
    async with Stage(image).run_test(size=(40, 11)):
        assert lines_of(image)[5].strip() == "Press enter to draw"
        assert image.scale_text == ""
        image.show(noise(0))
        assert "Press" not in "".join(lines_of(image))
        image.clear("Gone")
        assert lines_of(image)[5].strip() == "Gone"


async def test_the_image_is_in_the_middle_at_the_largest_scale() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(80, 36)):
        image.show(np.full((32, 32, 3), (200, 10, 20), np.uint8))
        assert image.scale_text == "32×32 at 2×"
        red = [text for text, style in styles_of(image) if style == "on #c80a14"]
        assert red == [" " * 64] * 32
        row = [len(segment.text) for segment in image.render_line(2)]
        assert row == [8, 64, 8]


def red_to_blue() -> ImageFrame:
    """A noisy image that is red, and blue as the model predicts it."""
    red, blue = b"\xff\0\0" * 4, b"\0\0\xff" * 4
    return ImageFrame(trace=1, step=3, sigma=1.0, width=2, height=2, x=red, denoised=blue)


async def test_frames_choose_the_guess_or_the_noisy_image() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(8, 4)):
        frame = red_to_blue()
        image.show_frame(frame)
        assert any("#0000ff" in style for _, style in styles_of(image))
        image.show_frame(frame, "x")
        assert any("#ff0000" in style for _, style in styles_of(image))


async def octets_of(image: ImageView, frame: np.ndarray) -> int:
    driver = driver_of(image.app)
    assert isinstance(driver, CountingDriver)
    await settle(0.05)
    before = driver.octets
    image.show(frame)
    await settle(0.1)
    return driver.octets - before


@pytest.fixture
async def shown():
    """An image of 64×32 cells in an app that writes to a counted terminal."""
    image = ImageView()
    image.styles.width, image.styles.height = 64, 32
    app = Stage(image)
    running = asyncio.create_task(app.run_async(size=(100, 40)))
    while not image.is_mounted or not image.size:
        await asyncio.sleep(0.01)
    yield image
    app.exit()
    await running


@pytest.mark.parametrize("size", [32, 64])
async def test_a_step_of_full_noise_costs_at_most_25_kilobytes(shown: ImageView, size: int) -> None:
    await octets_of(shown, noise(0, size))
    assert 1_000 < await octets_of(shown, noise(1, size)) <= 25_000


async def test_an_identical_frame_costs_nothing(shown: ImageView) -> None:
    frame = noise(0)
    await octets_of(shown, frame)
    assert shown.show(frame) is False
    assert await octets_of(shown, frame.copy()) == 0


async def test_only_rows_that_changed_are_sent(shown: ImageView) -> None:
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[::2] = 255
    whole = await octets_of(shown, frame)
    other = frame.copy()
    other[7] = 99
    assert 0 < await octets_of(shown, other) < whole / 8


async def test_no_color_draws_in_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    image = ImageView()
    async with Stage(image).run_test(size=(8, 4)) as pilot:
        image.show(np.full((2, 2, 3), 255, np.uint8))
        await pilot.pause()
        assert lines_of(image)[1] == "@" * 8


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4), (4, 4, 4)])
async def test_what_is_not_an_image_is_refused(shape: tuple[int, ...]) -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(8, 4)):
        with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]|reshape"):
            image.show(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (200, 60)])
async def test_any_room_will_do(size: tuple[int, int]) -> None:
    image = ImageView()
    async with Stage(image).run_test(size=size) as pilot:
        image.show(noise(0))
        await pilot.pause()
        assert {len(line) for line in lines_of(image)} == {size[0]}


async def test_the_noise_of_a_frame_is_an_image_too() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(8, 4)):
        frame = red_to_blue()
        image.show_frame(frame)
        image.show_frame(frame, "noise")
        assert not image.has_image  # none was sent
        image.show_frame(msgspec.structs.replace(frame, noise=b"\0\xff\0" * 4), "noise")
        assert any("#00ff00" in style for _, style in styles_of(image))


async def test_the_last_step_says_that_no_noise_is_left_in_place_of_a_flat_image() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(40, 4)):
        frame = msgspec.structs.replace(red_to_blue(), noise=b"\x80" * 12)
        image.show_frame(frame, "noise")
        assert any("#808080" in style for _, style in styles_of(image))
        image.show_frame(msgspec.structs.replace(frame, sigma=0.0), "noise")
        assert "No noise is left at σ 0" in "".join(lines_of(image))
        assert not any("#808080" in style for _, style in styles_of(image))


async def test_labels_that_would_take_much_of_a_grid_are_left_out() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(40, 34)):
        image.show(noise(0, 64))
        image.label(["1", "two"], ["heun", "a sampler with a long name"])
        assert "two" not in "".join(lines_of(image))
        assert image.labelled is False
        image.label(["1", "two"], ["heun", "ddim"])
        assert image.labelled


async def test_a_grid_is_labelled_over_its_columns_and_beside_its_rows() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(72, 34)):
        image.show(noise(0, 64))
        image.label(["1", "two"], ["heun", "ddim"])
        lines = lines_of(image)
        assert image.labelled
        assert image.scale_text == "64×64 at 1×"
        top = next(line for line in lines if "two" in line)
        assert lines.index(top) == 0
        # Over the middle of the columns, which begin after the rows' labels.
        assert top.index("1") == 6 + 15
        assert abs(top.index("two") - (6 + 32 + 15)) <= 1
        named = [i for i, line in enumerate(lines) if "heun" in line or "ddim" in line]
        assert named == [1 + 8, 1 + 24]
        image.label()
        assert "two" not in "".join(lines_of(image))


async def test_a_grid_larger_than_its_room_is_sampled_down_and_says_so() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(72, 34)):
        image.show(np.zeros((128, 192, 3), np.uint8))
        assert image.scale_text == "192×128 at 0.375×"


async def test_an_image_is_enlarged_as_far_as_its_room_allows() -> None:
    image = ImageView()
    async with Stage(image).run_test(size=(140, 70)):
        image.show(noise(0))
        assert image.scale_text == "32×32 at 4×"
        image.show(noise(0, 8))
        assert image.scale_text == "8×8 at 17.5×"


async def test_what_was_drawn_coarse_is_drawn_finer_once_it_stands_still(shown: ImageView) -> None:
    frame = noise(0, 64)
    await octets_of(shown, frame)
    before = lines_of(shown), styles_of(shown)
    shown.sharpen()
    after = lines_of(shown), styles_of(shown)
    assert len(after[1]) > len(before[1])
    fresh = noise(1, 64)
    assert await octets_of(shown, fresh) <= 25_000


async def test_a_spectrogram_fills_its_room_in_the_colours_of_the_screen() -> None:
    from genui.render.image import apply_colour_map, build_magma

    image = ImageView()
    async with Stage(image).run_test(size=(30, 10)):
        mels = apply_colour_map(np.full((64, 240), 1, np.float32)).tobytes()
        frame = ImageFrame(
            trace=1, step=1, sigma=1, width=240, height=64, x=b"", denoised=mels,
            sound=b"\0\0", rate=8000,
        )  # fmt: skip
        image.show_frame(frame)
        loudest = "#{:02x}{:02x}{:02x}".format(*build_magma()[-1])
        assert styles_of(image) == [(" " * 30, f"on {loudest}")] * 10
        assert image.scale_text == "240×64"
