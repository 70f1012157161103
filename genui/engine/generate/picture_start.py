"""The picture that a trace begins from: given, read from a file, or a training picture."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genui.engine.data.captions import split_words
from genui.engine.data.palette import COLOURS, DEFAULT_GROUND
from genui.engine.data.picture_file import UnusableError, read_square
from genui.engine.data.pictures import SIDE, Pictures, as_pixels, load_pictures
from genui.errors import MisuseError
from genui.protocol import FROM_DATA, Picture
from genui.recipes import DiffusionRecipe
from genui.render.sanitise import clean_line

MOST_PIXELS = 100_000_000


def opening_picture(
    init: Picture | str, caption: str, recipe: DiffusionRecipe | None
) -> tuple[Picture, str]:
    """32×32 RGB of `Start.init`, and what was done to have it.

    `init` is a path, or "data:" for the nearest picture of `recipe`'s data.

    Raises MisuseError where there is none to be had, GenuiError where the data needs a
    font that is not installed.
    """
    if isinstance(init, Picture):
        return _checked(init), ""
    if init == FROM_DATA:
        if recipe is None:
            raise MisuseError("this model does not say what it was trained on: name a picture")
        return nearest(load_pictures(recipe.dataset, recipe.data), caption)
    return read(Path(os.path.expanduser(init)))


def read(path: Path) -> tuple[Picture, str]:
    """Any picture file, fitted to 32×32; what is transparent is white. With what was done."""
    try:
        square = read_square(path, MOST_PIXELS)
    except UnusableError as reason:
        raise MisuseError(f"{clean_line(str(path))}: {reason}") from None
    rgba = square.rgba.astype(np.float32)
    alpha = rgba[..., 3:] / 255
    picture = _picture(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    note = f"{clean_line(path.name)}: {', '.join(square.changes)}" if square.changes else ""
    return picture, note.replace("filled", "made white")


def nearest(pictures: Pictures, caption: str) -> tuple[Picture, str]:
    """The training picture that shares the most words with the caption, in its colours.

    With the caption it has.

    Raises MisuseError where none shares any.
    """
    words = split_words(caption)
    found = set(words) - {"on"}

    def likeness(name: str) -> tuple[int, int]:
        theirs = split_words(name)
        return len(found & set(theirs)), -len(theirs)  # of equals the one that says no more

    name = max((pictures.captions[i] for i in pictures.train), key=likeness)
    if not likeness(name)[0]:
        raise MisuseError(
            f"{pictures.name}: no training picture is named like {clean_line(caption)!r}; "
            "name one in the caption, or give a picture"
        )
    named = _recoloured(name, words, pictures.scheme)
    rgb = pictures.compose(named)
    assert rgb is not None  # a training picture in two different colours of the palette
    picture = _picture(as_pixels(rgb))
    return picture, f"begins from the training picture “{clean_line(named)}”"


def ground_in(words: tuple[str, ...]) -> str:
    """The ground that a caption of these words has: the last of them, or the default one."""
    *_, before, last = "", *words
    return last if before == "on" and last in COLOURS else DEFAULT_GROUND


def _recoloured(name: str, words: tuple[str, ...], scheme: str) -> str:
    """The caption of that name which the set's scheme has, in the colours among the words."""
    if scheme == "plain":
        return name
    ground = ground_in(words)
    if scheme == "ground":
        return f"{name} on {ground}"
    figures = [
        word for word in (*words[:1], "white", "black") if word in COLOURS and word != ground
    ]
    return f"{figures[0]} {name} on {ground}"


def _checked(picture: Picture) -> Picture:
    if (picture.width, picture.height) != (SIDE, SIDE):
        raise MisuseError(
            f"the picture to begin from is {picture.width}×{picture.height}: "
            f"this model draws {SIDE}×{SIDE}"
        )
    check_bytes(picture)
    return picture


def check_bytes(picture: Picture, what: str = "picture") -> None:
    """Raises MisuseError for a picture to begin from that has not three bytes a pixel."""
    wanted = picture.width * picture.height * 3
    if len(picture.rgb) != wanted:
        raise MisuseError(
            f"the {what} to begin from has {len(picture.rgb)} bytes: "
            f"{picture.width}×{picture.height} RGB has {wanted}"
        )


def _picture(rgb: NDArray[np.uint8]) -> Picture:
    """Of [32, 32, 3]."""
    return Picture(width=SIDE, height=SIDE, rgb=rgb.tobytes())
