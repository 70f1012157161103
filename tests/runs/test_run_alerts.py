"""What is told of a training, once each: NaN, divergence, spike, stall, crash, finish."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from genui.runs.alerts import Alert, Alerts, Points, is_training_loss
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.runs.series import Series

CREATED = 1_700_000_000.0
LENGTH = 4000
T = np.arange(LENGTH)
FALLING = 0.5 + 2 * np.exp(-T / 300)


class Clock:
    """Unix time and ticks that pass when told to."""

    def __init__(self) -> None:
        self.now = CREATED

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def seen(state: str = "running", error: str = "", fault: str = "", **more: Any) -> RunSummary:
    run = RunDir(Path("/runs/a"))
    info = RunInfo(id="a", name="a", recipe={}, created=CREATED)
    status = Status(state="running", step=0, heartbeat=CREATED, error=error)
    return RunSummary(run, info, status, state, 0.0, fault, **more)


def points(values: ArrayLike, first: int = 0, every: float = 1.0) -> Points:
    array = np.asarray(values, np.float64)
    steps = np.arange(first, first + len(array))
    return steps, array, (CREATED + every * steps).astype(np.float64)


def at_once() -> Alerts:
    """Alerts for which no time passes, so that nothing can stall."""
    return Alerts(lambda: CREATED, lambda: 0.0)


def told(values: ArrayLike, name: str = "loss") -> list[Alert]:
    return at_once().look(seen(), {name: points(values)})


# --- no numbers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
def test_a_number_that_is_none_is_told_with_metric_and_step(value: float, word: str) -> None:
    (alert,) = told([1.0, 2.0, value, 3.0], "grad_norm")
    assert (alert.kind, alert.step, alert.time) == ("nan", 2, CREATED + 2)
    assert alert.line == f"grad_norm is {word} at step 2"


def test_a_best_value_that_is_infinite_at_first_is_not_told() -> None:
    assert told([np.inf, np.inf, 2.5], "best_val_loss") == []
    (alert,) = told([np.inf, 2.5, np.nan], "best_val_loss")
    assert alert.line == "best_val_loss is NaN at step 2"


def test_it_is_told_once_however_often_one_looks(clock: Clock) -> None:
    alerts, values = Alerts(clock, clock), [1.0, np.nan]
    assert len(alerts.look(seen(), {"loss": points(values)})) == 1
    for _ in range(5):
        values.append(np.nan)
        assert alerts.look(seen(), {"loss": points(values)}) == []


def test_many_metrics_that_break_together_are_one_line() -> None:
    series = {f"layer{i:03}": points([1.0] * (3 + i) + [np.nan]) for i in range(500)}
    (alert,) = at_once().look(seen(), series)
    assert alert.line == (
        "layer000 is NaN at step 3, layer001 is NaN at step 4, layer002 is NaN at step 5, "
        "and 497 more metrics"
    )


def test_a_nan_in_a_part_read_later_is_found_where_the_series_grows() -> None:
    series, alerts = Series(), at_once()
    for start in range(0, 1000, 100):
        steps = np.arange(start, start + 100)
        values = np.where(steps == 640, np.nan, 1.0)
        series.extend(*points(values, first=start))
        found = alerts.look(seen(), {"loss": series.points})
        assert [alert.step for alert in found] == ([640] if start == 600 else [])


def test_after_going_back_before_it_a_nan_may_be_told_again() -> None:
    series, alerts = Series(), at_once()
    series.extend(*points([1.0] * 9 + [np.nan]))
    assert [alert.step for alert in alerts.look(seen(), {"loss": series.points})] == [9]
    series.forget_after(5)
    assert alerts.look(seen(), {"loss": series.points}) == []
    series.extend(*points([1.0, np.nan], first=6))
    assert [alert.step for alert in alerts.look(seen(), {"loss": series.points})] == [7]


def test_a_step_written_again_as_nan_is_seen() -> None:
    series, alerts = Series(), at_once()
    series.extend(*points([1.0] * 10))
    assert alerts.look(seen(), {"loss": series.points}) == []
    series.extend(*points([np.nan], first=4))
    assert [alert.step for alert in alerts.look(seen(), {"loss": series.points})] == [4]


def test_a_name_with_escape_codes_or_without_end_is_made_plain() -> None:
    (alert,) = told([np.nan], "\x1b[31m\n" + "x" * 900)
    assert alert.line.isprintable()
    assert len(alert.line) < 100


# --- divergence ----------------------------------------------------------------------


def noisy(seed: int = 0) -> dict[str, np.ndarray]:
    """Curves of trainings that go well, or at least do not diverge."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=LENGTH)
    return {
        "power law": 0.5 + 2.5 * (1 + T / 50) ** -0.3 * np.exp(0.05 * normal),
        "small batches": FALLING * np.exp(0.6 * normal),
        "heavy tails": FALLING + 0.2 * np.abs(rng.standard_cauchy(LENGTH)),
        "single spikes": FALLING + 0.02 * normal + 20 * (T % 500 < 3),
        "constant": np.ones(LENGTH),
        "zero": np.zeros(LENGTH),
        "negative": -2 + np.exp(-T / 300) + 0.3 * normal,
        "learning rate dropped": np.where(T < 2000, 1.0, 0.5) + 0.1 * normal,
        "warm restarts": 0.3
        + 2 * np.exp(-T / 200)
        + 0.4 * (1 - T % 1000 / 1000) * (T > 1000)
        + 0.05 * normal,
        "memorised, with bursts": np.maximum(2.3 * np.exp(-T / 200), 1e-6) * np.exp(0.5 * normal)
        + 1e-2 * ((T > 2500) & (T % 900 < 50)),
        "wandering": 2.0 + np.cumsum(rng.normal(0, 0.01, LENGTH)) + 0.1 * normal,
    }


