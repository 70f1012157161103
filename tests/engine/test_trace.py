"""Traces of a text model: any walk through them gives the bits of a plain generation.

All of it of every network that writes, whether it can cut back what it read or not.
"""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_network
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.data.tokenizer import CharTokenizer
from genui.engine.device import Machine
from genui.engine.models.transformer import KVCache, Transformer, TransformerConfig
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import SPREAD, Trace
from genui.protocol import (
    Edit,
    EditAt,
    Frame,
    SetSeed,
    SetSettings,
    Start,
    TextSettings,
    WriteText,
    WriteToken,
)

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"
ENDLESS = 1 << 40


def start(tokens: int = 50, edits: tuple[EditAt, ...] = ()) -> Start:
    chosen = TextSettings(tokens=tokens)
    return Start(trace=1, model="m", prompt="to be", seed=5, settings=chosen, edits=edits)


def anew(generator: TextGenerator) -> TextGenerator:
    """The same model, computed in the same way, nothing read yet."""
    other = TextGenerator(generator.model, generator.tokenizer, generator.machine)
    if generator.computed_by:
        other.decode_fast()
    return other


def plainly(generator: TextGenerator, request: Start) -> Iterator[Frame]:
    """A generation forwards, once: no trace, no keyframes, nothing read before."""
    generator = anew(generator)
    state, _ = generator.begin(request)
    while True:
        for at in request.edits:
            if at.step == state.step:
                state = generator.edit(state, at.edit)
        if generator.finished(state):
            return
        state, frame = generator.step(state)
        yield msgspec.structs.replace(frame, trace=request.trace)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A second gains nothing on networks this small, and waits for whoever has the other core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def long_generator(network: str) -> TextGenerator:
    """With the context that the shipped models have, and next to no network."""
    model = random_network(network, 28, layers=1, width=16, context=256)
    return TextGenerator(model, CharTokenizer(ALPHABET), Machine("cpu", "fp32", 1))


@dataclass
class Branch:
    """A trace, where a person stands in it, and every frame seen of it."""

    trace: Trace
    at: int = 0
    furthest: int = 0
    seen: list[Frame] = field(default_factory=list)

    def move(self, start: int, steps: int) -> None:
        frames = list(self.trace.advance(start, steps))
        self.seen += frames
        self.at = frames[-1].step if frames else min(start, self.furthest)
        self.furthest = max(self.furthest, self.at)

    def fork(self, number: int, step: int, edit: Edit) -> "Branch":
        return Branch(self.trace.fork(number, step, edit), step, step)


EDITS = (
    st.builds(WriteToken, st.integers(0, 27))
    | st.builds(WriteText, st.text(ALPHABET, min_size=1, max_size=12))
    | st.builds(SetSeed, st.integers(0, 9))
    | st.builds(
        SetSettings,
        st.builds(
            TextSettings,
            temperature=st.sampled_from([0, 0.7, 1.5]),
            repetition_penalty=st.sampled_from([1.0, 1.3]),
            tokens=st.integers(1, 60),
        ),
    )
)
SHARE = st.floats(0, 1)
MOVES = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 40), st.none()),
    st.tuples(st.just("back"), st.integers(1, 40), st.none()),
    st.tuples(st.just("seek"), SHARE, st.none()),
    st.tuples(st.just("fork"), SHARE, EDITS),
)
WALKS = st.lists(st.tuples(SHARE, MOVES), min_size=4, max_size=10)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(walk=WALKS)
def test_any_walk_gives_the_bits_of_a_plain_generation(
    text_generator: TextGenerator, walk: list[tuple[float, tuple]]
) -> None:
    branches = [Branch(Trace(text_generator, start()))]
    branches[0].move(0, 40)  # past the context of 32
    for which, (kind, much, edit) in walk:
        branch = branches[round(which * (len(branches) - 1))]
        match kind:
            case "step":
                branch.move(branch.at, much)
            case "back":
                branch.move(max(0, branch.at - much), 1)
            case "seek":
                branch.move(round(much * branch.furthest), 1)
            case "fork":
                step = round(much * branch.furthest)
                branches.append(branch.fork(len(branches) + 1, step, edit))
    for branch in branches:
        expected = list(plainly(text_generator, branch.trace.request))
        assert branch.seen == [expected[frame.step - 1] for frame in branch.seen]
        afresh = Trace(anew(text_generator), branch.trace.request)
        assert list(afresh.advance(0, ENDLESS)) == expected


def test_branches_take_turns_without_reading_again(long_generator: TextGenerator) -> None:
    trace = Trace(long_generator, start(tokens=1000))
    list(trace.advance(0, 710))
    branches = [trace, trace.fork(2, 700, SetSeed(9)), trace.fork(3, 690, WriteText("hello"))]
    for branch in branches:
        list(branch.advance(700, 10))
    read = count_reading(long_generator)
    for step in range(710, 730):
        for branch in branches:
            assert len(list(branch.advance(step, 1))) == 1
    assert sum(read) == 20 * len(branches)


