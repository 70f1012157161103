"""Whether a sample is copied: what of the training data is most like it."""

from functools import lru_cache

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from genui.edits import in_force
from genui.engine import kinds
from genui.engine.data.pictures import SIDE, Pictures, as_floats, as_pixels, load_pictures
from genui.engine.generate.trace import Trace
from genui.errors import GenuiError, MisuseError
from genui.protocol import ImageFrame, Neighbour, Neighbours
from genui.recipes import Recipe
from genui.render.sanitise import clean_line
from genui.runs.catalog import find_model
from genui.runs.checkpoints import read_header

CHUNK = 1024  # training pictures compared at once: 12 MB
MEASURED = "root mean square of the colours' differences, 0 to 255"


def nearest(trace: Trace, step: int, count: int) -> Neighbours:
    """What the training data has that is most like the sample at `step`.

    Where the data is not on this machine, or cannot be read, `fault` says so. Raises
    MisuseError for a step that has not been reached.
    """
    if not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace stands at step {trace.reached}")
    try:
        recipe = read_header(find_model(trace.request.model).path).recipe
        found = kinds.nearest(recipe, trace, step, count)
    except GenuiError as fault:
        found = Neighbours(trace=0, step=0, fault=f"nothing to compare with: {fault}")
    return replace(found, trace=trace.request.trace, step=step)


def nearest_pictures(recipe: Recipe, trace: Trace, step: int, count: int) -> Neighbours:
    """The training pictures nearest to the clean picture as the model sees it at `step`.

    They are drawn in the colours of the caption in force. Raises MisuseError for a grid, and
    what `load_pictures` raises.
    """
    frame = trace.generator.frame(trace.state(step))
    if not isinstance(frame, ImageFrame) or len(frame.guess) != SIDE * SIDE * 3:
        raise MisuseError(f"one picture of {SIDE}×{SIDE} is compared, and not a grid: draw one")
    drawn = np.frombuffer(frame.guess, np.uint8).reshape(SIDE, SIDE, 3)
    pictures = _pictures(recipe.dataset, recipe.data)
    caption = in_force(trace.request, step)[0]
    order, distances = nearest_of(pictures, drawn, caption, count)
    return Neighbours(
        trace=0,
        step=0,
        data=f"{clean_line(pictures.name)}, {len(pictures.train):,} pictures",
        measured=MEASURED,
        pictures=tuple(
            Neighbour(
                caption=clean_line(pictures.captions[index]),
                distance=float(distance),
                width=SIDE,
                height=SIDE,
                rgb=as_pixels(pictures.in_colours_of(caption, np.array([index]))[0]).tobytes(),
            )
            for index, distance in zip(order, distances, strict=True)
        ),
    )


def nearest_of(
    pictures: Pictures, drawn: NDArray[np.uint8], caption: str, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `count` trained pictures nearest to `drawn` [32, 32, 3], and their distances.

    Indices and root mean squares, 0 to 255, nearest first.
    """
    target = as_floats(drawn)
    squares = np.empty(len(pictures.train), np.float32)
    for at in range(0, len(squares), CHUNK):
        indices = pictures.train[at : at + CHUNK]
        gap = pictures.in_colours_of(caption, indices)
        gap -= target
        squares[at : at + len(indices)] = np.einsum("bchw,bchw->b", gap, gap)
    order = np.argsort(squares, kind="stable")[:count]
    return pictures.train[order], 127.5 * np.sqrt(squares[order] / target.size, dtype=np.float64)


@lru_cache(maxsize=2)
def _pictures(dataset: str, data: str) -> Pictures:
    return load_pictures(dataset, data)
