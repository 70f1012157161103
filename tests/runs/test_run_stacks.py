"""Where the ranks of a run stand still: stacks as text, groups of ranks, and the signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
import run_makers
from hypothesis import given
from hypothesis import strategies as st
from run_makers import a_run
from waiting import wait_for

from genui.base.text import clean_line
from genui.runs.alerts import Alerts
from genui.runs.layout import RunDir
from genui.runs.listing import list_runs, summarise
from genui.runs.stack_groups import (
    Frame,
    RankStack,
    describe_groups,
    find_doing,
    group_stacks,
    list_groups,
    parse_stack,
)
from genui.runs.stack_signal import (
    Answerer,
    answer_requests,
    observe_process,
    stopped_ranks,
)
from genui.runs.stacks import collect_stacks, explain_standstill

LOADER = "/v/lib/python3.11/site-packages/torch/utils/data/dataloader.py"
C10D = "/v/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py"
ONE_THREAD = f"""\
Stack (most recent call first):
  File "/v/lib/python3.11/selectors.py", line 415 in select
  File "{LOADER}", line 725 in __next__
  File "/home/me/train.py", line 12 in <module>
"""
THREADS = """\
Thread 0x00007f5d2b7fe6c0 (most recent call first):
  File "/v/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007f5d34a1d740 [python] (most recent call first):
  File "/home/me/data.py", line 7 in load_batch
  File "/home/me/train.py", line ??? in <module>
"""
PY_SPY = f"""\
Process 7432: python train.py
Python v3.11.7 (/v/bin/python3.11)

Thread 7432 (idle): "MainThread"
    all_reduce ({C10D}:2500)
    train_step (/home/me/train.py:31)
Thread 7440 (idle): "heartbeat"
    wait (/v/lib/python3.11/threading.py:331)
"""


# --- the text of stacks --------------------------------------------------------------


def test_the_stack_of_the_main_thread_is_read_from_both_formats() -> None:
    assert [frame.function for frame in parse_stack(ONE_THREAD)] == [
        "select", "__next__", "<module>",
    ]  # fmt: skip
    assert parse_stack(THREADS)[0] == Frame("load_batch", "/home/me/data.py", 7)
    assert [frame.function for frame in parse_stack(PY_SPY)] == ["all_reduce", "train_step"]
    later = ONE_THREAD.replace("select\n", "poll\n")
    assert parse_stack(ONE_THREAD + later)[0].function == "poll"  # the newest in the file
    assert parse_stack("") == parse_stack("no stack\n  here") == ()


@given(st.text(), st.sampled_from([ONE_THREAD, THREADS, PY_SPY]), st.integers(0, 400))
def test_any_text_is_read_without_an_error(text: str, stack: str, cut: int) -> None:
    for frame in parse_stack(stack[:cut] + text + stack[cut:]):
        assert clean_line(frame.function) == frame.function
        assert frame.line >= 0


def test_a_stack_means_its_innermost_known_call_or_its_place_in_the_users_code() -> None:
    assert find_doing(parse_stack(ONE_THREAD)) == ("DataLoader.__next__", False)
    assert find_doing(parse_stack(PY_SPY)) == ("all_reduce", True)
    assert find_doing(parse_stack(THREADS)) == ("load_batch (data.py:7)", False)
    library = Frame("forward", "/v/lib/python3.11/site-packages/torch/nn/modules/linear.py", 134)
    own = Frame("attend", "/home/me/site/model.py", 9)
    assert find_doing([library, own]).what == "attend (model.py:9)"
    assert find_doing([library]).what == "forward (linear.py:134)"


# --- groups of ranks -----------------------------------------------------------------

WAITING, LOADING = parse_stack(PY_SPY), parse_stack(ONE_THREAD)


def test_the_rank_that_differs_stands_out() -> None:
    ranks = [RankStack(rank, LOADING if rank == 17 else WAITING, 410) for rank in range(64)]
    groups = group_stacks(ranks)
    line = "63 ranks wait in all_reduce at step 410, rank 17 is in DataLoader.__next__"
    assert describe_groups(groups) == line
    lines = list_groups(groups)
    assert lines[0] == "63 ranks wait in all_reduce at step 410"
    assert "    train_step (train.py:31)" in lines


def test_ranks_that_wait_in_the_same_call_of_other_lines_are_told_apart() -> None:
    other = (WAITING[0], WAITING[1]._replace(line=44))
    ranks = [RankStack(0, WAITING), RankStack(1, WAITING), RankStack(2, other)]
    assert describe_groups(group_stacks(ranks)) == (
        "ranks 0 and 1 wait in all_reduce of train_step (train.py:31), "
        "rank 2 waits in all_reduce of train_step (train.py:44)"
    )


def test_a_rank_without_a_stack_says_why_and_what_shows_it() -> None:
    ranks = [
        RankStack(0, WAITING, 4),
        RankStack(1, note="gone"),
        RankStack(2, note="on node2", remedy="ssh node2 genui why a"),
    ]
    groups = group_stacks(ranks)
    line = "rank 0 waits in all_reduce at step 4, rank 1 is gone, rank 2 is on node2"
    assert describe_groups(groups) == line
    assert list_groups(groups)[-1] == "    run: ssh node2 genui why a"
    assert describe_groups(group_stacks(ranks[:1])) == "the process waits in all_reduce at step 4"
    assert describe_groups([]) == ""


_FRAMES = st.lists(
    st.sampled_from([*WAITING, *LOADING, Frame("f", "a.py", 1), Frame("f", "a.py", 2)]), max_size=4
)


@given(st.lists(st.tuples(_FRAMES, st.sampled_from(["", "gone"])), max_size=20), st.randoms())
def test_every_rank_is_in_one_group_whatever_their_order(stacks: list, random: Random) -> None:
    ranks = [RankStack(rank, tuple(stack), rank, note) for rank, (stack, note) in enumerate(stacks)]
    groups = group_stacks(ranks)
    assert sorted(one.rank for group in groups for one in group.stacks) == list(range(len(ranks)))
    sizes = [len(group.stacks) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
    shuffled = list(ranks)
    random.shuffle(shuffled)
    assert group_stacks(shuffled) == groups
    assert bool(describe_groups(groups)) == bool(ranks)


# --- real processes ------------------------------------------------------------------

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")

SCRIPT = """\
import sys, time
import genui
run = genui.init(name="still")
run.log({"loss": 1.5}, step=7)
def load_batch():
    print("still", flush=True)
    sys.stdin.read()