def test_branches_that_take_turns_have_the_bits_they_have_alone(
    text_generator: TextGenerator,
) -> None:
    trace = Trace(text_generator, start())
    list(trace.advance(0, 14))
    branches = [trace, trace.fork(2, 12, SetSeed(9)), trace.fork(3, 10, WriteText("hello"))]
    seen: list[list[Frame]] = [[], [], []]
    for step in range(50):
        for branch, frames in zip(branches, seen, strict=True):
            frames += branch.advance(step, 1)
    assert seen == [list(plainly(text_generator, branch.request)) for branch in branches]


def test_seeking_in_a_thousand_tokens_reads_little(long_generator: TextGenerator) -> None:
    trace = Trace(long_generator, start(tokens=1000))
    list(trace.advance(0, 1000))
    read = count_reading(long_generator)
    for step in range(7, 1000, 83):
        read.clear()
        assert len(list(trace.advance(step, 1))) == 1
        assert sum(read) <= 1000 / 32


def count_reading(generator: TextGenerator) -> list[int]:
    """How many tokens each pass of the network reads from now on."""
    read: list[int] = []
    assert isinstance(generator.model, nn.Module)
    generator.model.register_forward_hook(lambda _, tokens, __: read.append(tokens[0].shape[1]))
    return read


class Quick(Transformer):
    """Answers by the last token alone."""

    def forward(self, token_ids: Tensor, state: KVCache | None = None) -> Tensor:
        return self.embedding(token_ids)


def test_a_long_trace_holds_a_bounded_amount() -> None:
    model = Quick(TransformerConfig(len(ALPHABET), layers=1, width=28, heads=1, context=32))
    generator = TextGenerator(model, CharTokenizer(ALPHABET), Machine("cpu", "fp32", 1))
    generator.spread = SPREAD  # not its own 4,096, which the test would take long to reach
    trace = Trace(generator, start(tokens=4_000))
    for _ in trace.advance(0, 3000):
        pass
    tracemalloc.start()  # of a thousand states, which would be seen were they held
    for _ in trace.advance(3000, ENDLESS):
        pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert trace.finished_at(4_000)
    assert held < 150_000  # under 97 states, and each token once


def test_a_fork_shares_the_steps_before_and_says_where_it_stands(
    text_generator: TextGenerator,
) -> None:
    trace = Trace(text_generator, start())
    frames = list(trace.advance(0, 30))
    forked = trace.fork(2, 12, SetSettings(TextSettings(tokens=20)))
    assert (forked.started.trace, forked.started.step, forked.started.total_steps) == (2, 12, 20)
    again = [msgspec.structs.replace(frame, trace=1) for frame in forked.advance(0, 12)]
    assert again == frames[:12]
    assert list(trace.advance(0, 30)) == frames
    assert forked.request.edits == (EditAt(step=12, edit=SetSettings(TextSettings(tokens=20))),)
    of_fork = forked.fork(3, 5, SetSeed(1))  # before the edit, which is not of this branch
    assert of_fork.request.edits == (EditAt(step=5, edit=SetSeed(1)),)


@pytest.mark.parametrize("step", [-1, 11, 5000])
def test_a_fork_at_a_step_not_reached_names_both_steps(
    text_generator: TextGenerator, step: int
) -> None:
    trace = Trace(text_generator, start())
    list(trace.advance(0, 10))
    with pytest.raises(MisuseError, match=rf"step {step}: this trace is at step 10"):
        trace.fork(2, step, SetSeed(1))


def test_edits_out_of_order_are_refused(text_generator: TextGenerator) -> None:
    edits = (EditAt(step=9, edit=SetSeed(1)), EditAt(step=3, edit=SetSeed(2)))
    with pytest.raises(MisuseError, match=r"steps \[9, 3\]: put them in order"):
        Trace(text_generator, start(edits=edits))


def test_a_trace_still_being_written_is_forked_where_it_has_been(
    text_generator: TextGenerator,
) -> None:
    trace = Trace(text_generator, start())
    writing = trace.advance(0, ENDLESS)
    frames = [next(writing) for _ in range(40)]
    forked = trace.fork(2, 20, WriteText("and yet"))
    with pytest.raises(MisuseError, match="41"):
        trace.fork(3, 41, SetSeed(1))
    mine = list(forked.advance(20, ENDLESS))
    frames += writing
    assert frames == list(plainly(text_generator, trace.request))
    assert mine == list(plainly(text_generator, forked.request))[20:]


def test_a_text_given_and_the_same_written_by_hand_do_not_mix(
    text_generator: TextGenerator,
) -> None:
    text = "to be or not to be that is"
    given = msgspec.structs.replace(start(), prompt=text)
    by_hand = start(edits=(EditAt(step=0, edit=WriteText(text.removeprefix("to be"))),))
    for request in (given, by_hand, given):
        frames = list(Trace(text_generator, request).advance(0, ENDLESS))
        assert frames == list(plainly(text_generator, request))
