import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import GenuiError
from genui.engine.sample.logits import (
    REFUSALS,
    apply_repetition_penalty,
    distribution,
    draw_token,
    entropy,
    likeliest,
    pick,
    softmax,
    uniform,
)
from genui.protocol import TextSettings

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.125]))


def sampled(**changed: float) -> list[float]:
    settings = TextSettings(**({"temperature": 1, "top_p": 1} | changed))  # type: ignore[arg-type]
    return distribution(LOGITS, settings).probability.tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_computes_nan_is_one_line(temperature: float) -> None:
    settings = TextSettings(temperature=temperature)
    with pytest.raises(GenuiError, match="computes NaN: its training has diverged"):
        draw_token(np.array([0.5, np.nan]), settings, None, (1, 1))


def test_temperature_sharpens_and_zero_is_greedy() -> None:
    np.testing.assert_allclose(sampled(), softmax(LOGITS))
    np.testing.assert_allclose(sampled(temperature=0.5), np.array([16, 4, 1, 1]) / 22)
    assert sampled(temperature=0) == [1, 0, 0, 0]


def test_the_least_temperatures_are_greedy_and_warn_of_nothing() -> None:
    for temperature in (5e-324, 1e-300, 1e-40):
        settings = TextSettings(temperature=temperature)
        with np.errstate(all="raise"):
            found = distribution(LOGITS.astype(np.float32), settings)
        assert found.probability.tolist() == [1, 0, 0, 0]


def test_top_k_and_top_p_keep_the_likeliest() -> None:
    np.testing.assert_allclose(sampled(top_k=2), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(sampled(top_p=0.6), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(sampled(top_p=0.01), [1, 0, 0, 0])


def test_min_p_keeps_what_is_near_the_likeliest_and_always_one() -> None:
    np.testing.assert_allclose(sampled(min_p=0.4), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(sampled(min_p=0.2), softmax(LOGITS))
    np.testing.assert_allclose(sampled(min_p=1), [1, 0, 0, 0])


def test_each_dropped_token_names_the_filter_that_dropped_it() -> None:
    logits = np.log(np.array([0.02, 0.5, 0.06, 0.12, 0.3]))
    settings = TextSettings(temperature=1, top_k=4, top_p=0.9, min_p=0.3)
    found = distribution(logits, settings)
    assert [found.dropped(t) for t in range(5)] == ["top-k", "", "top-p", "min-p", ""]
    assert found.kept == 2
    np.testing.assert_allclose(found.probability, [0, 5 / 8, 0, 0, 3 / 8])


def test_a_penalty_lowers_positive_and_negative_logits_of_seen_tokens_once() -> None:
    logits = np.array([2.0, -2.0, 1.0, -1.0])
    lowered = apply_repetition_penalty(logits, np.array([0, 1, 0, 0]), 2.0)
    assert lowered.tolist() == [1.0, -4.0, 1.0, -1.0]
    assert logits.tolist() == [2.0, -2.0, 1.0, -1.0]


def test_a_penalty_changes_what_greedy_takes() -> None:
    greedy = TextSettings(temperature=0, repetition_penalty=1.5)
    logits = np.array([2.0, 1.9, 0.0])
    assert distribution(logits, greedy, np.array([2])).probability.argmax() == 0
    assert distribution(logits, greedy, np.array([0])).probability.argmax() == 1


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probability = np.array([0.6, 0.0, 0.3, 0.1])
    drawn = np.bincount([pick(probability, uniform(1, k)).token for k in range(4000)], minlength=4)
    np.testing.assert_allclose(drawn / 4000, probability, atol=0.03)
    assert drawn[1] == 0


@given(
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any),
    u=st.floats(0, 1, exclude_max=True),
)
def test_the_draw_lies_within_the_chosen_tokens_share(weights: list[int], u: float) -> None:
    probability = np.array(weights) / sum(weights)
    draw = pick(probability, u)
    assert draw.u == u
    assert draw.low - 1e-12 <= u <= draw.high + 1e-12
    assert draw.high - draw.low == pytest.approx(probability[draw.token], abs=1e-12)
    assert weights[draw.token] > 0


def test_entropy_is_in_bits_and_of_certainty_nothing() -> None:
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3)
    certain = entropy(np.array([0.0, 1.0]))
    assert certain == 0
    assert math.copysign(1, certain) == 1  # never shown as -0.00


def test_what_is_refused_is_never_drawn_and_the_rest_as_often_as_it_is_likely() -> None:
    settings = TextSettings(temperature=1, top_p=1)
    tries = [
        draw_token(LOGITS, settings, None, (1, k), lambda t: t not in (0, 3)) for k in range(4000)
    ]
    counts = np.bincount([draw.token for _, draw in tries], minlength=4) / 4000
    np.testing.assert_allclose(counts, [0, 2 / 3, 1 / 3, 0], atol=0.03)
    refusing = next(found for found, _ in tries if found.dropped(0))
    assert refusing.dropped(0) == "grammar"
    assert refusing.probability[0] == 0
    assert refusing.dropped(1) == ""


def test_greedy_takes_the_likeliest_that_is_allowed() -> None:
    found, draw = draw_token(LOGITS, TextSettings(temperature=0), None, (1, 1), lambda t: t > 1)
    assert draw.token == 2
    assert found.probability.tolist() == [0, 0, 1, 0]


def test_where_nothing_is_allowed_a_token_is_taken_all_the_same() -> None:
    asked: list[int] = []

    def never(token: int) -> bool:
        asked.append(token)
        return False

    _, draw = draw_token(np.zeros(1000), TextSettings(), None, (1, 1), never)
    assert len(asked) == len(set(asked)) == REFUSALS
    assert draw.token not in asked


@pytest.mark.parametrize("size", [5, 65, 2048, 9000])
def test_the_likeliest_are_those_of_a_stable_sort_whatever_the_vocabulary(size: int) -> None:
    rng = np.random.default_rng(size)
    for count in (1, 12, 300):
        probability = rng.random(size)
        for values in (probability, np.round(probability, 1)):  # without and with equal ones
            expected = np.argsort(-values, kind="stable")[:count]
            np.testing.assert_array_equal(likeliest(values, count), expected)


def test_a_step_has_the_random_number_of_its_key() -> None:
    for step in (0, 31, 32, 1000):
        assert uniform(7, step) == np.random.default_rng((7, step)).random()
        assert uniform(7, step, 2) == np.random.default_rng((7, step, 2)).random()
