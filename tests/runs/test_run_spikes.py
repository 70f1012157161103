"""Spikes of a training loss: what is one, and what is noise."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from genui.runs.spikes import LEAST, LIMIT, MAD_TO_SIGMA, WINDOW, Spike, SpikeFinder

STEPS = 10_000

Noise = Callable[[np.random.Generator, int], np.ndarray]


def correlated(rng: np.random.Generator, count: int) -> np.ndarray:
    noise = rng.normal(size=count)
    for at in range(1, count):
        noise[at] += 0.8 * noise[at - 1]
    return noise


NOISES: dict[str, Noise] = {
    "normal": lambda rng, count: rng.normal(size=count),
    "heavier tails": lambda rng, count: rng.standard_t(30, count),
    "correlated": correlated,
    "slow change": lambda rng, count: rng.normal(size=count) + np.linspace(0, 50, count),
}


def find(logarithms: np.ndarray) -> list[tuple[int, Spike]]:
    finder = SpikeFinder()
    values = np.exp(logarithms).tolist()
    return [(at, spike) for at, one in enumerate(values) if (spike := finder.add(one))]


@pytest.mark.parametrize("name", list(NOISES))
def test_ten_thousand_steps_of_noise_raise_no_alarm(name: str) -> None:
    for seed in range(3):
        noise = NOISES[name](np.random.default_rng(seed), STEPS)
        falling = 1 + 2 * np.exp(-np.arange(STEPS) / 500)
        assert find(falling + 0.1 * noise) == [], seed


@pytest.mark.parametrize("name", list(NOISES))
def test_jumps_of_eight_deviations_are_found(name: str) -> None:
    rng, found = np.random.default_rng(0), 0
    for _ in range(200):
        loss = 0.1 * NOISES[name](rng, 4 * WINDOW)
        before = loss[2 * WINDOW : 3 * WINDOW]
        deviation = MAD_TO_SIGMA * np.median(np.abs(before - np.median(before)))
        loss[3 * WINDOW] = np.median(before) + 8 * deviation
        found += any(at == 3 * WINDOW for at, _ in find(loss))
    assert found >= 190


def test_a_spike_is_described_and_the_next_comes_only_after_a_window() -> None:
    loss = 0.05 * np.random.default_rng(0).normal(size=1000)
    loss[[300, 301, 350, 500]] += 2
    first, second = find(loss)
    assert (first[0], second[0]) == (300, 500)
    assert first[1].value == pytest.approx(math.exp(loss[300]))
    assert first[1].median == pytest.approx(1, abs=0.05)
    assert first[1].deviations == pytest.approx(2 / 0.05, rel=0.4)


@pytest.mark.parametrize(("rise", "count"), [(0.5 * LIMIT * LEAST, 0), (2 * LIMIT * LEAST, 1)])
def test_a_loss_that_does_not_change_needs_a_rise_of_some_per_cent(rise: float, count: int) -> None:
    loss = np.zeros(500)
    loss[400] = rise
    assert len(find(loss)) == count


def test_the_first_values_and_values_without_a_logarithm_are_left_out() -> None:
    loss = np.zeros(WINDOW)
    loss[-1] = 5
    assert find(loss) == []
    finder = SpikeFinder()
    assert not any(finder.add(value) for value in [math.nan, math.inf, 0.0, -1.0] * WINDOW)
