"""Contact sheets: everything on them is seen."""

import numpy as np
import pytest

from genui.base.errors import GenuiError
from genui.formats.image import CELL, GROUND, PAD, Card, contact_sheet


def image(shade: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def test_each_image_is_enlarged_by_whole_numbers_in_its_own_cell() -> None:
    sheet = contact_sheet([Card("one", image(255)), Card("two", image(128))], columns=2)
    cell = CELL + PAD
    assert sheet.shape[1] == 2 * cell + PAD
    for number, shade in enumerate((255, 128)):
        x = PAD + number * cell
        assert (sheet[PAD : PAD + CELL, x : x + CELL] == shade).all()


def test_captions_and_texts_are_written() -> None:
    bare = contact_sheet([Card("", image(0))])
    named = contact_sheet([Card("a cat", image(0))])
    assert (bare[PAD + CELL :] == np.array(GROUND, np.uint8)).all()
    assert (named[PAD + CELL :] != bare[PAD + CELL :]).any()
    text = contact_sheet([Card("", text="what light is this\nthat breaks")])
    assert len(np.unique(text.reshape(-1, 3), axis=0)) > 3


def test_a_large_or_oblong_image_is_fitted() -> None:
    sheet = contact_sheet([Card("", image(255, 100, 900))])
    assert sheet.shape == contact_sheet([Card("", image(0))]).shape
    rows = (sheet == 255).all(axis=(2,)).any(axis=1).sum()
    assert 0 < rows < CELL // 4


def test_hostile_captions_are_only_text() -> None:
    contact_sheet([Card("\x1b[31m\n" * 50 + "漢字", text="\0\x07" * 2000)])


@pytest.mark.parametrize("count", [0, 401])
def test_none_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(GenuiError, match="1 to 400"):
        contact_sheet([Card("")] * count)
