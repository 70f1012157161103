"""Walks through the latent space of a GAN: along a direction, to a seed, with seeds blended."""

import random
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.protocol import BASES, Axis, ImageFrame, LatentSettings, Seed
from genui.protocol.edits import inputs_at, seed_step
from genui.protocol.settings import parse_axes
from genui.runs.models import ModelInfo
from genui.ui.traces.controller import LABEL_CELLS, Listener, Opening, TraceController
from genui.ui.traces.trees import Trace, Worker

LEAST_MOVES = 10  # to a seed that a walk turns to midway
MOST_BLENDED = 15  # seeds mixed in


class LatentController(TraceController[ImageFrame, LatentSettings]):
    """A walk that nothing was changed in begins anew and stays in its place; one that has turned
    off goes on from there, as a branch."""

    def __init__(self, session: Worker, listener: Listener) -> None:
        super().__init__(session, listener, LatentSettings())

    @property
    def directions(self) -> int:
        """How many directions there are; 0 while that is not known."""
        return len(self.frame.along) if self.frame is not None else 0

    @property
    def settings_here(self) -> LatentSettings:
        """The settings at the playhead."""
        trace = self.trace
        return inputs_at(trace.request, trace.position)[2] if trace is not None else self.settings

    def use_model(self, model: ModelInfo) -> None:
        super().use_model(model)
        self.opening = Opening()
        self.settings = replace(self.settings, direction=1, at=())

    # --- beginning ----------------------------------------------------------------------

    def new_label(self) -> str:
        settings, grid = self.settings, self.opening.grid
        if grid:
            return f"grid of {' × '.join(axis.name for axis in grid)}"
        if settings.to is not None:
            return f"seed {self.seed} to {settings.to}"
        return f"seed {self.seed}, direction {settings.direction}"

    def start_over(self, play: bool) -> None:
        """From the seed's own image: a path to another seed plays, else the keys walk."""
        if self.model is None:
            self.listener.moved()
        else:
            self._begin_at(seed_step(self.settings), self.new_label())

    def _begin_at(self, step: int, label: str) -> None:
        """A new trace, shown at that step."""
        plays = self.settings.to is not None
        self.begin(clean_line(label, LABEL_CELLS), play=plays)
        if not plays:
            self.seek(step)

    def apply(self, label: str) -> None:
        """The settings hold for the whole walk, or from here on where it has turned off."""
        trace = self.trace
        if trace is None or trace.request.edits:
            super().apply(label)
            return
        share = trace.position / max(1, trace.total)
        self._begin_at(round(share * self.settings.steps), label)

    def open_grid(self, grid: tuple[Axis, ...]) -> None:
        """Walk with all of the grid at once, or without one."""
        self.opening = self.opening._replace(grid=grid)
        self.listener.acted()
        self.start_over(play=False)

    # --- directions ---------------------------------------------------------------------

    def turn(self, by: int) -> None:
        """Walk along the next direction, through this very point."""
        if self.directions:
            self.walk_along((self.settings.direction - 1 + by) % self.directions + 1)
        elif self.needed() is not None:
            self.listener.say("the directions are not known yet: wait for the first image")

    def walk_along(self, number: int) -> None:
        """Along that direction: through this point, or from it on where the walk has turned."""
        trace = self.needed()
        if trace is None:
            return
        label = f"direction {number} from {trace.position}"
        if trace.request.edits or self.settings.to is not None:
            steps = trace.position + self.settings.steps // 2
            self.settings = replace(self.settings, direction=number, to=None, steps=steps)
            self.fork(protocol.SetSettings(self.settings), label)
            return
        self.settings = replace(self.settings, direction=number, at=self._here(trace))
        self._begin_at(seed_step(self.settings), label)

    def _here(self, trace: Trace[ImageFrame]) -> tuple[float, ...]:
        """How far along each direction the playhead is from the seed's point."""
        settings = self.settings
        moved = (trace.position - seed_step(settings)) * 2 * settings.reach / settings.steps
        at = [*settings.at, *[0.0] * (settings.direction - len(settings.at))]
        at[settings.direction - 1] = round(at[settings.direction - 1] + moved, 6)
        return tuple(at)

    def next_basis(self) -> None:
        """Directions found in another way, from the seed's point."""
        if self.needed() is not None:
            basis = BASES[(BASES.index(self.settings.basis) + 1) % len(BASES)]
            self.settings = replace(self.settings, basis=basis, direction=1, at=())
            self._begin_at(seed_step(self.settings), f"directions by {basis}")

    # --- seeds ----------------------------------------------------------------------------

    def reseed(self) -> None:
        """Another seed's image, and what is around it."""
        self.settings = replace(self.settings, at=())
        super().reseed()

    def fork_here(self) -> None:
        """From here on to a random seed, as a branch."""
        self.walk_to(random.randrange(1, 10_000))

    def walk_to(self, seed: int) -> None:
        """To a seed's image: as a new walk from the seed's own, as a branch from elsewhere."""
        trace = self.needed()
        if trace is None:
            return
        if not trace.request.edits and trace.position == seed_step(self.settings):
            self.settings = replace(self.settings, to=seed)
            self._begin_at(0, f"seed {self.seed} to {seed}")
            return
        steps = trace.position + max(LEAST_MOVES, self.settings.steps // 2)
        self.settings = replace(self.settings, to=seed, steps=min(steps, 1000))
        self.fork(protocol.SetSettings(self.settings), f"to seed {seed}")

    def blend(self, seeds: Sequence[int]) -> None:
        """Mix these seeds in, in equal parts; none of them for none."""
        if self.needed() is not None:
            self.settings = replace(self.settings, blend=tuple(seeds), at=(), to=None)
            label = f"seed {self.seed} with {', '.join(map(str, seeds))}"
            self._begin_at(seed_step(self.settings), label if seeds else self.new_label())


# --- What is typed ------------------------------------------------------------------------------


def parse_seed(text: str) -> int:
    """Raises MisuseError where it is no seed."""
    try:
        return msgspec.convert(text.strip(), Seed, strict=False)
    except msgspec.ValidationError:
        raise MisuseError(f"seed {clean_line(text, 20)!r}: expected a whole number") from None


def parse_seeds(text: str) -> tuple[int, ...]:
    """`7, 12`, or nothing. Raises MisuseError."""
    seeds = tuple(parse_seed(part) for part in text.replace(",", " ").split())
    if len(seeds) > MOST_BLENDED:
        raise MisuseError(f"{len(seeds)} seeds: at most {MOST_BLENDED} are mixed in")
    return seeds


def parse_direction(text: str, count: int) -> int:
    """The number of a direction, of so many. Raises MisuseError."""
    if text.strip().isdecimal() and 1 <= int(text) <= count:
        return int(text)
    raise MisuseError(f"{clean_line(text, 20)!r}: a number from 1 to {count}")


def parse_grid(lines: list[str]) -> tuple[Axis, ...]:
    """A grid of seeds and captions. Raises MisuseError."""
    axes = parse_axes(*lines)
    for axis in axes:
        if axis.name not in ("seed", "caption"):
            raise MisuseError(f"a walk has no {axis.name}: vary seed or caption")
    return axes
