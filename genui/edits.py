"""What the edits of a branch come to: the request of a fork, and what is in force at a step."""

from typing import Any

from msgspec.structs import replace

from genui.protocol import (
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    ImageSettings,
    LatentSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
)


def forked(request: Start, step: int, edit: Edit) -> Start:
    """The same up to and including `step`, where `edit` applies; later edits do not hold."""
    before = (at for at in request.edits if at.step <= step)
    return replace(request, edits=(*before, EditAt(step=step, edit=edit)))


def in_force(request: Start, step: int | None = None) -> tuple[str, int, Any]:
    """The prompt, the seed and the medium's settings at `step`, or at the end of the branch."""
    prompt, seed, settings = request.prompt, request.seed, request.settings
    for at in request.edits:
        if step is not None and at.step > step:
            continue
        match at.edit:
            case SetPrompt():
                prompt = at.edit.prompt
            case SetSeed():
                seed = at.edit.seed
            case SetSettings():
                settings = at.edit.settings
    return prompt, seed, settings


def steps_at(request: Start, step: int) -> int:
    """How many denoising steps the settings in force at `step` ask for."""
    settings = in_force(request, step)[2]
    return settings.steps if isinstance(settings, ImageSettings) else 0


def own_step(settings: LatentSettings) -> int:
    """The step of a walk at which it shows the seed's own picture: along a direction the middle,
    to another seed the first."""
    return settings.steps // 2 if settings.to is None else 0


def sample_step(request: Start, last: int) -> int:
    """The step that stands for the whole trace: the last, but of a walk along a direction, which
    is about the picture in its middle."""
    settings = request.settings
    if isinstance(settings, LatentSettings) and settings.to is None and not request.edits:
        return own_step(settings)
    return last


def drowned_at(strength: float, steps: int) -> int:
    """The step of a schedule that has the noise `Start.init` begins under. One step is left at
    the least: no strength leaves a picture as it is."""
    return min(round((1 - strength) * steps), steps - 1)


def place(request: Start, step: int) -> int:
    """The step of a plain schedule, 0 for pure noise, that has the noise of `step` here."""
    steps = steps_at(request, step)
    rising = request.forward
    offset = 0
    if request.init is not None and not rising:
        offset = drowned_at(request.strength, steps)
    for at in request.edits:
        if at.step > step:
            break
        if isinstance(at.edit, AddNoise):
            offset = at.edit.to - at.step
        elif isinstance(at.edit, Denoise):
            rising, offset = False, steps - 2 * at.step
    here = steps - step if rising else step + offset
    return max(0, min(here, steps))