JUMPS = {"heavy tails", "single spikes", "warm restarts", "memorised, with bursts"}
"""Curves that have single values far above the others."""


@pytest.mark.parametrize("name", list(noisy()))
def test_no_wolf_is_cried_over_a_training_that_goes_well(name: str) -> None:
    for seed in range(8):
        found = {alert.kind for alert in told(noisy(seed)[name])}
        assert found <= ({"spike"} if name in JUMPS else set()), seed


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_a_loss_that_blows_up_is_told_within_its_next_blocks(noise: float) -> None:
    values = FALLING + noise * np.random.default_rng(1).normal(size=LENGTH)
    values[3000:] += 4
    alert = told(values)[-1]  # the first value above the noise may be a spike
    assert alert.kind == "divergence"
    assert 3000 <= alert.step <= 3032
    assert "loss diverges since step 3,000: 4." in alert.line
    assert alert.time == CREATED + alert.step


def test_a_loss_that_climbs_slowly_is_told_when_it_lost_half_of_what_it_had_gained() -> None:
    values = FALLING + 0.05 * np.random.default_rng(1).normal(size=LENGTH)
    values[2000:] += np.linspace(0, 3, 2000)
    (alert,) = told(values)
    assert alert.kind == "divergence"
    assert 1.4 < FALLING[alert.step] + 3 * (alert.step - 2000) / 2000 < 1.8


def test_divergence_is_the_same_in_whatever_pieces_it_comes() -> None:
    values = FALLING.copy()
    values[2501:] += 4
    whole = told(values)
    assert [alert.kind for alert in whole] == ["spike", "divergence"]
    for size in (1, 7, 8, 100, 999):
        alerts, series, found = at_once(), Series(), []
        for start in range(0, LENGTH, size):
            series.extend(*points(values[start : start + size], first=start))
            found += alerts.look(seen(), {"loss": series.points})
        assert found == whole, size


@pytest.mark.parametrize("name", ["val_loss", "eval/loss", "g_loss", "loss_D", "lr", "policy_loss"])
def test_what_has_no_way_to_go_cannot_diverge(name: str) -> None:
    values = FALLING.copy()
    values[3000:] += 4
    assert told(values, name) == []


@pytest.mark.parametrize(
    "name", ["loss", "train/loss", "Train_Loss", "cross_entropy", "loss/train"]
)
def test_these_are_losses_of_a_training(name: str) -> None:
    assert is_training_loss(name)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300))
def test_no_values_whatever_raise(values: list[float]) -> None:
    found = told(values)
    assert len({alert.kind for alert in found}) == len(found)
    assert all(alert.line.isprintable() for alert in found)


# --- stall ---------------------------------------------------------------------------


def following(clock: Clock, every: float, records: int = 20) -> tuple[Alerts, Callable[..., list]]:
    """Alerts that have seen records come at that interval, and a way to look again later."""
    alerts, values = Alerts(clock, clock), []

    def look(after: float, new: int = 0, state: str = "running", **more: str) -> list[Alert]:
        clock.now += after
        values.extend([1.0] * new)
        return alerts.look(seen(state, **more), {"lr": points(values, every=every)})

    for _ in range(records):
        assert look(every, new=1) == []
    return alerts, look


def test_no_record_for_a_minute_is_a_stall_told_once(clock: Clock) -> None:
    _, look = following(clock, every=1.0)
    assert look(59) == []
    (alert,) = look(2)
    assert (alert.kind, alert.step) == ("stall", 19)
    assert alert.line == "no new record for 61 s after step 19"
    assert look(500) == []
    assert look(1, new=1) == []  # it goes on
    assert [alert.kind for alert in look(61)] == ["stall"]


def test_slow_records_are_given_ten_times_their_interval(clock: Clock) -> None:
    _, look = following(clock, every=60.0)
    assert look(590) == []
    (alert,) = look(20)
    assert alert.line == "no new record for 10 min after step 19"


