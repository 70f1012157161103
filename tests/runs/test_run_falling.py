"""A generator that collapses is told of, once; one that never had anything to lose is not."""

from pathlib import Path

import numpy as np
import pytest

from genui.runs.alerts import Alert, Alerts, Points
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary

CREATED = 1_700_000_000.0
HEALTHY = [0.0, 0.4, 0.7, 0.8, 0.85]


def summary() -> RunSummary:
    info = RunInfo(id="a", name="a", recipe={}, created=CREATED)
    status = Status(state="running", step=0, heartbeat=CREATED)
    return RunSummary(RunDir(Path("/runs/a")), info, status, "running", 0.0, "")


def points(values: list[float]) -> Points:
    steps = 250 * np.arange(len(values), dtype=np.int64)
    return steps, np.array(values), CREATED + steps.astype(np.float64)


def told(values: list[float], name: str = "coverage") -> list[Alert]:
    alerts = Alerts(lambda: CREATED, lambda: 0.0)
    return alerts.look(summary(), {name: points(values)})


def test_coverage_that_halves_twice_in_a_row_is_a_collapse() -> None:
    (alert,) = told([*HEALTHY, 0.3, 0.1, 0.05])
    assert (alert.kind, alert.step) == ("collapse", 1500)
    assert alert.line == "coverage has collapsed since step 1,250: 0.1, was 0.85"


@pytest.mark.parametrize(
    "values",
    [
        HEALTHY,
        [*HEALTHY, 0.3, 0.8, 0.3, 0.8],  # one low value is chance
        [0.05, 0.06, 0.01, 0.01, 0.0],  # it never had any
        [*HEALTHY, 0.5, 0.45, 0.44],  # less, but not half of it gone
        [*HEALTHY, float("nan"), 0.3, 0.9],
    ],
)
def test_what_is_no_collapse_is_not_told(values: list[float]) -> None:
    assert not [alert for alert in told(values) if alert.kind == "collapse"]


def test_other_metrics_may_fall() -> None:
    assert told([*HEALTHY, 0.1, 0.1], "real_score_spread") == []
    assert [alert.kind for alert in told([*HEALTHY, 0.1, 0.1], "eval/variety")] == ["collapse"]


def test_after_going_back_before_it_a_collapse_may_be_told_again() -> None:
    alerts = Alerts(lambda: CREATED, lambda: 0.0)
    for values, kinds in (
        ([*HEALTHY, 0.1, 0.1], ["collapse"]),
        (HEALTHY[:4], []),
        ([*HEALTHY, 0.1, 0.1], ["collapse"]),
    ):
        found = alerts.look(summary(), {"coverage": points(values)})
        assert [alert.kind for alert in found] == kinds


def test_it_is_told_once_and_again_only_after_a_recovery() -> None:
    alerts = Alerts(lambda: CREATED, lambda: 0.0)
    values = [*HEALTHY, 0.1, 0.1]
    kinds = []
    for more in ([], [0.1], [0.1], [0.8], [0.1], [0.1]):
        values += more
        kinds.append([a.kind for a in alerts.look(summary(), {"coverage": points(values)})])
    assert kinds == [["collapse"], [], [], [], [], ["collapse"]]
