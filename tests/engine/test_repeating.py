"""DRY: how long a run would be repeated, and what that costs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genui.engine.sample.logits import LONGEST, apply_dry, distribution, find_repetitions
from genui.protocol import TextSettings


@given(st.lists(st.integers(0, 3), max_size=40))
def test_a_run_is_as_long_as_what_ends_the_text_and_stood_before(tokens: list[int]) -> None:
    expected: dict[int, int] = {}
    for run in range(1, len(tokens)):
        end = tokens[-run:]
        for at in range(len(tokens) - run):
            if tokens[at : at + run] == end:
                follower = tokens[at + run]
                expected[follower] = max(run, expected.get(follower, 0))
    assert find_repetitions(np.array(tokens, np.int64)) == expected


def test_a_run_is_looked_at_no_farther_than_matters() -> None:
    assert find_repetitions(np.zeros(300, np.int64)) == {0: LONGEST}


def test_the_penalty_grows_with_each_token_and_spares_short_runs() -> None:
    logits = np.zeros(6)
    seen = np.array([1, 2, 3, 4, 0, 2, 3, 5, 0, 1, 2, 3])  # 1 2 3 → 4; 2 3 → 5
    assert apply_dry(logits, seen, 0.8, 2).tolist() == [0, 0, 0, 0, -0.8 * 1.75, -0.8]
    assert apply_dry(logits, seen, 0.8, 4).tolist() == [0] * 6
    assert not logits.any()


def test_what_would_go_on_repeating_is_no_longer_taken() -> None:
    logits = np.array([3.0, 2.9, 0.0])
    seen = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    greedy = TextSettings(temperature=0)
    assert distribution(logits, greedy, seen).probability.argmax() == 0
    held = TextSettings(temperature=0, dry=0.8, dry_length=2)
    assert distribution(logits, held, seen).probability.argmax() == 1
