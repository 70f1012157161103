"""More like this one: what asks for samples near a step of a trace, nearer or farther.

Each kind of settings has its own means, a row of `MEANS`: noise added back and taken away
again, or another choice of tokens from some token on. Everything is an edit of the trace, so
a variation is one of its branches.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from genui.edits import forked, in_force, place, steps_at
from genui.errors import MisuseError
from genui.protocol import (
    AddNoise,
    Edit,
    ImageSettings,
    LatentSettings,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    TextSettings,
)

DISTANCES = ("very near", "near", "between", "far", "very far")
USUAL = 2  # of DISTANCES
SHARES = (0.12, 0.25, 0.4, 0.6, 0.85)  # of what led to the sample that is done again
MOVES = 4  # of a walk to a variation


class Variation(NamedTuple):
    """A fork: `edits`, one or two, at `step`; what it is called, and its own seed."""

    step: int
    edits: tuple[Edit, ...]
    label: str
    seed: int

    def start(self, start: Start) -> Start:
        """The whole request, `start` being that of the trace it varies."""
        for edit in self.edits:
            start = forked(start, self.step, edit)
        return start


class Means(NamedTuple):
    """How a kind of settings is varied: `fork(start, step, share, seed)`, and in words."""

    fork: Callable[[Start, int, float, int], Variation]
    words: str


def variations(
    start: Start, step: int, distance: int, seeds: Sequence[int]
) -> tuple[Variation, ...]:
    """A variation of the sample at `step` for each seed; `distance` is an index of DISTANCES.

    Raises MisuseError where there is nothing to vary yet, or the kind has no such means.
    """
    means = means_of(start.settings)
    return tuple(means.fork(start, step, SHARES[distance], seed) for seed in seeds)


def means_of(settings: Settings) -> Means:
    """The row of a kind of settings. Raises MisuseError where it has none."""
    means = MEANS.get(type(settings))
    if means is None:
        raise MisuseError("this kind of model has no variations: fork it, or change its settings")
    return means


def _noise_back(start: Start, step: int, share: float, seed: int) -> Variation:
    """Noise up to an earlier level, from another seed, and denoised again (SDEdit, Meng et al.
    2022)."""
    steps = steps_at(start, step)
    here = place(start, step)
    if here == 0:
        raise MisuseError("this is pure noise still: go some steps forward first")
    to = max(0, min(round(here * (1 - share)), here - 1, steps - 1))
    return Variation(
        step, (SetSeed(seed), AddNoise(to=to)), f"noise back to {to}, seed {seed}", seed
    )


def _resampled(start: Start, step: int, share: float, seed: int) -> Variation:
    """Other random numbers from an earlier token on."""
    if step == 0:
        raise MisuseError("nothing is written yet: go some tokens forward first")
    at = max(0, min(round(step * (1 - share)), step - 1))
    return Variation(at, (SetSeed(seed),), f"from token {at}, seed {seed}", seed)


def _some_of_the_way(start: Start, step: int, share: float, seed: int) -> Variation:
    """From the point of a walk some of the way to another seed's, in few moves."""
    settings = in_force(start, step)[2]
    there = replace(settings, to=seed, share=share, steps=min(step + MOVES, 1000))
    return Variation(step, (SetSettings(there),), f"{share:.0%} of the way to seed {seed}", seed)


MEANS: Mapping[type[Settings], Means] = types.MappingProxyType(
    {
        ImageSettings: Means(_noise_back, "noise added back and taken away again"),
        LatentSettings: Means(_some_of_the_way, "some of the way to another seed"),
        TextSettings: Means(_resampled, "written again from an earlier token on"),
    }
)