def test_a_pause_for_evaluation_seen_before_is_no_stall(clock: Clock) -> None:
    alerts = Alerts(clock, clock)
    steps, values, times = points([1.0] * 40)
    times = np.where(steps >= 20, times + 300, times)  # an evaluation took five minutes
    clock.now = times[-1]
    assert alerts.look(seen(), {"lr": (steps, values, times)}) == []
    clock.now += 400
    assert alerts.look(seen(), {"lr": (steps, values, times)}) == []
    clock.now += 100
    assert [a.kind for a in alerts.look(seen(), {"lr": (steps, values, times)})] == ["stall"]


@pytest.mark.parametrize("state", ["paused", "starting", "stopped"])
def test_only_a_run_that_should_write_can_stall(clock: Clock, state: str) -> None:
    _, look = following(clock, every=1.0)
    assert [alert for alert in look(1000, state=state) if alert.kind == "stall"] == []


@pytest.mark.parametrize("state", ["paused", "stopped"])
def test_a_run_that_goes_on_has_not_stalled_in_the_pause(clock: Clock, state: str) -> None:
    _, look = following(clock, every=1.0)
    assert [alert for alert in look(3600, state=state) if alert.kind == "stall"] == []
    assert look(1) == []  # it goes on, and has no record yet
    assert [alert.kind for alert in look(61)] == ["stall"]


def test_a_stall_that_began_before_we_looked_is_told_once_all_was_read(clock: Clock) -> None:
    log = {"loss": points([1.0] * 200)}
    clock.now += 7200
    assert [a.kind for a in Alerts(clock, clock).look(seen(), log, whole=True)] == ["stall"]
    alerts = Alerts(clock, clock)
    for first in range(10, 210, 10):  # the past is still being read, newer records are to come
        part = {"loss": points([1.0] * first)}
        assert alerts.look(seen(), part) == []
        assert alerts.look(seen(), part) == []
        clock.now += 1
    clock.now += 61
    assert [a.kind for a in alerts.look(seen(), log)] == ["stall"]


def test_a_log_that_was_over_when_opened_is_not_stalled(clock: Clock) -> None:
    alerts, log = Alerts(clock, clock), {"loss": points([1.0] * 20)}
    clock.now += 10_000
    for _ in range(3):
        assert alerts.look(seen("quiet", format="csv"), log) == []
        clock.now += 1000


def test_a_log_that_was_written_to_while_we_looked_stalls(clock: Clock) -> None:
    _, look = following(clock, every=1.0)
    assert [alert.kind for alert in look(100, state="quiet", format="csv")] == ["stall"]


def test_a_clock_that_jumps_is_no_stall(clock: Clock) -> None:
    ticks = Clock()
    alerts, log = Alerts(clock, ticks), {"loss": points([1.0] * 20)}
    assert alerts.look(seen(), log) == []
    clock.now += 1e6
    ticks.now += 1
    assert alerts.look(seen(), log) == []


def test_records_without_times_never_stall(clock: Clock) -> None:
    alerts = Alerts(clock, clock)
    steps, values, times = points([1.0] * 20)
    log = {"loss": (steps, values, np.full_like(times, np.nan))}
    alerts.look(seen(), log)
    clock.now += 1e5
    assert alerts.look(seen(), log) == []


# --- the end -------------------------------------------------------------------------


def test_a_crash_says_why_and_is_told_once() -> None:
    alerts, log = at_once(), {"loss": points([1.0] * 6)}
    failed = seen("failed", error="OutOfMemoryError: 3 GiB\x1b[2J")
    (alert,) = alerts.look(failed, log)
    assert (alert.kind, alert.step, alert.time) == ("crash", 5, CREATED)
    assert alert.line == "failed at step 5: OutOfMemoryError: 3 GiB\N{REPLACEMENT CHARACTER}[2J"
    assert alerts.look(failed, log) == []


def test_a_killed_run_crashed_too() -> None:
    (alert,) = at_once().look(seen("dead"), {})
    assert (alert.kind, alert.line) == ("crash", "dead at step 0: its process is gone")


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_an_end_as_planned_is_a_finish(state: str) -> None:
    (alert,) = at_once().look(seen(state), {"loss": points([1.0] * 1501)})
    assert (alert.kind, alert.line) == ("finish", f"{state} at step 1,500")


def test_a_run_that_is_resumed_may_end_again() -> None:
    alerts = at_once()
    assert [a.kind for a in alerts.look(seen("dead"), {})] == ["crash"]
    assert alerts.look(seen("running"), {}) == []
    assert [a.kind for a in alerts.look(seen("finished"), {})] == ["finish"]


def test_what_happened_is_told_in_order() -> None:
    values = FALLING.copy()
    values[3000:] += 4
    values[3500] = np.inf
    found = at_once().look(seen("failed"), {"loss": points(values)})
    assert [alert.kind for alert in found] == ["spike", "divergence", "nan", "crash"]
