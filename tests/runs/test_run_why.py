"""Why runs have ended: endings that are made to happen, and what is said of them."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_for

from genui.cli.main import main
from genui.recipes import find_recipe
from genui.runs import facts, launch, why
from genui.runs.endings import Ending
from genui.runs.layout import RunDir, is_locked, read_status, write_status
from genui.runs.listing import summarise
from genui.runs.processes import Exit, read_exit

HEAD = """\
import sys
from pathlib import Path
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
run = RunDir(Path(sys.argv[1]))
def main(writer):
{body}
with RunWriter(run) as writer:
    writer.update(state="running", step=7)
    print("step 7", flush=True)
    main(writer)
"""

End = Callable[..., RunDir]


@pytest.fixture
def end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> End:
    """Launch a trainer whose script does this at step 7, and wait for its end."""
    script = tmp_path / "train.py"

    def foreground(run: RunDir) -> list[str]:
        return [sys.executable, str(script), str(run.path)]

    monkeypatch.setattr(launch, "foreground", foreground)

    def launch_and_wait(body: str, ready: Callable[[RunDir], None] | None = None) -> RunDir:
        script.write_text(HEAD.format(body=textwrap.indent(textwrap.dedent(body), "    ")))
        run = launch.launch(find_recipe("shakespeare"), {})
        if ready is not None:
            wait_for(lambda: run.console.exists() and "step 7" in run.console.read_text())
            ready(run)
        wait_for(lambda: not is_locked(run))
        return run

    return launch_and_wait


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "genui-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def ending_of(run: RunDir) -> Ending:
    summary = summarise(run)
    return why.find_ending(run, summary.info, summary.status, summary.state, ask=True)


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_{}, ({}, {}))\n"


@pytest.mark.parametrize(
    ("body", "name", "cause"),
    [
        ("import os; os.kill(os.getpid(), 9)", "sigkill", "who sent it is not known"),
        ("import os; os.kill(os.getpid(), 15)", "sigterm", "who sent it is not known"),
        ("import os; os.kill(os.getpid(), 1)", "hangup", "SIGHUP"),
        ("import ctypes; ctypes.string_at(0)", "segfault", "segmentation fault"),
        ("import os; os.abort()", "abort", "abort()"),
        ("import signal; signal.raise_signal(2)", "ctrl-c", "Ctrl-C"),
        (
            LIMIT.format("AS", 1 << 31, 1 << 31) + "print(len(bytearray(1 << 33)))",
            "memory",
            "the memory was full",
        ),
        (
            LIMIT.format("FSIZE", 4096, 4096) + "open(sys.argv[1] + '/x', 'wb').write(b'x' * 9999)",
            "exception",
            "OSError: [Errno 27] File too large",
        ),
        (
            LIMIT.format("NOFILE", 64, 64) + "[open('/dev/null') for _ in range(99)]",
            "exception",
            "OSError: [Errno 24] Too many open files",
        ),
        ("import flash_attn", "import", "No module named 'flash_attn'"),
        ("import json; json.loads('{')", "exception", "JSONDecodeError: Expecting property"),
        ("batch = {}; batch['labels']", "exception", "KeyError: 'labels'"),
    ],
)
def test_an_ending_is_named_with_its_evidence(
    end: End, body: str, name: str, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = end(body)
    ending = ending_of(run)
    assert (ending.name, ending.rank) == (name, None)
    assert cause in ending.cause
    assert ending.remedy
    shown = dict(ending.evidence)
    assert shown["exit status"].startswith(str(read_exit(run).code))  # pyright: ignore
    if name in ("exception", "import"):
        assert "train.py:" in ending.frame
        assert "in main" in ending.frame or "listcomp" in ending.frame
    assert main(["why", run.id]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cause  ")
    assert f"  {ending.cause}\n" in out
    line = facts.describe_cause(summarise(run)) or summarise(run).error
    assert ending.cause in line


def test_a_full_disk_is_named_and_what_torch_says_of_it_too(end: End, small_disk: Path) -> None:
    path = str(small_disk / "x")
    assert ending_of(end(f"open({path!r}, 'wb').write(b'x' * (2 << 20))")).name == "disk-full"
    said = "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"
    log = small_disk / "train.log"
    (small_disk / "x").unlink()
    log.write_text(f"RuntimeError: {said}\n")
    full = why.find_ending_of(log)
    assert full.name == "disk-full"
    assert dict(full.evidence)["free space"].endswith("B")
    elsewhere = small_disk.with_name("train.log")
    elsewhere.write_text(f"RuntimeError: {said}\n")
    assert why.find_ending_of(elsewhere).name == "unknown"


def test_a_command_and_a_signal_from_elsewhere_are_told_apart(end: End) -> None:
    run = end("writer.update(state='stopped')")
    assert ending_of(run).name == "stopped"
    assert facts.describe_cause(summarise(run)) == ""
    run = end(
        "from genui.runs import control\n"
        "control.record_signal(run, 15)\n"
        "control.record(run, 7, 'stop', 'stopped')\n"
        "writer.update(state='stopped')"
    )
    assert ending_of(run).name == "sigterm"
    assert "who sent it is not known" in facts.describe_cause(summarise(run))


def test_a_signal_before_the_last_start_is_not_why_a_run_was_stopped(end: End) -> None:
    run = end(
        "from genui.runs import control\n"
        "control.record_signal(run, 15)\n"
        "import time\n"
        "writer.update(state='stopped', started=time.time() + 3600)"
    )
    assert ending_of(run).name == "stopped"


def test_what_slurm_writes_later_is_seen_in_the_list_of_runs(end: End) -> None:
    run = end("import os; os.kill(os.getpid(), 9)")
    run.exit.unlink()
    recalled = why.recall_ending(run, "dead")
    assert recalled is not None
    assert recalled.name == "unknown"
    line = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0\n"
    (run.path / why.slurm.LOG).write_text(line)
    recalled = why.recall_ending(run, "dead")
    assert recalled is not None
    assert recalled.name == "kernel-oom"


def test_the_kernel_is_blamed_only_if_it_has_counted(end: End) -> None:
    run = end("import os; os.kill(os.getpid(), 9)")
    assert ending_of(run).name == "sigkill"
    run.exit.write_text('{"code": 137, "oom_kills": 1}')
    ending = ending_of(run)
    assert ending.name == "kernel-oom"
    assert dict(ending.evidence)["cgroup"] == "oom_kill 1"


def test_an_earlier_end_of_a_run_is_not_the_cause_of_a_later_one(end: End) -> None:
    run = end("raise KeyError('labels')")
    assert ending_of(run).name == "exception"
    launch.resume(run)
    script = Path(launch.foreground(run)[1])
    wait_for(lambda: not is_locked(run))
    script.write_text(HEAD.format(body="    import os; os.kill(os.getpid(), 9)"))
    launch.resume(run)
    wait_for(lambda: not is_locked(run))
    assert ending_of(run).name == "sigkill"
    assert run.console.read_text().count("KeyError") >= 2


def test_a_run_that_trains_or_has_finished_has_no_cause(end: End) -> None:
    run = end("writer.update(state='finished')")
    assert ending_of(run).name == "finished"
    assert read_exit(run) == Exit(0)
    write_status(run, read_status(run))
    assert summarise(run).ending is None


def test_the_shell_that_waits_outlives_signals_to_its_group(end: End) -> None:
    def kill_group(run: RunDir) -> None:
        os.killpg(os.getsid(read_status(run).pid), signal.SIGTERM)

    run = end("import time; time.sleep(60)", kill_group)
    assert read_exit(run) == Exit(128 + 15)
    assert ending_of(run).name == "sigterm"


# --- What other tools have printed ------------------------------------------------------------


def test_the_ranks_of_a_folder_are_told_by_their_names(tmp_path: Path) -> None:
    lost = (
        "RuntimeError: [gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1. "
        "This is typically caused by a remote worker crashing"
    )
    for rank, text in enumerate((lost, "KeyError: 'labels'", lost)):
        folder = tmp_path / "none_x" / "attempt_0" / str(rank)
        folder.mkdir(parents=True)
        log = folder / "stderr.log"
        frame = '  File "/home/u/train.py", line 9, in step\n'
        log.write_text(f"Traceback (most recent call last):\n{frame}{text}\n")
        os.utime(log, (1000 + rank, 1000 + rank))  # rank 0 was the first to end
    found = why.find_ending_of(tmp_path)
    assert (found.name, found.rank) == ("exception", 1)
    assert found.cause == "KeyError: 'labels'"
    assert found.frame == "/home/u/train.py:9, in step"
    assert any(name.endswith("2/stderr.log") for name, _ in found.evidence)


def test_a_rank_that_left_early_without_an_error_is_named(tmp_path: Path) -> None:
    (tmp_path / "rank0.log").write_text("step 7\n[gloo/pair.cc:553] Connection closed by peer\n")
    (tmp_path / "rank1.log").write_text("step 7\ndone\n")
    os.utime(tmp_path / "rank1.log", (1000, 1000))
    found = why.find_ending_of(tmp_path)
    assert (found.name, found.rank) == ("lost-connection", 1)
    assert "rank 1 was silent first" in found.cause


def test_after_a_timeout_of_gloo_nobody_is_named_if_all_have_an_error(tmp_path: Path) -> None:
    texts = ("Timed out waiting 6000ms for recv operation to complete", "Connection closed by peer")
    for rank, text in enumerate(texts):
        (tmp_path / f"rank{rank}.log").write_text(f"[gloo/transport/tcp/pair.cc:1] {text}\n")
        os.utime(tmp_path / f"rank{rank}.log", (1000 + rank, 1000 + rank))
    found = why.find_ending_of(tmp_path)
    assert (found.name, found.rank) == ("lost-connection", None)


def test_one_file_of_all_ranks_is_read_as_several(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(
        "[rank0]: Traceback (most recent call last):\n"
        "[rank1]: Traceback (most recent call last):\n"
        '[rank0]:   File "/home/u/train.py", line 5, in <module>\n'
        '[rank1]:   File "/home/u/train.py", line 8, in <module>\n'
        "[rank1]: ValueError: bad row 5\n"
        "[rank0]: RuntimeError: [gloo/transport/tcp/pair.cc:553] Connection closed by peer\n"
    )
    found = why.find_ending_of(log)
    assert (found.name, found.rank, found.cause) == ("exception", 1, "ValueError: bad row 5")
    assert found.frame.endswith("train.py:8, in <module>")


def test_a_log_with_carriage_returns_is_read(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    frame = '  File "/home/u/train.py", line 5, in main'
    lines = ("1 %\r 99 %\r", "Traceback (most recent call last):", frame, "KeyError: 1", "")
    log.write_bytes("\r\n".join(lines).encode())
    found = why.find_ending_of(log)
    assert (found.name, found.frame) == ("exception", "/home/u/train.py:5, in main")
    assert ("train.log", "KeyError: 1") in found.evidence


def test_a_task_of_a_job_array_is_asked_for_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(why.slurm, "describe_end", lambda job: asked.append(job) or "")
    (tmp_path / "slurm-123_4.out").write_text("step 7\n")
    why.find_ending_of(tmp_path / "slurm-123_4.out")
    assert asked == ["123_4"]


def test_the_name_of_a_file_does_not_reach_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\x1b]0;x\x07.log").write_text("step 1\n")
    assert main(["why", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_log_that_has_just_grown_may_still_run(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 7\n")
    assert "perhaps it still runs" in why.find_ending_of(log).cause
    os.utime(log, (1000, 1000))
    assert "its last lines name no error" in why.find_ending_of(log).cause


def test_an_empty_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.log").write_text("")
    assert main(["why", str(tmp_path / "train.log")]) == 2
    assert "is empty, or cannot be read" in capsys.readouterr().err


def test_a_folder_without_printed_lines_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["why", str(tmp_path / "empty")]) == 2
    assert "has no file of printed lines" in capsys.readouterr().err


# --- With torch: seconds for each process -----------------------------------------------------

long = pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="imports torch: LONG_TESTS=1")

RANK = """\
import os, signal, sys, time
from datetime import timedelta
import torch
import torch.distributed as dist
dist.init_process_group("gloo", timeout=timedelta(seconds=6))
dist.all_reduce(torch.ones(2))
if dist.get_rank() == 1:
    {body}
