from hypothesis import given
from hypothesis import strategies as st

from genui.engine.sample.trace import RECENT, SPREAD, Keyframes

BOUND = SPREAD + 1 + RECENT


def forward(steps: int) -> Keyframes:
    kept = Keyframes()
    for step in range(steps + 1):
        kept.keep(step, f"state {step}")
    return kept


@given(order=st.lists(st.integers(0, 20_000), max_size=400))
def test_the_states_kept_are_bounded_in_whatever_order_they_come(order: list[int]) -> None:
    kept = Keyframes()
    kept.keep(0, "first")
    for step in order:
        kept.keep(step, step)
        assert len(kept) <= BOUND
        assert kept.get(step) == step
    assert kept.get(0) is not None  # every step has one before it


def test_from_any_step_of_a_forward_pass_a_kept_one_is_near() -> None:
    kept = Keyframes()
    for step in range(5000):
        kept.keep(step, f"state {step}")
        stride = 1 << max(0, (step // SPREAD).bit_length())
        for back in (step // 3, step // 2, step - 1, step):
            at, state = kept.before(max(back, 0))
            assert state == f"state {at}"
            assert 0 <= max(back, 0) - at <= step / 32 + stride
    assert len(kept) <= BOUND


def test_the_last_states_are_all_there() -> None:
    kept = forward(1000)
    assert all(kept.get(step) == f"state {step}" for step in range(1001 - RECENT, 1001))


def test_those_until_a_step_are_a_copy_of_their_own() -> None:
    kept = forward(300)
    shared = kept.until(120)
    assert shared.before(10_000)[0] <= 120
    assert shared.get(0) == "state 0"
    shared.keep(64, "of a branch")
    assert kept.get(64) == "state 64"
    for step in range(121, 2000):
        shared.keep(step, step)
    assert len(shared) <= BOUND
    assert kept.before(300) == (300, "state 300")


def test_more_of_them_are_kept_where_states_are_small() -> None:
    kept = Keyframes(1000)
    for step in range(1001):
        kept.keep(step, step)
    assert all(kept.get(step) == step for step in range(1001))
    for step in range(1001, 5000):
        kept.keep(step, step)
    assert len(kept) <= 1001 + RECENT
    assert len(kept.until(4999)) == len(kept)
