"""Trainings in the Lab as traces: a step is a training step, a state all that is trained.

So going back, forking, seeking and replaying work as for every other trace. Also the divergence of
a network from the true density, and its output over the plane as bytes.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.sample.trace import Generator, expect_settings
from genui.kinds.lab import families, shapes
from genui.kinds.lab.messages import EDGE, Inspect, Inspection, LabSettings, Plane, PointsFrame
from genui.kinds.lab.networks import FAMILIES, Classifier, Family, Learned, Measures, Sight
from genui.kinds.lab.points import is_points
from genui.kinds.lab.shapes import HELD, Data, Floats, data_named, rng
from genui.protocol import Edit, SetSeed, SetSettings, Start, Started

# --- The plane as bytes: positions of 16 bits, grids of 8 bits --------------------------------

SAMPLES = 512  # samples in a message


def pack_plane(sight: Sight) -> Plane:
    return Plane(
        samples=b"" if sight.samples is None else pack(sight.samples[:SAMPLES]),
        surface=b"" if sight.surface is None else _bytes(_stretch(sight.surface)),
        chances=b"" if sight.chances is None else _bytes(sight.chances),
        arrows=b"" if sight.arrows is None else pack(sight.arrows),
        means=b"" if sight.means is None else pack(sight.means),
    )


def pack(positions: Tensor) -> bytes:
    """Positions [..., 2] as uint16: 0 to 65535 for -EDGE to EDGE, clamped."""
    shares = (positions.nan_to_num(nan=-EDGE) / EDGE + 1) / 2
    scaled = (shares.clamp(0, 1) * 65535).round()
    return scaled.to(torch.int32).numpy().astype("<u2").tobytes()


def _stretch(surface: Tensor) -> Tensor:
    """A grid scaled to 0 for its lowest value and 1 for its highest."""
    surface = surface.nan_to_num()
    low, high = float(surface.min()), float(surface.max())
    return (surface - low) / max(high - low, 1e-12)


def _bytes(shares: Tensor) -> bytes:
    return (shares.clamp(0, 1) * 255).round().to(torch.uint8).numpy().tobytes()


# --- The divergence from the true density -----------------------------------------------------

CELLS = 24  # along each side of the plane
FINER = 3  # points along each side of a cell at which the density is evaluated
COUNT = 1024  # samples
HELD_OUT = 1024  # points, for classifiers
_EPSILON = 1e-12


class Divergence:
    """How far a network is from the true density of its data, in bits; 0 is the true density.

    For generative families it is the Jensen–Shannon divergence (Lin 1991), 0 to 1 bit, between the
    true probabilities of CELLS × CELLS cells and the outside, and the shares of COUNT samples;
    COUNT samples of the data themselves have the divergence `floor`. For a classifier it is the
    mean Kullback–Leibler divergence of p(class | x, y) from the true one, at held-out points.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self.known = data.densities(np.zeros((1, 2))) is not None

    @cached_property
    def true(self) -> Floats:
        """The true probability of each cell, row by row from the lowest, then of the outside."""
        densities = self._data.densities(_mesh(CELLS * FINER))
        assert densities is not None
        fine = densities.sum(axis=0).reshape(CELLS, FINER, CELLS, FINER).mean(axis=(1, 3))
        inside = fine.flatten() * (2 * EDGE / CELLS) ** 2
        return np.append(inside, max(0.0, 1 - inside.sum()))

    @cached_property
    def floor(self) -> float:
        """The divergence of COUNT points of the data themselves."""
        batch = self._data.draw(rng(0, 1, HELD), COUNT)
        return jensen_shannon(self.true, shares(batch.x))

    def of(self, family: Family, learned: Learned, samples: Tensor | None) -> float | None:
        """The divergence in bits, from samples [COUNT, 2]; None if the density is not known."""
        if not self.known:
            return None
        if isinstance(family, Classifier):
            x, true = self._held_out
            p = family.chances(learned, x).T.double().clamp_min(_EPSILON)  # [N, classes]
            return float((true * (true.clamp_min(_EPSILON) / p).log2()).sum(dim=1).mean())
        assert samples is not None
        return jensen_shannon(self.true, shares(samples.numpy()))

    @cached_property
    def _held_out(self) -> tuple[Tensor, Tensor]:
        """Held-out points [N, 2], and the true probability of each class there [N, classes]."""
        batch = self._data.draw(rng(0, 0, HELD), HELD_OUT)
        densities = self._data.densities(batch.x.astype(np.float64))  # [classes, N]
        assert densities is not None
        true = densities / densities.sum(axis=0)
        return torch.from_numpy(batch.x), torch.from_numpy(true.T)


def shares(x: np.ndarray) -> Floats:
    """The share of points [N, 2] in each cell, then outside."""
    column, row = np.floor(
        (np.nan_to_num(x, nan=9e9, posinf=9e9, neginf=-9e9) + EDGE) / (2 * EDGE / CELLS)
    ).T
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    cell = np.where(inside, row * CELLS + column, CELLS * CELLS).astype(np.int64)
    return np.bincount(cell, minlength=CELLS * CELLS + 1) / len(x)


def jensen_shannon(p: Floats, q: Floats) -> float:
    """The divergence of two distributions over the same cells, in bits: 0 to 1."""
    mean = np.maximum((p + q) / 2, _EPSILON)

    def bits(share: Floats) -> float:
        return float((share * np.log2(np.maximum(share, _EPSILON) / mean)).sum())

    return (bits(p) + bits(q)) / 2


def _mesh(side: int) -> Floats:
    """The centres of side × side cells, [side · side, 2], row by row from the lowest."""
    middles = ((np.arange(side) + 0.5) / side * 2 - 1) * EDGE
    x, y = np.meshgrid(middles, middles)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


