import numpy as np
import pytest
from widget_stage import Stage, lines_of, styles_of

from genui.ui.widgets.image import MaskPainter, choose_scale

GREY = np.full((32, 32, 3), 90, np.uint8)


def painter(**at: int) -> MaskPainter:
    """A painter with the brush at the upper left corner."""
    made = MaskPainter(GREY.copy())
    made.x, made.y = at.get("x", 0), at.get("y", 0)
    made.brush = at.get("brush", 1)
    return made


def pixels(made: MaskPainter) -> np.ndarray:
    return np.frombuffer(made.mask, np.uint8).reshape(32, 32)


async def test_the_brush_paints_and_unpaints_what_is_under_it() -> None:
    made = painter(x=5, y=6, brush=3)
    async with Stage(made).run_test(size=(70, 34)):
        made.toggle()
        assert pixels(made)[5:8, 4:7].all()
        assert made.painted == 9
        made.move(1, 0, painting=True)
        assert made.painted == 12
        made.move(5, 0)
        assert made.painted == 12
        made.invert()
        assert made.painted == 1024 - 12
        made.erase()
        assert made.painted == 0


async def test_the_brush_stays_in_the_image() -> None:
    made = painter(brush=9)
    async with Stage(made).run_test(size=(70, 34)):
        made.move(-5, -5)
        assert (made.x, made.y) == (0, 0)
        made.toggle()
        assert made.painted == 25
        made.move(99, 99)
        assert (made.x, made.y) == (31, 31)
        made.resize_brush(5)
        assert made.brush == 9
        made.resize_brush(-20)
        assert made.brush == 1


async def test_painted_pixels_are_tinted_and_hatched() -> None:
    made = painter(x=2, y=1)
    async with Stage(made).run_test(size=(64, 32)):
        plain = styles_of(made)
        made.toggle()
        made.move(8, 8)
        assert lines_of(made)[1][4:6] == "╱╱"
        assert "on #ac2d91" in str([style for text, style in styles_of(made) if "╱" in text])
        assert plain != styles_of(made)
        assert lines_of(made)[9][20:22] == "[]"


async def test_without_colour_hatching_and_brush_are_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made = painter()
    async with Stage(made).run_test(size=(40, 18)):
        made.toggle()
        made.move(2, 0)
        line = lines_of(made)[0]
        assert line[4:7] == "'" + line[5] + "^"
        made.move(0, 1)
        assert lines_of(made)[0][6] == "v"


@pytest.mark.parametrize(
    ("room", "scale"), [((40, 18), 1), ((70, 34), 2), ((120, 50), 2), ((140, 70), 4), ((9, 3), 1)]
)
def test_a_pixel_ends_with_a_cell(room: tuple[int, int], scale: int) -> None:
    assert choose_scale(32, 32, *room) == scale
