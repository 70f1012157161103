"""What becomes of a run as its process ends, is killed, or has children."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from api_runs import ROOT, records, script, start_script
from waiting import wait_for

import genui
from genui.logs.native import MetricsTail
from genui.runs.layout import RunDir, read_info, read_status
from genui.runs.listing import list_runs, summarise


def test_importing_is_light_and_logging_needs_no_heavy_library():
    code = """
        print(sorted(m for m in sys.modules if m.startswith("genui")), genui.__version__)
        genui.init("light", {"lr": 1})
        genui.log({"loss": 1.0, "text": "to be"})
        unused = {"torch", "textual", "numpy", "PIL", "rich", "genui.recipes"}
        print(sorted(unused & set(sys.modules)))
    """
    out, err = script(code.replace("\n        ", "\n"))
    assert out == f"['genui'] {genui.__version__}\n[]\n"
    assert err == ""


def test_the_version_can_be_read_from_the_text_alone():
    """As hatch does it."""
    text = (ROOT / "genui" / "__init__.py").read_text()
    assert f'\n__version__ = "{genui.__version__}"\n' in text


def test_what_log_returned_for_survives_kill_9():
    code = """
run = genui.init("killed")
for step in range(500):
    run.log({"loss": 1 / (step + 1), "lr": 0.1})
print(run.dir, flush=True)
time.sleep(60)
"""
    with start_script(code) as process:
        assert process.stdout is not None
        run = RunDir(Path(process.stdout.readline().strip()))
        assert summarise(run).alive
        process.kill()
    assert [record["step"] for record in records(run)] == list(range(500))
    assert summarise(run).state == "dead"


@pytest.mark.parametrize(
    ("code", "state", "error"),
    [
        ("", "finished", ""),
        ("genui.finish()", "finished", ""),
        ("genui.finish(exit_code=2)", "failed", "exit code 2"),
        ("raise ValueError('no data')", "failed", "ValueError: no data"),
        # A shell starts what it puts in the background with this signal ignored.
        (
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
            *("stopped", ""),
        ),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", "dead", ""),
        ("sys.exit()", "finished", ""),
        ("sys.exit(3)", "failed", "exit code 3"),
        ("sys.exit('no data in x')", "failed", "no data in x"),
        ("try: sys.exit(3)\nexcept SystemExit: run.log({'a': 2})", "finished", ""),
        ("raise ValueError('caf\\udce9 \\x1b[31m')", "failed", "ValueError: caf\ufffd \ufffd[31m"),
        ("class E(Exception): __str__ = None\nraise E", "failed", "E"),
        ("with run: raise SystemExit(1)", "failed", "exit code 1"),
        ("with run: raise KeyError('x')", "failed", "KeyError: 'x'"),
        ("with run: pass\nraise KeyError('later')", "finished", ""),
    ],
)
def test_the_run_ends_as_the_script_does(code: str, state: str, error: str):
    script(f"run = genui.init('ends')\nrun.log({{'a': 1}})\n{code}")
    (summary,) = list_runs()
    assert (summary.state, summary.status.error) == (state, error)


def test_an_uncaught_exception_is_still_shown_by_python():
    out, err = script("genui.init('x')\nprint('out')\nraise ValueError('no data')")
    assert out == "out\n"
    assert err.startswith("Traceback")
    assert err.endswith("ValueError: no data\n")


def test_a_handler_that_ends_the_run_in_the_middle_of_a_log_does_not_hang():
    code = """
run = genui.init("handled")
def leave(*_):
    run.log({"last": 1})
    genui.finish()
    sys.exit(0)
signal.signal(signal.SIGALRM, leave)
signal.setitimer(signal.ITIMER_REAL, 0.05)
while True:
    run.log({"loss": 1.0})
"""
    script(code)
    (summary,) = list_runs()
    assert summary.state == "finished"
    assert any("last" in record for record in records(summary.run))


def test_a_child_after_a_fork_neither_writes_nor_keeps_the_run_alive():
    code = """
run = genui.init("forks")
run.log({"loss": 1.0})
if os.fork() == 0:
    run.log({"child": 1.0}); genui.log({"child": 2.0}); run.config.child = 1; run.finish()
    own = genui.init("own")
    own.log({"child": 3.0})
    own.finish()
    print(run.dir, own.dir, flush=True)
    sys.stdin.read()
    os._exit(0)
run.log({"loss": 2.0})
os.wait()
"""
    with start_script(code) as process:
        assert process.stdout is not None
        paths = process.stdout.readline().split()
        run, own = (RunDir(Path(path)) for path in paths)
        assert summarise(run).state == "running"
        process.kill()
        wait_for(lambda: summarise(run).state == "dead")  # though the child lives
        assert process.stdin is not None
        process.stdin.close()
    assert records(run) == [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 2.0}]
    assert read_info(run).config == {}
    assert records(own) == [{"step": 0, "child": 3.0}]
    assert read_status(own).state == "finished"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_sweep_in_processes_of_its_own_has_a_run_each(method: str, tmp_path: Path):
    code = """
import genui, multiprocessing, sys

def train(name):
    run = genui.init(name)
    run.log({"loss": 1.0})
    if name == "bad":
        raise ValueError("no data")

if __name__ == "__main__":
    genui.init("sweep")
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=train, args=(name,)) for name in ("good", "bad")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
"""
    (tmp_path / "sweep.py").write_text(code)
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "sweep.py"), method]
    subprocess.run(command, check=True, capture_output=True, env=env, timeout=300)
    ends = {summary.info.name: (summary.state, summary.status.error) for summary in list_runs()}
    assert ends == {
        "sweep": ("finished", ""),
        "good": ("finished", ""),
        "bad": ("failed", "ValueError: no data"),
    }


def test_a_fork_after_the_end_of_a_run_closes_nothing():
    said, _ = script(
        """
import os
run = genui.init("ended")
run.log({"loss": 1.0})
run.finish()
mine = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]  # among them the run's old numbers
if os.fork() == 0:
    for fd in mine:
        os.fstat(fd)
    os._exit(0)
print("child", os.waitstatus_to_exitcode(os.wait()[1]))
"""
    )
    assert "child 0" in said


def test_the_ranks_of_a_job_are_one_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("MASTER_PORT", "29500")
    code = """
run = genui.init("ddp")
for step in range(5):
    run.log({"loss": step + int(os.environ["RANK"])}, step=step)
    if step == 2:
        print(run.id, flush=True)
        sys.stdin.readline()
run.finish()
"""
    processes = []
    for rank in (2, 0, 1):  # one rank is there before the run
        monkeypatch.setenv("RANK", str(rank))
        processes.append(start_script(code))
        assert processes[-1].stdout is not None
        assert bool(processes[-1].stdout.readline().strip()) == (rank == 0)
    for process in processes:
        _, err = process.communicate("\n", timeout=300)
        assert (process.returncode, err) == (0, "")
    (summary,) = list_runs()
    tail = MetricsTail(summary.run.metrics)
    while tail.read():
        pass
    values = {name: series.points[1].tolist() for name, series in tail.series.items()}
    slowest = values.pop("ranks/slowest")
    assert len(slowest) == 5
    assert set(slowest) <= {0, 1, 2}
    assert values == {
        "ranks/spread loss": [2, 2, 2, 2, 2],
        "loss": [0, 1, 2, 3, 4],
        "rank1/loss": [1, 2, 3, 4, 5],
        "rank2/loss": [2, 3, 4, 5, 6],
    }
