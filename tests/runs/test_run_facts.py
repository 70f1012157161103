"""What is said of a run, the same in the shell and in the app."""

from typing import Any

import pytest

from genui.runs import facts
from genui.runs.layout import RunInfo, Status


@pytest.mark.parametrize(
    ("step", "steps", "text", "share"),
    [
        (0, 0, "0", ""),
        (1240, 0, "1,240", ""),
        (0, 4000, "0/4,000", "0 %"),
        (7, 40, "7/40", "18 %"),
        (1999, 2000, "1,999/2,000", "99 %"),
        (2000, 2000, "2,000/2,000", "100 %"),
        (2001, 2000, "2,001/2,000", "100 %"),
    ],
)
def test_the_progress_is_whole_only_at_the_end(
    step: int, steps: int, text: str, share: str
) -> None:
    assert (facts.count_steps(step, steps), facts.percent(step, steps)) == (text, share)
    assert facts.count_steps(step, steps, " of ") == text.replace("/", " of ")


def test_what_is_not_known_is_not_said() -> None:
    nothing = Status(state="running")
    assert (facts.speed(nothing), facts.share_of_peak(nothing)) == ("", "")
    assert (facts.figure(None), facts.time_left(-1.0)) == ("", "")
    known = Status(state="running", units_per_s=5800, unit="tok/s", mfu=0.414)
    assert facts.speed(known) == "5.8k tok/s"
    assert facts.share_of_peak(known, "peak FLOP/s") == "41 % of peak FLOP/s"
    assert (facts.figure(1.6041), facts.time_left(240)) == ("1.604", "~4 min")


@pytest.mark.parametrize(
    ("recipe", "fields", "text"),
    [
        (
            {"family": "transformer", "medium": "text", "dataset": "shakespeare"},
            {},
            "text transformer on shakespeare",
        ),
        ({"base": "models/llama"}, {"data": "notes.txt"}, "llama fine-tuned on notes.txt"),
        ({}, {}, "a script's run"),
        ({}, {"project": "digits"}, "a script's run, project digits"),
    ],
)
def test_a_training_is_told_in_one_line(
    recipe: dict[str, str], fields: dict[str, Any], text: str
) -> None:
    info = RunInfo(id="plays", name="plays", recipe=recipe, **fields)
    assert facts.summarise_training(info) == text


def test_a_machine_is_told_by_the_fields_that_were_recorded() -> None:
    one = {"device": "cpu", "precision": "fp32", "threads": 1}
    assert facts.summarise_machine(one, "node1") == "cpu, fp32, 1 thread on node1"
    several = {"device": "cuda", "processes": 3, "hosts": ["a", "a", "b"], "shard": True}
    assert facts.summarise_machine(several, "c") == "cuda, 3 processes, weights shared out on a, b"
    assert facts.summarise_machine({"threads": "many", "hosts": 3}) == ""
    assert facts.summarise_machine({}, "node1") == "node1"  # of a script
