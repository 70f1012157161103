"""Where in the noise schedule a step of a branch is: edits move it. Pure: it computes no noise."""

from collections.abc import Iterable

from genui.edits import in_force
from genui.protocol import AddNoise, Denoise, ImageFrame, ImageSettings, Start
from genui.ui.trace import Trace


def steps_at(request: Start, step: int) -> int:
    """How many denoising steps the settings in force at `step` ask for."""
    settings = in_force(request, step)[2]
    return settings.steps if isinstance(settings, ImageSettings) else 0


def place(request: Start, step: int) -> int:
    """The step of a plain schedule, 0 for pure noise, that has the noise of `step` here."""
    steps = steps_at(request, step)
    rising = request.forward
    offset = 0
    if request.init is not None and not rising:
        offset = min(round((1 - request.strength) * steps), steps - 1)
    for at in request.edits:
        if at.step > step:
            break
        if isinstance(at.edit, AddNoise):
            offset = at.edit.to - at.step
        elif isinstance(at.edit, Denoise):
            rising, offset = False, steps - 2 * at.step
    here = steps - step if rising else step + offset
    return max(0, min(here, steps))


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
