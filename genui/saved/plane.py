"""What files show of a training in the Lab: its plane as pictures, its samples as rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genui import points
from genui.errors import GenuiError
from genui.protocol import EDGE, GRID, Frame, Plane, PointsFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from genui.render.scene import Scene

MOST_STEPS = 120  # of a moving picture


def steps(frames: Sequence[Frame]) -> tuple[int, ...]:
    """The steps whose plane is there to be shown; of very many, so many evenly spread."""
    from genui.render import film

    seen = [f.step for f in frames if isinstance(f, PointsFrame) and f.plane is not None]
    return film.spread(seen, MOST_STEPS)


def looked_at(frames: Sequence[Frame], step: int) -> int:
    """The last step up to `step` whose plane is there; 0 where there is none."""
    seen = (f.step for f in frames if isinstance(f, PointsFrame) and f.plane is not None)
    return max((one for one in seen if one <= step), default=0)


def scene_of(plane: Plane, first: PointsFrame) -> "Scene":
    """A sight with the data, which came with the first frame of its training."""
    import numpy as np

    from genui.render import scene

    return scene.Scene(
        scene.places(first.data),
        np.frombuffer(first.classes, np.uint8),
        scene.places(plane.samples),
        scene.grid(plane.surface, GRID),
        scene.grids(plane.chances, GRID),
        scene.pairs(plane.arrows),
    )


def picture(frames: Sequence[Frame], step: int) -> "NDArray[np.uint8]":
    """The plane after a step, [H, W, 3], with the step and the divergence below."""
    from genui.render.plane_picture import picture as drawn

    frame, first = _frame(frames, step), frames[0]
    assert frame.plane is not None
    assert isinstance(first, PointsFrame)
    bits = "" if frame.divergence is None else f"   {frame.divergence:.3f} bits from the truth"
    return drawn(scene_of(frame.plane, first), f"step {step}{bits}")


def rows(frames: Sequence[Frame], prompt: str, step: int) -> str:
    """The samples after a step as a CSV, in the coordinates that the data were given in.

    Raises GenuiError where there are none, as of a classifier.
    """
    from genui.render import scene

    plane = _frame(frames, step).plane
    if plane is None or not plane.samples:
        raise GenuiError("a classifier has no samples to write: write a .png or .gif of it")
    own = points.is_points(prompt)
    fit = points.fit(points.from_text(prompt)) if own else points.Fit()
    places = ((2 * scene.places(plane.samples) - 1) * EDGE).tolist()
    lines = ("{:.5g},{:.5g}".format(*fit.back(x, y)) for x, y in places)
    return "\n".join(["x,y", *lines])


def _frame(frames: Sequence[Frame], step: int) -> PointsFrame:
    for frame in frames:
        if isinstance(frame, PointsFrame) and frame.step == step and frame.plane is not None:
            return frame
    raise GenuiError(f"step {step}: this training was not looked at there; show another step")
