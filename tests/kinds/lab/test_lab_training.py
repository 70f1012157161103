"""Trainings in the Lab: every family learns, and a walk through a training changes no bit."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from genui.base.errors import MisuseError
from genui.engine.load import open_trace
from genui.engine.sample.trace import Trace
from genui.kinds.lab.families import FAMILIES
from genui.kinds.lab.messages import GRID, Inspect, LabSettings, PointsFrame
from genui.kinds.lab.points import Point, to_text
from genui.protocol import AddNoise, EditAt, ImageSettings, SetSeed, SetSettings, Start, encode

STEPS = 12
SMALL = LabSettings(steps=STEPS, every=4, width=16, batch=64)
MAX_BYTES = 25_000  # of a frame


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def start(
    family: str = "flow",
    prompt: str = "two moons",
    settings: LabSettings = SMALL,
    edits: tuple[EditAt, ...] = (),
    seed: int = 3,
) -> Trace:
    request = Start(
        trace=1, model=f"lab:{family}", prompt=prompt, seed=seed, settings=settings, edits=edits
    )
    return open_trace(request)


def frames(trace: Trace, begin: int = 0, steps: int = STEPS) -> list[PointsFrame]:
    found = list(trace.advance(begin, steps))
    assert all(isinstance(frame, PointsFrame) for frame in found)
    return found  # type: ignore[return-value]


def digests(trace: Trace, begin: int = 0, steps: int = STEPS) -> list[bytes]:
    return [frame.digest for frame in frames(trace, begin, steps)]


LONG = {
    "gan": 120,
    "diffusion": 80,
    "flow": 80,
    "meanflow": 800,
    "autoregressive": 60,
    "classifier": 40,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_training_brings_a_family_nearer_to_the_truth(family: str) -> None:
    steps = LONG[family]
    settings = LabSettings(steps=steps, every=steps, width=32, batch=128, learning_rate=0.008)
    data = "two moons" if family == "classifier" else "eight Gaussians"
    trace = start(family, data, settings)
    before, after = trace.opening, frames(trace, steps=steps)[-1]
    assert isinstance(before, PointsFrame)
    assert before.divergence is not None
    assert after.divergence is not None
    assert after.divergence < 0.75 * before.divergence


@pytest.mark.parametrize("family", FAMILIES)
def test_back_and_forward_and_anew_give_the_same_bits(family: str) -> None:
    trace = start(family)
    whole = digests(trace)
    assert len(set(whole)) == STEPS
    assert digests(trace, 3, 4) == whole[3:7]
    assert digests(start(family)) == whole


def test_another_seed_trains_to_other_numbers() -> None:
    assert digests(start(seed=4)) != digests(start())


def test_a_fork_shares_the_steps_before_it_and_replays_by_its_edits() -> None:
    trace = start()
    whole = digests(trace)
    faster = SetSettings(LabSettings(steps=STEPS, every=4, width=16, batch=64, learning_rate=0.1))
    branch = trace.fork(2, 5, faster)
    after = digests(branch, 5, STEPS)
    assert after != whole[5:]
    again = digests(start(edits=(EditAt(step=5, edit=faster),)))
    assert again == whole[:5] + after
    reseeded = trace.fork(3, 5, SetSeed(99))
    assert digests(reseeded, 5, STEPS) != whole[5:]


def test_more_steps_at_the_end_train_on() -> None:
    trace = start()
    digests(trace)
    longer = SetSettings(LabSettings(steps=STEPS + 5, every=4, width=16, batch=64))
    branch = trace.fork(2, STEPS, longer)
    assert branch.started.total_steps == STEPS + 5
    assert len(digests(branch, STEPS, STEPS)) == 5


def test_the_number_of_threads_changes_no_bit() -> None:
    whole = digests(start())
    torch.set_num_threads(2)
    assert digests(start()) == whole
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_so_many_steps_the_plane_is_looked_at(family: str) -> None:
    trace = start(family)
    found = frames(trace)
    assert [frame.step for frame in found if frame.plane is not None] == [4, 8, 12]
    opening, last = trace.opening, found[-1].plane
    assert isinstance(opening, PointsFrame)
    assert len(opening.data) == 4 * len(opening.classes) > 0
    assert (opening.floor is None) == (family == "classifier")
    assert last is not None
    cells = GRID * GRID
    assert len(last.surface) + len(last.chances) >= cells
    assert len(last.chances) in (0, 2 * cells)
    assert max(len(encode(frame)) for frame in (opening, *found)) < MAX_BYTES
    if family == "classifier":
        grids = np.frombuffer(last.chances, np.uint8).reshape(2, cells).astype(int)
        assert abs(grids.sum(axis=0) - 255).max() <= 1  # a probability and its complement


def test_particles_go_from_noise_to_the_samples() -> None:
    trace = start("flow")
    frames(trace)
    seen = trace.answer(Inspect(trace=1, step=4, paths=True))
    ways = np.frombuffer(seen.paths, "<u2").reshape(seen.levels, -1, 2)
    shown = np.frombuffer(seen.plane.samples, "<u2").reshape(-1, 2)
    assert (ways[-1] == shown[: len(ways[-1])]).all()
    assert len(encode(seen)) < MAX_BYTES


@pytest.mark.parametrize("family", ["diffusion", "flow", "meanflow"])
def test_every_noise_level_has_a_sight_of_its_own(family: str) -> None:
    trace = start(family)
    frames(trace, steps=4)
    looks = [trace.answer(Inspect(trace=1, step=4, noise=noise)) for noise in (0, 0.25, 0.5, 1)]
    assert len({seen.plane.samples for seen in looks}) == 4
    assert len({seen.plane.arrows for seen in looks}) == 4


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Inspect(trace=1, step=40), "is at step"),
        (Inspect(trace=1, step=2, paths=True), "moves no particles"),
    ],
)
def test_a_look_that_cannot_be_is_refused(request_: Inspect, said: str) -> None:
    trace = start("gan")
    frames(trace, steps=3)
    with pytest.raises(MisuseError, match=said):
        trace.answer(request_)


OWN = [Point(-0.5, 0.0, 0), Point(0.5, 0.1, 1), Point(0.0, 0.4, 1)]


def test_points_of_ones_own_are_learned_and_their_divergence_is_not_known() -> None:
    settings = LabSettings(steps=150, every=150, width=32, batch=64, learning_rate=0.01)
    last = frames(start("flow", to_text(OWN), settings), steps=150)[-1]
    assert last.divergence is None
    assert last.plane is not None
    samples = (np.frombuffer(last.plane.samples, "<u2").reshape(-1, 2) / 65535 * 2 - 1) * 1.25
    places = np.array([point[:2] for point in OWN])
    nearest = np.linalg.norm(samples[:, None] - places, axis=2).min(axis=1)
    assert np.median(nearest) < 0.2


@pytest.mark.parametrize(
    ("family", "prompt", "settings", "said"),
    [
        ("flow", "two mons", SMALL, "did you mean 'two-moons'"),
        ("flwo", "two moons", SMALL, "did you mean 'lab:flow'"),
        ("flow", "two moons", ImageSettings(), "those of the training"),
        ("flow", "x,y\n1,2", SMALL, "has one point"),
        ("classifier", "x,y\n1,2\n2,3", SMALL, "all of one class"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    family: str, prompt: str, settings: LabSettings, said: str
) -> None:
    with pytest.raises(MisuseError, match=said) as fault:
        start(family, prompt, settings)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (SetSettings(LabSettings(width=32)), "keeps its width of 16"),
        (AddNoise(to=2), "another seed or other settings"),
    ],
)
def test_an_edit_that_does_not_fit_is_one_line(edit: SetSettings | AddNoise, said: str) -> None:
    trace = start()
    frames(trace, steps=2)
    with pytest.raises(MisuseError, match=said):
        trace.fork(2, 2, edit)
