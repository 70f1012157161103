import asyncio

import numpy as np
import pytest
from widget_stage import CountingDriver, Stage, lines_of, styles_of

from genui.protocol import ImageFrame
from genui.ui.widgets.picture import Picture


def noise(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


async def test_it_says_what_is_missing_until_there_is_a_picture() -> None:
    picture = Picture("Press enter to draw")
    async with Stage(picture).run_test(size=(40, 11)):
        assert lines_of(picture)[5].strip() == "Press enter to draw"
        assert picture.scale_text == ""
        picture.show(noise(0))
        assert "Press" not in "".join(lines_of(picture))
        picture.clear("Gone")
        assert lines_of(picture)[5].strip() == "Gone"


async def test_the_picture_is_in_the_middle_at_a_whole_scale() -> None:
    picture = Picture()
    async with Stage(picture).run_test(size=(80, 36)):
        picture.show(np.full((32, 32, 3), (200, 10, 20), np.uint8))
        assert picture.scale_text == "32×32 at 2×"
        red = [text for text, style in styles_of(picture) if style == "on #c80a14"]
        assert red == [" " * 64] * 32
        row = [len(segment.text) for segment in picture.render_line(2)]
        assert row == [8, 64, 8]


async def test_frames_choose_the_guess_or_the_noisy_picture() -> None:
    picture = Picture()
    async with Stage(picture).run_test(size=(8, 4)):
        frame = ImageFrame(
            trace=1, step=3, sigma=1.0, width=2, height=2, x=b"\xff\0\0" * 4, guess=b"\0\0\xff" * 4
        )
        picture.show_frame(frame)
        assert any("#0000ff" in style for _, style in styles_of(picture))
        picture.show_frame(frame, "x")
        assert any("#ff0000" in style for _, style in styles_of(picture))


async def octets_of(picture: Picture, frame: np.ndarray) -> int:
    driver = picture.app._driver
    assert isinstance(driver, CountingDriver)
    await asyncio.sleep(0.05)
    before = driver.octets
    picture.show(frame)
    await asyncio.sleep(0.1)
    return driver.octets - before


@pytest.fixture
async def shown():
    """A picture of 64×32 cells in an app that writes to a counted terminal."""
    picture = Picture()
    picture.styles.width, picture.styles.height = 64, 32
    app = Stage(picture)
    running = asyncio.create_task(app.run_async(size=(100, 40)))
    while not picture.is_mounted or not picture.size:
        await asyncio.sleep(0.01)
    yield picture
    app.exit()
    await running


@pytest.mark.parametrize("size", [32, 64])
async def test_a_step_of_full_noise_costs_at_most_25_kilobytes(shown: Picture, size: int) -> None:
    await octets_of(shown, noise(0, size))
    assert 1_000 < await octets_of(shown, noise(1, size)) <= 25_000


async def test_an_identical_frame_costs_nothing(shown: Picture) -> None:
    frame = noise(0)
    await octets_of(shown, frame)
    assert shown.show(frame) is False
    assert await octets_of(shown, frame.copy()) == 0


async def test_only_rows_that_changed_are_sent(shown: Picture) -> None:
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[::2] = 255
    whole = await octets_of(shown, frame)
    other = frame.copy()
    other[7] = 99
    assert 0 < await octets_of(shown, other) < whole / 8


async def test_no_color_draws_in_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    picture = Picture()
    async with Stage(picture).run_test(size=(8, 4)) as pilot:
        picture.show(np.full((2, 2, 3), 255, np.uint8))
        await pilot.pause()
        assert lines_of(picture)[1] == "@" * 8


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4), (4, 4, 4)])
async def test_what_is_not_a_picture_is_refused(shape: tuple[int, ...]) -> None:
    picture = Picture()
    async with Stage(picture).run_test(size=(8, 4)):
        with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]|reshape"):
            picture.show(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (200, 60)])
async def test_any_room_will_do(size: tuple[int, int]) -> None:
    picture = Picture()
    async with Stage(picture).run_test(size=size) as pilot:
        picture.show(noise(0))
        await pilot.pause()
        assert {len(line) for line in lines_of(picture)} == {size[0]}