dist.all_reduce(torch.ones(2))
"""


@long
@pytest.mark.parametrize(
    ("body", "name", "rank"),
    [
        ("os.kill(os.getpid(), 9)", "lost-connection", 1),
        ("raise KeyError('labels')", "exception", 1),
        ("os._exit(0)", "lost-connection", 1),
        ("time.sleep(20)", "lost-connection", None),
    ],
)
def test_two_ranks_that_lose_each_other(
    tmp_path: Path, body: str, name: str, rank: int | None
) -> None:
    script = tmp_path / "train.py"
    script.write_text(RANK.format(body=body))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks: list[subprocess.Popen[bytes]] = []
    for number in range(2):
        env = os.environ | job | {"RANK": str(number), "GLOO_SOCKET_IFNAME": "lo"}
        with (tmp_path / f"rank{number}.log").open("wb") as log:
            log.write(b"begins\n")
            log.flush()
            ranks.append(
                subprocess.Popen([sys.executable, str(script)], stdout=log, stderr=log, env=env)
            )
    for each in ranks:
        each.wait()
    found = why.find_ending_of(tmp_path)
    assert (found.name, found.rank) == (name, rank), found


@long
def test_torchrun_says_which_rank_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(RANK.format(body="os.kill(os.getpid(), 9)"))
    words = ["--standalone", "--nproc-per-node=2", str(script)]
    with (tmp_path / "train.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", *words],
            stdout=log,
            stderr=log,
            check=False,
        )
    found = why.find_ending_of(tmp_path / "train.log")
    assert (found.name, found.rank) == ("sigkill", 1), found


@long
def test_torch_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    log = small_disk / "train.log"
    log.write_text("\n" * 8192)  # has room for what is printed when the disk is full
    save = f"import torch; torch.save(torch.zeros(1 << 20), {str(small_disk / 'x.pt')!r})"
    with log.open("r+b") as output:
        subprocess.run([sys.executable, "-c", save], stderr=output, check=False)
    found = why.find_ending_of(log)
    assert found.name == "disk-full", found
    assert "unexpected pos" in log.read_text()
