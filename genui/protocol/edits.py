"""What the edits of a branch come to: the request of a fork, and what is in force at a step."""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.protocol.messages import Start
from genui.protocol.settings import (
    AddNoise,
    Denoise,
    Edit,
    EditAt,
    ImageSettings,
    LatentSettings,
    SetPrompt,
    SetSeed,
    SetSettings,
    Settings,
    TextSettings,
)


def add_edit(request: Start, step: int, edit: Edit) -> Start:
    """The same up to and including `step`, where `edit` applies; later edits do not hold."""
    before = (at for at in request.edits if at.step <= step)
    return replace(request, edits=(*before, EditAt(step=step, edit=edit)))


def inputs_at(request: Start, step: int | None = None) -> tuple[str, int, Any]:
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
    settings = inputs_at(request, step)[2]
    return settings.steps if isinstance(settings, ImageSettings) else 0


def seed_step(settings: LatentSettings) -> int:
    """The step of a walk at which it shows the seed's own image: along a direction the middle,
    to another seed the first."""
    return settings.steps // 2 if settings.to is None else 0


def sample_step(request: Start, last: int) -> int:
    """The step that stands for the whole trace: the last, but of a walk along a direction, which
    is about the image in its middle."""
    settings = request.settings
    if isinstance(settings, LatentSettings) and settings.to is None and not request.edits:
        return seed_step(settings)
    return last


def init_step(strength: float, steps: int) -> int:
    """The step of a schedule that has the noise `Start.init` begins under. One step is left at
    the least: no strength leaves an image as it is."""
    return min(round((1 - strength) * steps), steps - 1)


def schedule_step(request: Start, step: int) -> int:
    """The step of a plain schedule, 0 for pure noise, that has the noise of `step` here."""
    steps = steps_at(request, step)
    rising = request.forward
    offset = 0
    if request.init is not None and not rising:
        offset = init_step(request.strength, steps)
    for at in request.edits:
        if at.step > step:
            break
        if isinstance(at.edit, AddNoise):
            offset = at.edit.to - at.step
        elif isinstance(at.edit, Denoise):
            rising, offset = False, steps - 2 * at.step
    here = steps - step if rising else step + offset
    return max(0, min(here, steps))


# --- More like this one: what asks for samples near a step of a trace, nearer or farther ------
# Each kind of settings has its own means, a row of `MEANS`: noise added back and taken away
# again, or another choice of tokens from some token on. Everything is an edit of the trace, so
# a variation is one of its branches.

DISTANCES = ("very near", "near", "between", "far", "very far")
DEFAULT_DISTANCE = 2  # of DISTANCES
SHARES = (0.12, 0.25, 0.4, 0.6, 0.85)  # of what led to the sample that is done again
WALK_STEPS = 4  # of a walk to a variation


class Variation(NamedTuple):
    """A fork: `edits`, one or two, at `step`; what it is called, and its own seed."""

    step: int
    edits: tuple[Edit, ...]
    label: str
    seed: int

    def start(self, start: Start) -> Start:
        """The whole request, `start` being that of the trace it varies."""
        for edit in self.edits:
            start = add_edit(start, self.step, edit)
        return start


class VariationMethod(NamedTuple):
    """How a kind of settings is varied: `fork(start, step, share, seed)`, and in words."""

    fork: Callable[[Start, int, float, int], Variation]
    words: str


def variations(
    start: Start, step: int, distance: int, seeds: Sequence[int]
) -> tuple[Variation, ...]:
    """A variation of the sample at `step` for each seed; `distance` is an index of DISTANCES.

    Raises MisuseError where there is nothing to vary yet, or the kind has no such means.
    """
    means = variation_method(start.settings)
    return tuple(means.fork(start, step, SHARES[distance], seed) for seed in seeds)


def variation_method(settings: Settings) -> VariationMethod:
    """The row of a kind of settings. Raises MisuseError where it has none."""
    means = VARIATION_METHODS.get(type(settings))
    if means is None:
        raise MisuseError("this kind of model has no variations: fork it, or change its settings")
    return means


def _renoise(start: Start, step: int, share: float, seed: int) -> Variation:
    """Noise up to an earlier level, from another seed, and denoised again (SDEdit, Meng et al.
    2022)."""
    steps = steps_at(start, step)
    here = schedule_step(start, step)
    if here == 0:
        raise MisuseError("this is pure noise still: go some steps forward first")
    to = max(0, min(round(here * (1 - share)), here - 1, steps - 1))
    return Variation(
        step, (SetSeed(seed), AddNoise(to=to)), f"noise back to {to}, seed {seed}", seed
    )


def _resample(start: Start, step: int, share: float, seed: int) -> Variation:
    """Other random numbers from an earlier token on."""
    if step == 0:
        raise MisuseError("nothing is written yet: go some tokens forward first")
    at = max(0, min(round(step * (1 - share)), step - 1))
    return Variation(at, (SetSeed(seed),), f"from token {at}, seed {seed}", seed)


def _walk_towards(start: Start, step: int, share: float, seed: int) -> Variation:
    """From the point of a walk some of the way to another seed's, in few moves."""
    settings = inputs_at(start, step)[2]
    there = replace(settings, to=seed, share=share, steps=min(step + WALK_STEPS, 1000))
    return Variation(step, (SetSettings(there),), f"{share:.0%} of the way to seed {seed}", seed)


VARIATION_METHODS: Mapping[type[Settings], VariationMethod] = types.MappingProxyType(
    {
        ImageSettings: VariationMethod(_renoise, "noise added back and taken away again"),
        LatentSettings: VariationMethod(_walk_towards, "some of the way to another seed"),
        TextSettings: VariationMethod(_resample, "written again from an earlier token on"),
    }
)
