"""Random walks through traces: whatever the way to a step, its bits are those of going straight.

A walk advances, goes back, seeks and forks between traces; every state it meets is compared
with that of a trace built afresh from the recipe and run from its first step.
"""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.sample import trace as keyframes
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.trace import Trace
from genui.protocol import (
    SAMPLERS,
    AddNoise,
    Axis,
    Denoise,
    Edit,
    Frame,
    ImageSettings,
    RgbImage,
    SetPrompt,
    SetSeed,
    SetSettings,
    Start,
)

IMAGE = RgbImage(width=32, height=32, rgb=bytes(range(256)) * 12)
GRID = (
    Axis(name="sampler", values=("heun", "ddpm", "unipc", "deis")),
    Axis(name="guidance", values=("1", "4")),
)
MASK = bytes(i % 5 == 0 for i in range(1024))
STEPS = 7

image_settings = st.builds(
    ImageSettings,
    sampler=st.sampled_from(list(SAMPLERS)),
    steps=st.integers(1, 12),
    guidance=st.sampled_from((1.0, 3.0)),
    eta=st.sampled_from((0.0, 0.6)),
)
edits = st.one_of(
    st.builds(SetSettings, image_settings),
    st.builds(SetSeed, st.integers(0, 3)),
    st.builds(SetPrompt, st.sampled_from(("cat", "dog", ""))),
    st.builds(AddNoise, to=st.integers(0, STEPS), mask=st.sampled_from((b"", MASK))),
    st.just(Denoise()),
)
kinds = st.sampled_from(("noise", "grid", "init", "forward"))
which = st.integers(0, 9)
walks = st.lists(
    st.one_of(
        st.tuples(st.just("forward"), which, st.integers(1, 5)),
        st.tuples(st.just("back"), which, st.integers(1, 9)),
        st.tuples(st.just("seek"), which, st.integers(0, 30)),
        st.tuples(st.just("fork"), which, st.integers(0, 30), edits),
    ),
    min_size=3,
    max_size=10,
)


def opening(kind: str, sampler: str) -> Start:
    more: dict[str, Any] = {
        "noise": {},
        "grid": {"grid": GRID},
        "init": {"init": IMAGE, "strength": 0.8},
        "forward": {"init": IMAGE, "forward": True},
    }[kind]
    chosen = ImageSettings(sampler=sampler, steps=STEPS, eta=0.5)  # type: ignore[arg-type]
    return Start(trace=0, model="m", prompt="cat", seed=1, settings=chosen, **more)


class Walker:
    """Traces grown from one opening, each with a cursor: the step it stands at."""

    def __init__(self, generator: DiffusionGenerator, request: Start) -> None:
        self._generator = generator
        self.traces = [Trace(generator, request)]
        self.cursors = [0]

    def take(self, op: str, which: int, amount: int, edit: Edit | None = None) -> None:
        at = which % len(self.traces)
        trace, cursor = self.traces[at], self.cursors[at]
        if op == "forward":
            self._moved(at, list(trace.advance(cursor, amount)), cursor)
        elif op == "back":
            self.cursors[at] = max(0, cursor - amount)
        elif op == "seek":
            self._moved(at, list(trace.advance(0, amount)), 0)
        elif edit is not None:
            self._fork(trace, min(amount, cursor), edit)

    def _moved(self, at: int, frames: list[Frame], before: int) -> None:
        self.cursors[at] = frames[-1].step if frames else before

    def _fork(self, trace: Trace, step: int, edit: Edit) -> None:
        try:
            forked = trace.fork(len(self.traces), step, edit)
        except MisuseError:  # the edit does not fit there: nothing may have changed
            return
        self.traces.append(forked)
        self.cursors.append(step)

    def check(self) -> None:
        for trace, cursor in zip(self.traces, self.cursors, strict=True):
            straight = Trace(self._generator, trace.request)
            frames = list(straight.advance(0, cursor))
            same(trace.state(cursor), straight.state(cursor))
            assert list(trace.advance(0, cursor)) == frames


def _tensors(state: DiffusionState) -> list[Tensor]:
    points = [tensor for point in state.history for tensor in (point.x, point.denoised)]
    return [state.x, state.denoised, state.token_ids, *points]


def same(one: DiffusionState, two: DiffusionState) -> None:
    """To the last bit, and in all that decides how it goes on."""
    assert (one.step, one.levels, one.rows, one.added) == (
        two.step, two.levels, two.rows, two.added
    )  # fmt: skip
    assert [point.sigma for point in one.history] == [point.sigma for point in two.history]
    for a, b in zip(_tensors(one), _tensors(two), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few states are kept that most are computed again."""
    monkeypatch.setattr(keyframes, "RECENT", 1)
    monkeypatch.setattr(keyframes, "SPREAD", 2)


@settings(
    max_examples=20,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(kind=kinds, sampler=st.sampled_from(list(SAMPLERS)), walk=walks)
def test_every_way_to_a_step_gives_the_same_bits(
    image_generator: DiffusionGenerator,
    short_memory: None,
    kind: str,
    sampler: str,
    walk: list[tuple],
) -> None:
    walker = Walker(image_generator, opening(kind, sampler))
    for move in walk:
        walker.take(*move)
    walker.check()


@pytest.mark.parametrize("kind", ["noise", "grid", "init", "forward"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_back_and_forth_by_every_sampler(
    image_generator: DiffusionGenerator, short_memory: None, kind: str, sampler: str
) -> None:
    walker = Walker(image_generator, opening(kind, sampler))
    for move in (("forward", 0, 5), ("back", 0, 3), ("forward", 0, 2), ("seek", 0, 3)):
        walker.take(*move)
        walker.check()