load_batch()
"""


@pytest.fixture
def script(genui_home: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "still\n"
        yield process
        process.kill()


def test_a_system_that_tells_no_signals_is_left_alone(
    genui_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run()
    monkeypatch.setattr(Path, "read_text", lambda path, **how: "Name:\tpython\n")
    answer_requests(run)()
    assert not list(run.path.glob("stack-*"))


SEVERAL_RUNS = """\
from run_makers import a_run
from genui.runs.stack_signal import answer_requests, answerers, request_stack

def answers(run):
    return [request_stack(run, rank, one) for rank, one, _ in answerers(run)]

first, second = a_run(), a_run()
undo_first, undo_second = answer_requests(first), answer_requests(second)
assert answers(first) == answers(second) == [0]
undo_first()
assert answers(first) == []
assert all(isinstance(answer, int) for answer in answers(second))
undo_second()
for _ in range(64):  # more often than there are such signals
    answer_requests(first)()
undo = answer_requests(first)
assert answers(first)
assert all(isinstance(answer, int) for answer in answers(first))
"""


def test_each_run_of_a_process_answers_also_after_another_has_ended(genui_home: Path) -> None:
    """In a process of its own: runs that other tests have begun hold the signals of this one."""
    path = os.pathsep.join([str(Path(run_makers.__file__).parent), *filter(None, sys.path)])
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", SEVERAL_RUNS], env=env, capture_output=True)
    assert not done.returncode, done.stderr.decode()


def test_a_script_says_where_it_is_and_goes_on(script: subprocess.Popen[str]) -> None:
    (summary,) = list_runs()
    for _ in range(2):
        (stack,) = collect_stacks(summary)
        assert (stack.rank, stack.step, stack.note) == (0, 7, "")
        assert stack.frames[0].function == "load_batch"
    assert explain_standstill(summary) == "the process is in load_batch (<string>:7) at step 7"
    for path in summary.run.path.glob("stack-*"):
        assert path.stat().st_mode & 0o777 == 0o600
    script.communicate("")
    assert script.returncode == 0
    assert not list(summary.run.path.glob("stack-*.json"))  # nobody is asked any more
    assert collect_stacks(summarise(summary.run)) == []


def test_a_stopped_process_is_told_and_not_asked(script: subprocess.Popen[str]) -> None:
    (summary,) = list_runs()
    alerts = Alerts()
    assert alerts.look(summary, {}) == []
    script.send_signal(signal.SIGSTOP)
    wait_for(lambda: stopped_ranks(summary.run))
    line = f"rank 0 is stopped (SIGSTOP): kill -CONT {script.pid} continues it"
    (alert,) = alerts.look(summary, {})
    assert (alert.kind, alert.line) == ("stall", line)
    assert alerts.look(summary, {}) == []  # once
    assert explain_standstill(summary) == "the process is stopped (SIGSTOP) at step 7"
    assert collect_stacks(summary)[0].remedy == f"kill -CONT {script.pid}"
    script.send_signal(signal.SIGCONT)
    wait_for(lambda: not stopped_ranks(summary.run))
    assert collect_stacks(summary)[0].frames


SILENT = """\
import signal, sys
signal.signal(int(sys.argv[1]), lambda *_: None)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_rank_that_does_not_answer_hides_no_other(script: subprocess.Popen[str]) -> None:
    (summary,) = list_runs()
    for kind in ("json", "txt"):  # the script becomes rank 1
        file = summary.run.path / f"stack-rank0.{kind}"
        file.rename(file.with_name(f"stack-rank1.{kind}"))
    record = msgspec.json.decode(
        (summary.run.path / "stack-rank1.json").read_bytes(), type=Answerer
    )
    command = [sys.executable, "-c", SILENT, str(record.signal)]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        seen = observe_process(other.pid)
        assert seen is not None
        silent = msgspec.structs.replace(record, pid=other.pid, started=seen.started)
        (summary.run.path / "stack-rank0.json").write_bytes(msgspec.json.encode(silent))
        (summary.run.path / "stack-rank0.txt").touch()
        first, second = collect_stacks(summary)
        other.communicate("")
    assert (first.rank, first.note) == (0, "not answering")
    assert second.frames[0].function == "load_batch"


