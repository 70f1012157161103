"""What a training spends its time on besides its steps."""

import numpy as np
import pytest

from genui.runs import facts
from genui.runs.layout import Status
from genui.runs.series import Series
from genui.runs.waste import find_waste

STEPS = np.arange(40)
IDLE = Status(state="running")


def series(*values: float) -> Series:
    """40 points that repeat the values."""
    made = Series()
    made.extend(STEPS, np.resize(np.array(values), len(STEPS)), STEPS.astype(float))
    return made


def test_the_time_of_a_run_is_told_by_its_parts() -> None:
    spent = {"steps": 80.0, "data": 0.1, "evaluation": 5.0, "checkpoint": 14.9}
    status = Status(state="running", spent=spent)
    assert facts.time_spent(status) == "80 % steps, 15 % checkpoint, 5 % evaluation"
    (waste,) = find_waste(status, {}, {})
    assert waste.text == "checkpoints take 15 % of the time"
    assert "checkpoint_every" in waste.remedy
    assert facts.time_spent(IDLE) == ""
    short = Status(state="running", spent={"steps": 0.2, "data": 0.4})
    assert find_waste(short, {}, {}) == []
    assert find_waste(IDLE, {}, {}) == []


def test_a_gpu_that_is_held_and_idle_is_named_with_the_share_of_the_time() -> None:
    busy, held = series(0, 0, 98, 0), series(0, 12.25, 12.25, 12.25)
    (waste,) = find_waste(IDLE, {}, {"gpu1 %": busy, "gpu1 memory GB": held})
    assert waste.text == "GPU 1 holds up to 12.2 GB and is less than 5 % busy in 50 % of the time"
    for load in (
        {"gpu1 %": busy, "gpu1 memory GB": series(12.25)},  # perhaps another program holds it
        {"gpu1 %": busy, "gpu1 memory GB": series(0.1)},  # nobody holds it
        {"gpu1 %": series(60, 98, 4), "gpu1 memory GB": series(0.1, 20, 0.2)},
        {"gpu1 %": busy, "cpu cores": series(0)},
    ):
        assert find_waste(IDLE, {}, load) == []


@pytest.mark.parametrize(
    ("data", "step"),
    [("Data", "Time"), ("train/data_time", "train/time"), ("data", "Time"), ("data", "seconds")],
)
def test_a_starved_data_loader_of_another_tool_is_named(data: str, step: str) -> None:
    (waste,) = find_waste(IDLE, {data: series(0.3, 0.5), step: series(1.0)}, {})
    assert waste.text == "waiting for the data loader takes 40 % of the time"
    assert find_waste(IDLE, {data: series(0.01), step: series(1.0)}, {}) == []
    assert find_waste(IDLE, {data: series(400), step: series(1.0)}, {}) == []  # not seconds


def test_the_largest_share_is_first() -> None:
    status = Status(state="running", spent={"steps": 40.0, "sample": 25.0, "evaluation": 35.0})
    assert [waste.share for waste in find_waste(status, {}, {})] == [0.35, 0.25]
