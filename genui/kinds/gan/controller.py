"""The controller of the Walk: through a GAN's latent space, along a direction or to a seed."""

import random
from collections.abc import Sequence

from msgspec.structs import replace

from genui import protocol
from genui.base.errors import MisuseError
from genui.base.text import clean_line
from genui.kinds.gan.walk import BASES, LatentSettings, WalkFrame
from genui.protocol import Axis
from genui.protocol.edits import inputs_at
from genui.protocol.settings import SEED, parse_axes
from genui.runs.models import ModelInfo
from genui.ui.traces.controller import LABEL_CELLS, Listener, Opening, TraceController
from genui.ui.traces.trees import ShownTrace, Worker

LEAST_MOVES = 10  # of a fork to another seed
MAX_BLENDED = 15  # seeds


class LatentController(TraceController[WalkFrame, LatentSettings]):
    """A change of the settings starts a walk without edits again at the same place, and forks a
    walk with edits."""

    def __init__(self, session: Worker, listener: Listener) -> None:
        super().__init__(session, listener, LatentSettings())

    @property
    def directions(self) -> int:
        """The number of directions; 0 before the first frame."""
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
            return self.name_prompt(f"seed {self.seed} to {settings.to}")
        return self.name_prompt(f"seed {self.seed}, direction {settings.direction}")

    def start_over(self, play: bool) -> None:
        """Start at the seed's image. Only a path to another seed plays."""
        if self.model is None:
            self.listener.repaint()
        else:
            self._begin_at(self.settings.seed_step, self.new_label())

    def _begin_at(self, step: int, label: str) -> None:
        """Show a new trace at that step."""
        plays = self.settings.to is not None
        self.begin(clean_line(label, LABEL_CELLS), play=plays)
        if not plays:
            self.seek(step)

    def apply(self, label: str) -> None:
        """Start again with the settings at the same place; a walk with edits forks."""
        trace = self.trace
        if trace is None or trace.request.edits:
            super().apply(label)
            return
        share = trace.position / max(1, trace.total)
        self._begin_at(round(share * self.settings.steps), label)

    def open_grid(self, grid: tuple[Axis, ...]) -> None:
        """Start again with this grid, or none."""
        self.opening = self.opening._replace(grid=grid)
        self.listener.clear_line()
        self.start_over(play=False)

    # --- directions ---------------------------------------------------------------------

    def turn(self, by: int) -> None:
        """Walk along the next direction, through this point."""
        if self.directions:
            self.walk_along((self.settings.direction - 1 + by) % self.directions + 1)
        elif self.ensure_trace() is not None:
            self.listener.say("the directions are not known yet: wait for the first image")

    def walk_along(self, number: int) -> None:
        """Walk along that direction, through this point; a walk with edits or to a seed forks."""
        trace = self.ensure_trace()
        if trace is None:
            return
        label = f"direction {number} from {trace.position}"
        if trace.request.edits or self.settings.to is not None:
            steps = trace.position + self.settings.steps // 2
            self.settings = replace(self.settings, direction=number, to=None, steps=steps)
            self.fork(protocol.SetSettings(self.settings), label)
            return
        self.settings = replace(self.settings, direction=number, at=self._here(trace))
        self._begin_at(self.settings.seed_step, label)

    def _here(self, trace: ShownTrace[WalkFrame]) -> tuple[float, ...]:
        """The playhead's distance from the seed's point along each direction, in σ."""
        settings = self.settings
        at = [*settings.at, *[0.0] * (settings.direction - len(settings.at))]
        at[settings.direction - 1] = settings.offset(trace.position)
        return tuple(at)

    def next_basis(self) -> None:
        """Start again with the directions of the next basis."""
        if self.ensure_trace() is not None:
            basis = BASES[(BASES.index(self.settings.basis) + 1) % len(BASES)]
            self.settings = replace(self.settings, basis=basis, direction=1, at=())
            self._begin_at(self.settings.seed_step, f"directions by {basis}")

    # --- seeds ----------------------------------------------------------------------------

    def reseed(self) -> None:
        """Start again at the image of a random seed."""
        self.settings = replace(self.settings, at=())
        super().reseed()

    def fork_here(self) -> None:
        """Walk from here to a random seed, as a branch."""
        self.walk_to(random.randrange(1, 10_000))

    def walk_to(self, seed: int) -> None:
        """Walk to a seed's image: as a new trace from the current seed's, as a fork elsewhere."""
        trace = self.ensure_trace()
        if trace is None:
            return
        at_seed = trace.frame is None or trace.position == self.settings.seed_step
        if at_seed and not trace.request.edits:
            self.settings = replace(self.settings, to=seed)
            self._begin_at(0, f"seed {self.seed} to {seed}")
            return
        steps = trace.position + max(LEAST_MOVES, self.settings.steps // 2)
        self.settings = replace(self.settings, to=seed, steps=min(steps, 1000))
        self.fork(protocol.SetSettings(self.settings), f"to seed {seed}")

    def blend(self, seeds: Sequence[int]) -> None:
        """Blend with these seeds, in equal parts."""
        if self.ensure_trace() is not None:
            self.settings = replace(self.settings, blend=tuple(seeds), at=(), to=None)
            label = f"seed {self.seed} with {', '.join(map(str, seeds))}"
            self._begin_at(self.settings.seed_step, label if seeds else self.new_label())


# --- Parsing of typed values --------------------------------------------------------------------


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds such as `7, 12`; none for "". Raises MisuseError."""
    words = text.replace(",", " ").split()
    seeds = tuple(SEED.parse(word, f"seed {clean_line(word, 20)!r}") for word in words)
    if len(seeds) > MAX_BLENDED:
        raise MisuseError(f"{len(seeds)} seeds: at most {MAX_BLENDED} can be blended")
    return seeds


def parse_grid(lines: list[str]) -> tuple[Axis, ...]:
    """A grid of seeds and captions. Raises MisuseError."""
    axes = parse_axes(*lines)
    for axis in axes:
        if axis.name not in ("seed", "caption"):
            raise MisuseError(f"a walk has no {axis.name}: vary seed or caption")
    return axes