# --- The generator ----------------------------------------------------------------------------

VERSION = 1
"""Part of the fingerprint: increase it when the same recipe would train to other numbers."""

SHOWN = 400  # points of the data in the first frame
PARTICLES = 192  # paths in an Inspection


@dataclass(frozen=True, kw_only=True)
class LabState:
    """A network after `step` training steps, with the current seed and settings."""

    family: Family = field(repr=False)
    data: Data = field(repr=False)
    divergence: Divergence = field(repr=False)
    seed: int
    display_seed: int  # the seed of displayed points and samples; edits do not change it
    settings: LabSettings
    learned: Learned = field(repr=False)
    step: int = 0
    measures: Measures = ()


class LabGenerator(Generator):
    """Trains a family on points, on the CPU in float32 with one thread."""

    def __init__(self, family: str) -> None:
        self.family = family

    def begin(self, request: Start) -> tuple[LabState, Started]:
        """The untrained network. Raises MisuseError for unknown data, and for data that the family
        cannot learn."""
        settings = expect_settings(request.settings, LabSettings)
        data = data_named(request.prompt)
        family = FAMILIES[self.family](settings.width, data.classes)
        with _one_thread():
            learned = family.begin(rng(request.seed, 0, shapes.BEGIN))
        state = LabState(
            family=family,
            data=data,
            divergence=_divergence(data),
            seed=request.seed,
            display_seed=request.seed,
            settings=settings,
            learned=learned,
        )
        prompt = request.prompt if is_points(request.prompt) else data.name
        return state, self.describe_start(request, state, prompt, "points")

    def step(self, state: LabState) -> tuple[LabState, PointsFrame]:
        step, settings = state.step + 1, state.settings
        batch = state.data.draw(rng(state.seed, step, shapes.BATCH), settings.batch)
        with _one_thread():
            learned, measures = state.family.train(
                state.learned,
                torch.from_numpy(batch.x),
                torch.from_numpy(batch.labels),
                rng(state.seed, step, shapes.TRAIN),
                settings.learning_rate,
            )
        after = replace(state, learned=learned, step=step, measures=measures)
        with_plane = step % settings.every == 0 or self.finished(after)
        return after, self.frame(after) if with_plane else _frame(after)

    def edit(self, state: LabState, edit: Edit) -> LabState:
        match edit:
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case SetSettings(settings=settings):
                new = expect_settings(settings, LabSettings)
                if new.width != state.settings.width:
                    raise MisuseError(
                        f"width {new.width}: a network keeps its width of "
                        f"{state.settings.width}; start again with another"
                    )
                return replace(state, settings=new)
        raise MisuseError("a training takes another seed or other settings, and nothing else")

    def frame(self, state: LabState) -> PointsFrame:
        """A frame with the plane and the divergence; at step 0 with the data too."""
        sight = self._look(state, 0.0)
        with _one_thread(), torch.no_grad():
            bits = state.divergence.of(state.family, state.learned, sight.samples)
        frame = _frame(state, divergence=bits, plane=pack_plane(sight))
        if state.step:
            return frame
        batch = state.data.draw(rng(state.display_seed, 0, shapes.SHOWN), SHOWN)
        generates = not isinstance(state.family, Classifier)
        return msgspec.structs.replace(
            frame,
            data=pack(torch.from_numpy(batch.x)),
            classes=batch.labels.astype(np.uint8).tobytes(),
            floor=state.divergence.floor if state.divergence.known and generates else None,
        )

    def answer(self, state: LabState, request: Inspect) -> Inspection:
        """The output of the network over the plane.

        Raises MisuseError if the request asks for paths and the family moves no particles.
        """
        family = families.FAMILIES[self.family]
        if request.paths and not family.noisy:
            raise MisuseError(f"{family.title} moves no particles: diffusion and the flows do")
        noise = request.noise if family.noisy else 0.0
        sight = self._look(state, noise)
        paths = sight.paths if request.paths else None
        return Inspection(
            trace=request.trace,
            step=request.step,
            noise=noise,
            plane=pack_plane(sight),
            levels=0 if paths is None else len(paths),
            paths=b"" if paths is None else pack(paths[:, :PARTICLES]),
        )

    def total(self, state: LabState) -> int:
        return max(state.step, state.settings.steps)

    def _look(self, state: LabState, noise: float) -> Sight:
        """The network's output over the plane, always from the same random numbers, so that
        samples move and do not jump."""
        draw = rng(state.display_seed, 0, shapes.LATENT)
        with _one_thread(), torch.no_grad():
            return state.family.look(state.learned, draw, COUNT, noise)


def fingerprint() -> str:
    """A fingerprint of how the Lab trains, in place of a fingerprint of weights."""
    return hashlib.sha256(f"genui lab {VERSION}".encode()).hexdigest()[:16]


_divergence = lru_cache(maxsize=8)(Divergence)


def _frame(state: LabState, **more: object) -> PointsFrame:
    """The fields that the frame of every step has."""
    return PointsFrame(
        trace=0,
        step=state.step,
        measures=state.measures,
        digest=_digest(state.learned),
        **more,  # type: ignore[arg-type]
    )


def _digest(learned: Learned) -> bytes:
    """A hash, 8 bytes, of all weights and optimizer moments."""
    digest = hashlib.blake2b(digest_size=8)
    tensors = [t for net in learned.nets for t in (net.weights, net.first, net.second)]
    for tensor in (*tensors, learned.average):
        digest.update(tensor.numpy().tobytes())
    return digest.digest()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run the block with one thread: small networks gain nothing from more, and one thread always
    gives the same bits."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
