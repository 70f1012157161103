"""Which series are smoothed: those that are noisy, and no others."""

import numpy as np
import pytest

from genui.ui.training.model import is_noisy

STEPS = np.arange(5_000, dtype=float)
NOISE = np.random.default_rng(1).normal(size=5_000)


@pytest.mark.parametrize("size", [1e-12, 0.01, 1.0, 1e12])
def test_noise_of_any_size_on_a_falling_loss_is_noise(size: float) -> None:
    assert is_noisy(size * (4 * np.exp(-STEPS / 5e5) + NOISE))


def test_what_changes_steadily_is_not_noisy() -> None:
    schedule = np.minimum(STEPS / 100, 1) * (1 - STEPS / 5_000)
    for values in (schedule, STEPS, np.full(5_000, 3e-4), np.exp(-STEPS / 100), STEPS[:1]):
        assert not is_noisy(values)


def test_values_that_are_not_finite_say_nothing() -> None:
    values = NOISE.copy()
    values[::7] = np.nan
    assert is_noisy(values)
    assert not is_noisy(np.full(100, np.nan))
