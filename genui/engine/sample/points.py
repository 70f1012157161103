"""A training in the Lab as a Generator: a state is all that is trained, a step a training step."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.sample.trace import Trace
from genui.engine.train import points
from genui.engine.train.points import (
    COUNT,
    Classifies,
    Data,
    Divergence,
    Family,
    Learned,
    Measures,
    Sight,
    data_named,
    divergence_on,
    make_family,
)
from genui.formats.points import is_points
from genui.protocol import (
    LAB,
    Edit,
    LabSettings,
    Look,
    PointsFrame,
    Seen,
    SetSeed,
    SetSettings,
    Start,
    Started,
)

VERSION = 1
"""Raised when the same recipe would train to other numbers."""

SHOWN = 400  # points of the data in the first frame
PARTICLES = 192  # whose way is told


@dataclass(frozen=True, kw_only=True)
class LabState:
    """A network after `step` training steps; `seed` and `settings` are those in force."""

    family: Family = field(repr=False)
    data: Data = field(repr=False)
    divergence: Divergence = field(repr=False)
    seed: int
    shown_from: int  # the seed that what is looked at is drawn from, which no edit changes
    settings: LabSettings
    learned: Learned = field(repr=False)
    step: int = 0
    measures: Measures = ()


class LabGenerator:
    """Trains a family on points. Everything is on the processor, in float32, on one thread."""

    def __init__(self, model: str) -> None:
        self._model = model

    def begin(self, request: Start) -> tuple[LabState, Started]:
        """Raises MisuseError for points of no known name, and for what a family cannot learn."""
        settings = _fitting(request.settings)
        data = data_named(request.prompt)
        family = make_family(self._model, settings.width, data.classes)
        with _one_thread():
            learned = family.begin(points.rng(request.seed, 0, points.BEGIN))
        state = LabState(
            family=family,
            data=data,
            divergence=divergence_on(data),
            seed=request.seed,
            shown_from=request.seed,
            settings=settings,
            learned=learned,
        )
        return state, Started(
            trace=request.trace,
            model=request.model,
            family=self._model.removeprefix(LAB),
            medium="points",
            prompt=request.prompt if is_points(request.prompt) else data.name,
            total_steps=settings.steps,
            note=self.note(state),
        )

    def step(self, state: LabState) -> tuple[LabState, PointsFrame]:
        """One training step."""
        step, settings = state.step + 1, state.settings
        batch = state.data.draw(points.rng(state.seed, step, points.BATCH), settings.batch)
        with _one_thread():
            learned, measures = state.family.train(
                state.learned,
                torch.from_numpy(batch.x),
                torch.from_numpy(batch.labels),
                points.rng(state.seed, step, points.TRAIN),
                settings.learning_rate,
            )
        after = replace(state, learned=learned, step=step, measures=measures)
        looked_at = step % settings.every == 0 or self.finished(after)
        return after, self.frame(after) if looked_at else _frame(after)

    def edit(self, state: LabState, edit: Edit) -> LabState:
        match edit:
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case SetSettings(settings=settings):
                fitting = _fitting(settings)
                if fitting.width != state.settings.width:
                    raise MisuseError(
                        f"width {fitting.width}: a network keeps its width of "
                        f"{state.settings.width}; begin again with another"
                    )
                return replace(state, settings=fitting)
        raise MisuseError("a training takes another seed or other settings, and nothing else")

    def frame(self, state: LabState) -> PointsFrame:
        """With what it makes of the plane; before the first step with the data too."""
        sight = self._look(state, 0.0)
        with _one_thread(), torch.no_grad():
            bits = state.divergence.of(state.family, state.learned, sight.samples)
        frame = _frame(state, divergence=bits, plane=points.plane(sight))
        if state.step:
            return frame
        shown = state.data.draw(points.rng(state.shown_from, 0, points.SHOWN), SHOWN)
        data, classes = points.data(shown)
        generates = not isinstance(state.family, Classifies)
        floor = state.divergence.floor if state.divergence.known and generates else None
        return msgspec.structs.replace(frame, data=data, classes=classes, floor=floor)

    def seen(self, state: LabState, request: Look) -> Seen:
        """The answer to a Look. Raises MisuseError where particles are asked of a family that
        moves none."""
        if request.paths and not state.family.levels:
            raise MisuseError(
                f"{state.family.title} moves no particles: diffusion and flow matching do"
            )
        noise = request.noise if state.family.levels else 0.0
        sight = self._look(state, noise)
        paths = sight.paths if request.paths else None
        return Seen(
            trace=request.trace,
            step=request.step,
            noise=noise,
            plane=points.plane(sight),
            levels=0 if paths is None else len(paths),
            paths=b"" if paths is None else points.packed(paths[:, :PARTICLES]),
        )

    def note(self, state: LabState) -> str:
        """Nothing in the Lab is misread."""
        return ""

    def finished(self, state: LabState) -> bool:
        return state.step >= state.settings.steps

    def total(self, state: LabState) -> int:
        return max(state.step, state.settings.steps)

    def _look(self, state: LabState, noise: float) -> Sight:
        """Always from the same random numbers, so that samples move and do not jump."""
        draw = points.rng(state.shown_from, 0, points.LATENT)
        with _one_thread(), torch.no_grad():
            return state.family.look(state.learned, draw, COUNT, noise)


def look(trace: Trace, request: Look) -> Seen:
    """What a network makes of the plane after a step that was reached.

    Raises MisuseError for a step that was not, and for a model that is not of the Lab.
    """
    if not isinstance(trace.generator, LabGenerator):
        raise MisuseError("only a training in the Lab can be looked at in the plane")
    if not 0 <= request.step <= trace.reached:
        raise MisuseError(f"step {request.step}: this training stands at step {trace.reached}")
    return trace.generator.seen(trace.state(request.step), request)


def fingerprint() -> str:
    """In place of that of weights: of the way in which the Lab trains."""
    return hashlib.sha256(f"genui lab {VERSION}".encode()).hexdigest()[:16]


def _fitting(settings: object) -> LabSettings:
    if not isinstance(settings, LabSettings):
        raise MisuseError("the Lab takes settings of a training, such as the learning rate")
    return settings


def _frame(state: LabState, **more: object) -> PointsFrame:
    """What every step tells."""
    return PointsFrame(
        trace=0,
        step=state.step,
        measures=state.measures,
        digest=_digest(state.learned),
        **more,  # type: ignore[arg-type]
    )


def _digest(learned: Learned) -> bytes:
    """Eight bytes of a hash of every weight and moment."""
    found = hashlib.blake2b(digest_size=8)
    for tensor in _tensors(learned):
        found.update(tensor.numpy().tobytes())
    return found.digest()


def _tensors(learned: Learned) -> Iterator[Tensor]:
    for net in learned.nets:
        yield from (net.weights, net.first, net.second)
    yield learned.average


@contextmanager
def _one_thread() -> Iterator[None]:
    """Networks so small gain nothing from a second; and one always gives the same bits."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
