"""Files of a training in the Lab: its plane as images, its samples as rows of a CSV."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import GenuiError
from genui.formats.codec import Codec
from genui.formats.image import pick_evenly
from genui.formats.recipe import TraceRecipe, to_json
from genui.formats.sample import Difference, Sample, first_difference
from genui.formats.text import RECIPE_LINE, split_recipe
from genui.kinds.lab.messages import EDGE, GRID, Plane, PointsFrame
from genui.kinds.lab.points import Fit, fit_to_plane, from_text, is_points
from genui.kinds.lab.scene import (
    Scene,
    decode_arrows,
    decode_grid,
    decode_grids,
    decode_places,
    draw_image,
)
from genui.protocol import Frame

MAX_STEPS = 120  # of an animation


def list_steps(frames: Sequence[Frame]) -> tuple[int, ...]:
    """The steps that have a plane; MAX_STEPS of them, evenly spaced, if there are more."""
    return pick_evenly(_plane_steps(frames), MAX_STEPS)


def last_plane_step(frames: Sequence[Frame], step: int) -> int:
    """The last step up to `step` that has a plane; 0 if there is none."""
    return max((one for one in _plane_steps(frames) if one <= step), default=0)


def _plane_steps(frames: Sequence[Frame]) -> list[int]:
    return [f.step for f in frames if isinstance(f, PointsFrame) and f.plane is not None]


def scene_of(plane: Plane, first: PointsFrame) -> Scene:
    """A plane and the data, which are in the first frame of the training, ready to draw."""
    return Scene(
        decode_places(first.data),
        np.frombuffer(first.classes, np.uint8),
        decode_places(plane.samples),
        decode_grid(plane.surface, GRID),
        decode_grids(plane.chances, GRID),
        decode_arrows(plane.arrows),
        decode_arrows(plane.means),
    )


def last_scene(frames: Sequence[Frame], step: int) -> Scene | None:
    """The scene of the last plane up to `step`; None if there is none yet."""
    for frame in reversed(frames):
        if isinstance(frame, PointsFrame) and frame.step <= step and frame.plane is not None:
            first = frames[0]
            assert isinstance(first, PointsFrame)
            return scene_of(frame.plane, first)
    return None


def draw_step(frames: Sequence[Frame], step: int) -> NDArray[np.uint8]:
    """The plane after a step, [H, W, 3], with the step and the divergence below."""
    frame, first = _frame(frames, step), frames[0]
    assert frame.plane is not None
    assert isinstance(first, PointsFrame)
    bits = "" if frame.divergence is None else f"   {frame.divergence:.3f} bits from the truth"
    return draw_image(scene_of(frame.plane, first), f"step {step}{bits}")


def format_rows(frames: Sequence[Frame], prompt: str, step: int) -> str:
    """The samples after a step as a CSV, in the coordinates of the data.

    Raises GenuiError if there are none, as for a classifier.
    """
    plane = _frame(frames, step).plane
    if plane is None or not plane.samples:
        raise GenuiError("a classifier has no samples to write: write a .png or .gif of it")
    fit = fit_to_plane(from_text(prompt)) if is_points(prompt) else Fit()
    places = ((2 * decode_places(plane.samples) - 1) * EDGE).tolist()
    lines = ("{:.5g},{:.5g}".format(*fit.to_data(x, y)) for x, y in places)
    return "\n".join(["x,y", *lines])


def _frame(frames: Sequence[Frame], step: int) -> PointsFrame:
    for frame in frames:
        if isinstance(frame, PointsFrame) and frame.step == step and frame.plane is not None:
            return frame
    raise GenuiError(f"step {step}: the plane was not drawn there; choose another step")


# --- .csv -------------------------------------------------------------------------------------


def encode_rows(samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None) -> bytes:
    """The samples after the last step that is shown, and the recipe as a comment."""
    frames = samples[0].frames
    step = (recipe.view.steps or list_steps(frames))[-1]
    rows = format_rows(frames, samples[0].prompt, step)
    return f"{rows}\n# {RECIPE_LINE}{to_json(recipe)}\n".encode()


def decode_rows(data: bytes, name: str) -> tuple[str, str]:
    """The rows and the recipe. Raises GenuiError if it is not text or has no recipe."""
    return split_recipe(data, f"\n# {RECIPE_LINE}", name)


def compare_lines(saved: str, again: str, samples: Sequence[Sample]) -> Difference | None:
    """The first line that differs."""
    at = first_difference(saved.split("\n"), again.split("\n"))
    return None if at is None else Difference(f"differs from line {at + 1} on", {"line": at + 1})


CODEC = Codec(
    suffix=".csv",
    title="points, x,y a line",
    encode=encode_rows,
    decode=decode_rows,
    difference=compare_lines,
)
