"""Two small datasets of 128×128 images in place of the icons and the emoji."""

import numpy as np
import pytest

from genui.engine.data.image_datasets import IMAGE_DATASETS, ImageDataset
from genui.engine.data.images import RawImages

NAMES = ("square", "wide bar", "tall bar", "wide ring", "tall ring", "wide cross", "tall cross")


def _shapes(styles: tuple[str, ...] = ()) -> RawImages:
    """A rectangle for each name, in each style of another colour."""
    rng = np.random.default_rng(0)
    each = max(1, len(styles))
    rgba = np.zeros((len(NAMES) * each, 128, 128, 4), np.uint8)
    for image in rgba:
        x, y = rng.integers(8, 40, 2)
        image[y : 128 - x, x : 128 - y] = (*rng.integers(0, 256, 3), 255)
    captions = tuple(name for name in NAMES for _ in range(each))
    return RawImages(rgba, captions, styles=styles * len(NAMES), test=0 if styles else 2)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The names of a dataset like `icons-128` and of one like `emoji-128`."""
    rows = (
        ImageDataset(
            name="shapes", summary="", licence="CC0-1.0", side=128, load=_shapes,
            scheme="figure-ground", hold_out="test set",
        ),
        ImageDataset(
            name="styled", summary="", licence="CC0-1.0", side=128,
            load=lambda: _shapes(("flat", "round")), scheme="ground", hold_out="names",
        ),
    )  # fmt: skip
    for row in rows:
        monkeypatch.setitem(IMAGE_DATASETS.built_in, row.name, row)
    return rows[0].name, rows[1].name
