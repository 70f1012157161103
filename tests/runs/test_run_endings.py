"""Why a training has ended: the table of signatures, with real texts, and the choice among them."""

from pathlib import Path

import pytest
from ending_texts import CASES, Case

from genui.protocol.manual import read_page
from genui.runs.endings import SIGNATURES, Ending, Output, decide


def ending_of(text: str, code: int | None = None) -> Ending:
    return decide([Output("train.log", tuple(text.splitlines()))], code)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.source}")
def test_a_real_text_gives_its_ending(case: Case) -> None:
    found = ending_of(case.text, case.code)
    assert (found.name, found.rank) == (case.name, case.rank)
    assert case.cause in found.cause
    assert "{" not in found.cause


def test_every_signature_has_a_real_text_and_is_in_the_manual() -> None:
    names = {row.name for row in SIGNATURES}
    assert names <= {case.name for case in CASES}
    page = read_page("why")
    assert not [name for name in names if f"`{name}`" not in page]


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("TIMEOUT", "time-limit"),
        ("PREEMPTED", "preemption"),
        ("CANCELLED", "scancel"),
        ("NODE_FAIL", "node-failure"),
        ("OUT_OF_MEMORY", "kernel-oom"),
    ],
)
def test_slurm_knows_who_sent_the_signal(state: str, name: str) -> None:
    for code in (-9, -15):
        assert ending_of("step 7", code).name in ("sigkill", "sigterm")
        assert ending_of(f"JobState={state} ExitCode=0:{-code}", code).name == name


def test_an_error_that_was_caught_earlier_is_not_the_cause() -> None:
    text = (
        "OSError: [Errno 28] No space left on device: the cache is not used\n"
        "Traceback (most recent call last):\n"
        '  File "/home/u/train.py", line 9, in step\n'
        "KeyError: 'labels'\n"
    )
    assert ending_of(text).name == "exception"
    assert ending_of(text, -9).name == "sigkill"


def test_the_frame_is_the_last_one_of_the_users_own_files() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/home/u/train.py", line 9, in step\n'
        "    loss = model(batch)\n"
        '  File "/venv/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1, in call\n'
        "RuntimeError: shapes cannot be multiplied\n"
    )
    found = ending_of(text)
    assert (found.cause, found.frame) == (
        "RuntimeError: shapes cannot be multiplied",
        "/home/u/train.py:9, in step",
    )


def test_a_healthy_log_has_no_cause() -> None:
    """Not even one that has gone on after an exception."""
    went_on = "Traceback (most recent call last):\nValueError: bad row 5\n" + "step 7\n" * 99
    assert ending_of(went_on).name == "unknown"
    assert ending_of("[Errno 28] No space left on device\n" + "step 7\n" * 99).name == "unknown"
    logs = [*Path(__file__).parent.glob("printed*/*.txt")]
    assert len(logs) > 100
    for log in logs:
        assert ending_of(log.read_text("utf-8", "replace")).name == "unknown", log


def test_the_signals_by_which_torchrun_ends_the_other_ranks_are_no_cause() -> None:
    text = (
        "[rank1]: Traceback (most recent call last):\n"
        '[rank1]:   File "/home/u/train.py", line 9, in step\n'
        "[rank1]: KeyError: 'labels'\n"
        "Failures:\n[1]:\n  rank      : 0 (local_rank: 0)\n  exitcode  : -9 (pid: 8576)\n"
        "Root Cause (first observed failure):\n[0]:\n  rank      : 1 (local_rank: 1)\n"
        "  exitcode  : 1 (pid: 8577)\n"
    )
    found = ending_of(text)
    assert (found.name, found.rank, found.cause) == ("exception", 1, "KeyError: 'labels'")
