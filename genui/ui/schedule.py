"""Where in the noise schedule a step of a branch is: edits move it. Pure: it computes no noise."""

from collections.abc import Iterable

from genui.edits import place, steps_at
from genui.protocol import Denoise, ImageFrame, Start
from genui.ui.trace import Trace

__all__ = ["known_levels", "place", "rises", "steps_at"]


def rises(request: Start, step: int) -> bool:
    """Whether noise is being added at `step`: a forward process, not turned round yet."""
    turned = any(isinstance(at.edit, Denoise) and at.step <= step for at in request.edits)
    return request.forward and not turned


def known_levels(traces: Iterable[Trace[ImageFrame]], steps: int) -> dict[int, float]:
    """σ at the steps of the schedule of that many, as far as frames have told."""
    levels: dict[int, float] = {}
    for trace in traces:
        request = trace.request
        # A change of the number of steps midway spaces the rest in its own way.
        if steps_at(request, 0) == steps == steps_at(request, trace.computed):
            levels |= {place(request, frame.step): frame.sigma for frame in trace.frames}
    return levels
