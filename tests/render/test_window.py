import numpy as np

from genui.render.plot import Trace
from genui.render.window import Window, window


def series(count: int, top: float = 4.2) -> list[Trace]:
    steps = np.arange(1, count + 1)
    return [Trace("loss", steps, 1 + (top - 1) * np.exp(-steps / 200))]


def test_a_first_window_holds_everything_between_round_values() -> None:
    assert window(series(1000), False) == Window(1.0, 1000.0, 1.0, 4.5)


def test_a_window_moves_in_leaps_while_a_run_grows() -> None:
    seen: list[Window] = []
    at = None
    for count in range(1000, 2000):
        at = window(series(count), False, at)
        assert at.end >= count
        if at not in seen:
            seen.append(at)
    assert len(seen) < 20


def test_a_window_opens_for_a_spike_and_closes_when_the_run_is_another() -> None:
    calm = window(series(1000), False)
    spiked = window(series(1000, top=400), False, calm)
    assert spiked.high >= 396
    assert window(series(1000), False, spiked) == calm


def test_a_shorter_series_gets_a_window_of_its_own() -> None:
    assert window(series(100), False, window(series(1000), False)).end == 100
