import numpy as np
import pytest

from genui.render.smooth import Smoother


def by_hand(values: np.ndarray, factor: float) -> np.ndarray:
    average = weight = 0.0
    out = []
    for value in values:
        if np.isfinite(value):
            average = factor * average + (1 - factor) * value
            weight = factor * weight + 1 - factor
        out.append(average / weight if weight else np.nan)
    return np.array(out)


@pytest.mark.parametrize("factor", [0.5, 0.97, 0.999])
def test_it_is_the_moving_average_without_bias(factor: float) -> None:
    values = np.random.default_rng(0).normal(size=1000)
    values[[0, 10, 11]] = np.nan, np.inf, np.nan
    assert Smoother(factor).extend(values) == pytest.approx(by_hand(values, factor), nan_ok=True)


def test_growing_gives_the_same_as_at_once() -> None:
    values = np.random.default_rng(0).normal(size=700)
    smoother = Smoother(0.9)
    for end in (1, 130, 130, 500, 700):
        grown = smoother.extend(values[:end])
    assert grown == pytest.approx(Smoother(0.9).extend(values))


def test_a_changed_past_is_averaged_anew() -> None:
    smoother = Smoother(0.9)
    smoother.extend(np.ones(300))
    other = np.random.default_rng(0).normal(size=200)
    assert smoother.extend(other) == pytest.approx(by_hand(other, 0.9))
