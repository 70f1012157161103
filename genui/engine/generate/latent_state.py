"""Where a walk through latent space stands: immutable, each point a function of its step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from genui.edits import own_step
from genui.protocol import LatentSettings

Latent = NDArray[np.float32]  # [Z]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One picture of a walk: what it is drawn from, and where it stood at step `since`."""

    caption: str
    seed: int
    origin: Latent = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WalkState:
    """A walk at `step`: since step `since` it goes from the spots' origins as `settings` say."""

    spots: tuple[Spot, ...]
    columns: int
    settings: LatentSettings
    directions: NDArray[np.float32] = field(repr=False)  # [D, Z], unit vectors
    since: int = 0
    step: int = 0

    @property
    def total(self) -> int:
        return self.settings.steps

    def latents(self) -> Latent:
        """Where every picture is now, before truncation: float32 [B, Z]."""
        settings, gone = self.settings, self.step - self.since
        origins = np.stack([spot.origin for spot in self.spots])
        if settings.to is None:
            return origins + gone * stride(settings) * self.directions[settings.direction - 1]
        share = settings.share * gone / max(1, self.total - self.since)
        goal = seed_latent(settings.to, origins.shape[1])
        return np.stack([slerp(origin, goal, share) for origin in origins])

    def along(self) -> tuple[float, ...]:
        """Where the first picture is along each direction, in standard deviations."""
        return tuple(round(float(at), 4) for at in self.directions @ self.latents()[0])

    def turned(
        self,
        settings: LatentSettings,
        directions: NDArray[np.float32],
        seed: int | None = None,
    ) -> "WalkState":
        """Going on from here by other settings, or as another seed where one is given.

        The point stands, but for what the seed, `blend` and `at` put it at from the start:
        where those are others it moves as far as they do.
        """
        spots = []
        for spot, latent in zip(self.spots, self.latents(), strict=True):
            new = spot.seed if seed is None else seed
            moved = latent - point(spot.seed, self.settings, self.directions)
            origin = moved + point(new, settings, directions)
            spots.append(replace(spot, seed=new, origin=origin))
        return replace(
            self, spots=tuple(spots), settings=settings, directions=directions, since=self.step
        )


def stride(settings: LatentSettings) -> float:
    """How far one move along a direction goes."""
    return 2 * settings.reach / settings.steps


def beginning(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """Where the walk of a seed begins, [Z]: its point, or, along a direction, so far before it
    that it is reached at step `own_step`."""
    start = point(seed, settings, directions)
    if settings.to is not None:
        return start
    before = np.float32(own_step(settings) * stride(settings))
    return start - before * directions[settings.direction - 1]


def point(seed: int, settings: LatentSettings, directions: NDArray[np.float32]) -> Latent:
    """The point of a seed, blended with others and moved along directions as the settings say."""
    start = blended((seed, *settings.blend), directions.shape[1])
    for moved, direction in zip(settings.at, directions, strict=False):
        start = start + np.float32(moved) * direction
    return start


def seed_latent(seed: int, size: int) -> Latent:
    """The point of a seed: standard normal [size]."""
    return np.random.default_rng((seed,)).standard_normal(size, np.float32)


def blended(seeds: Sequence[int], size: int) -> Latent:
    """Between the points of several seeds, in equal parts, as far out as each of them is.

    The mean of n independent normal latents is √n times too near to the middle.
    """
    mean = np.mean([seed_latent(seed, size) for seed in seeds], axis=0)
    return (mean * len(seeds) ** 0.5).astype(np.float32)


def slerp(start: Latent, goal: Latent, share: float) -> Latent:
    """Along the arc from `start` (share 0) to `goal` (share 1), Shoemake 1985.

    A straight line would pass through the middle of the space, where hardly any latent lies
    (White 2016). The length goes evenly from the one to the other.
    """
    lengths = np.linalg.norm(start), np.linalg.norm(goal)
    cosine = float(np.dot(start, goal) / max(float(lengths[0] * lengths[1]), 1e-12))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-4:  # the same direction, or opposite ones, between which no arc is
        return ((1 - share) * start + share * goal).astype(np.float32)
    a, b = np.sin((1 - share) * angle), np.sin(share * angle)
    turned = (a * start / lengths[0] + b * goal / lengths[1]) / np.sin(angle)
    return (turned * ((1 - share) * lengths[0] + share * lengths[1])).astype(np.float32)
