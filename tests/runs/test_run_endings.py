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


TRACEBACK = """\
Traceback (most recent call last):
  File "/home/u/train.py", line 8, in main
KeyError: 'labels'
"""
CANCELLED = "slurmstepd: error: *** JOB 77 ON n1 CANCELLED AT 2026-01-05T10:00:00 {}***\n"
ASIDE = """\
{}
Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line 9, in __del__
AttributeError: '_MultiProcessingDataLoaderIter' object has no attribute '_workers_status'
"""


@pytest.mark.parametrize(
    "before",
    [
        "Exception ignored in: <function _MultiProcessingDataLoaderIter.__del__ at 0x7f>",
        "Exception in thread Thread-3 (_pin_memory_loop):",
        "Error in atexit._run_exitfuncs:",
    ],
)
def test_what_python_prints_at_its_exit_is_not_the_cause(before: str) -> None:
    aside = ASIDE.format(before)
    assert ending_of(TRACEBACK + aside).cause == "KeyError: 'labels'"
    memory = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert ending_of(TRACEBACK.replace("KeyError: 'labels'", memory) + aside).name == "cuda-memory"
    alone = "exception" if "thread" in before else "unknown"
    assert ending_of("training finished\n" + aside).name == alone


def test_the_cause_of_an_exception_is_looked_for_in_its_direct_causes() -> None:
    full = TRACEBACK.replace("KeyError: 'labels'", "OSError: [Errno 28] No space left on device")
    caused = "\nThe above exception was the direct cause of the following exception:\n\n"
    handled = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert ending_of(full + caused + TRACEBACK).name == "disk-full"
    assert ending_of(full + handled + TRACEBACK).name == "exception"


def test_a_job_that_went_on_was_not_ended_by_what_was_printed_before() -> None:
    preempted = CANCELLED.format("DUE TO PREEMPTION ")
    assert ending_of(preempted + "resuming from step 100\n" + TRACEBACK).name == "exception"
    assert ending_of(preempted + "srun: error: n1: task 0\n" + TRACEBACK).name == "preemption"
    assert ending_of(preempted + "step 7\n" * 99).name == "unknown"


@pytest.mark.parametrize("why", ["", "DUE TO TIME LIMIT ", "DUE to SIGNAL Terminated "])
def test_the_error_of_a_rank_is_the_cause_if_the_others_hung_until_the_job_was_ended(
    why: str,
) -> None:
    cancelled = CANCELLED.format(why)
    assert ending_of(cancelled).name in ("scancel", "time-limit")
    ranked = "".join(f"[rank3]: {line}\n" for line in TRACEBACK.splitlines())
    found = ending_of(ranked + cancelled)
    assert (found.name, found.rank, found.cause) == ("exception", 3, "KeyError: 'labels'")
    assert ending_of(TRACEBACK + cancelled).name == "exception"
    assert ending_of(cancelled + TRACEBACK).name in ("scancel", "time-limit")


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: No module named 'apex', using the native optimizer",
        "CUDA out of memory, retrying with batch 16",
        "step 3: loss is nan, skipping this batch",
    ],
)
def test_a_warning_is_no_cause_in_a_log_that_goes_on(line: str) -> None:
    assert ending_of(f"step 1\n{line}\nstep 4\nTraining finished\n").name == "unknown"


def test_no_rank_is_said_to_be_silent_first_if_all_print_to_one_file() -> None:
    warned = "".join(f"[rank{rank}]:[W105 using GPU {rank}]\n" for rank in range(4))
    waited = "".join(
        f"[rank{rank}]:[E105] [Rank {rank}] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=12, OpType=ALLREDUCE, Timeout(ms)=6) ran for 600023 milliseconds\n"
        for rank in (1, 2)
    )
    found = ending_of(warned + waited)
    assert (found.name, found.rank) == ("nccl-watchdog", None)
    assert found.cause.endswith("; ranks 0, 3 printed no error")


def test_the_ranks_of_srun_label_are_told_apart() -> None:
    first, *rest = TRACEBACK.splitlines()
    lost = "torch.distributed.DistBackendError: NCCL error in: x, remote process exited or there"
    frame = '  File "/home/u/other.py", line 2, in step'
    lines = [f"0: {first}", f"1: {first}", f"0: {frame}", *(f"1: {line}" for line in rest)]
    found = ending_of("\n".join([*lines, f"0: {lost} was a network error"]))
    assert (found.name, found.rank, found.cause) == ("exception", 1, "KeyError: 'labels'")
    assert found.frame == "/home/u/train.py:8, in main"


def test_the_inner_exception_of_a_group_is_the_cause() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "/home/u/train.py", line 8, in main\n'
        "  | ExceptionGroup: errors (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "/home/u/train.py", line 3, in load\n'
        "    | ValueError: bad row 5\n"
        "    +------------------------------------\n"
        "wandb: Find logs at: ./wandb\n"
    )
    found = ending_of(text)
    assert (found.cause, found.frame) == ("ValueError: bad row 5", "/home/u/train.py:3, in load")


def test_the_time_to_read_a_hostile_text_grows_with_its_length() -> None:
    found = ending_of(("Root Cause rank: 1 " * 45 + "\n") * 150)  # minutes, if it did not
    assert found.name == "unknown"