@pytest.mark.parametrize("lie", ["started", "pid", "signal", "program"])
def test_no_process_gets_a_signal_for_which_its_record_is_not_true(
    script: subprocess.Popen[str], lie: str
) -> None:
    """The other process would die of it."""
    (summary,) = list_runs()
    path = summary.run.path / "stack-rank0.json"
    record = msgspec.json.decode(path.read_bytes(), type=Answerer)
    with subprocess.Popen(["sleep", "60"]) as other:
        seen = observe_process(other.pid)
        assert seen is not None
        changes = {
            "started": {"pid": other.pid, "started": seen.started + 1},
            "pid": {"pid": 2**22 + 1},
            "signal": {"pid": other.pid, "started": seen.started, "signal": signal.SIGTERM},
            "program": {"pid": other.pid, "started": seen.started},  # it has no handler
        }[lie]
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **changes)))
        if lie != "signal":  # a record with another signal is none
            (stack,) = collect_stacks(summary)
            assert stack.note == ("gone" if lie != "program" else "running another program")
        else:
            collect_stacks(summary)
        assert other.poll() is None
        other.kill()


def test_a_rank_on_another_host_has_a_command_that_shows_it(genui_home: Path) -> None:
    run: RunDir = a_run()
    record = Answerer(os.getpid(), 1.0, signal.SIGRTMAX - 3, "node2")
    (run.path / "stack-rank3.json").write_bytes(msgspec.json.encode(record))
    (stack,) = collect_stacks(summarise(run))
    assert (stack.rank, stack.note) == (3, "on node2")
    assert stack.remedy == f"ssh node2 genui why {run.id}"
    (run.path / "stack-rank3.txt").write_text(ONE_THREAD)  # the command was run there
    (stack,) = collect_stacks(summarise(run))
    assert explain_standstill(summarise(run)) == "the process is in DataLoader.__next__"
