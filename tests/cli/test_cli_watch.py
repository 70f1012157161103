"""`genui watch` without a terminal: what there is to watch, and what a command prints."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_for

from genui.cli import watch
from genui.cli.main import main
from genui.logs import open_tail, printed
from genui.runs import system, writer
from genui.runs.layout import RunDir, read_info
from genui.runs.listing import RunSummary, list_runs, summarise

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
WATCH = (sys.executable, "-m", "genui", "watch", "-")


def piped(data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*WATCH, *words], input=data, capture_output=True, cwd=ROOT, timeout=300)


def recorded(data: bytes, name: str) -> RunDir:
    """The run of a command that printed that, recorded by this process."""
    run = printed.create(name)
    source, pipe = os.pipe()

    def write() -> None:
        with os.fdopen(pipe, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    printed.record(run, source)
    thread.join()
    os.close(source)
    return run


def test_of_a_pipe_the_machine_is_measured_and_not_the_recorder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "EVERY", 0.0)
    monkeypatch.setattr(writer, "HEARTBEAT", 0.02)
    run = printed.create("piped")
    source, pipe = os.pipe()
    thread = threading.Thread(target=printed.record, args=(run, source))
    thread.start()
    try:
        wait_for(lambda: run.system.exists() and run.system.read_bytes().count(b"\n") > 2)
    finally:
        os.close(pipe)
        thread.join()
        os.close(source)
    records = [json.loads(line) for line in run.system.read_bytes().splitlines()]
    assert all("machine memory GB" in record for record in records)
    assert not [record for record in records if {"cpu cores", "memory GB"} & record.keys()]


def values(run: RunSummary, name: str) -> list[tuple[int, float]]:
    tail = open_tail(run)
    while tail.read():
        pass
    series = tail.series[name]
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def only_run() -> RunSummary:
    (run,) = list_runs()
    return run


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# --- listings ------------------------------------------------------------------------


def test_without_a_path_your_runs_are_listed(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    run = make_run()
    assert main(["watch"]) == 0
    assert run.id in capsys.readouterr().out


def test_the_logs_of_a_folder_are_listed(tmp_path: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text("step,loss\n1,0.5\n")
    assert main(["watch", str(tmp_path)]) == 0
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head[:3] == ["LOG", "FORMAT", "STATE"]
    assert {row[0] for row in rows} == {str(tmp_path / n / "metrics.csv") for n in "ab"}
    assert {tuple(row[1:3]) for row in rows} == {("csv", "writing")}


def test_a_run_is_watched_by_name_and_a_file_of_that_name_by_its_path(
    make_run: Callable[..., RunDir],
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(name="tiny")
    monkeypatch.chdir(tmp_path)
    Path("tiny").write_text("step,loss\n1,0.5\n")
    assert main(["watch", "tiny"]) == 0
    assert run.id in capsys.readouterr().out
    assert main(["watch", "./tiny"]) == 0
    assert " csv " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["nowhere"], "no run, file or folder 'nowhere'"),
        (["./nowhere"], "there is no such file or folder"),
        (["~nobody-here/runs"], "there is no such file or folder"),
        ([""], "no run, file or folder ''"),
        (["-", "empty"], "standard input alone"),
        (["empty", "--name", "x"], "--name"),
    ],
)
def test_what_cannot_be_watched_is_one_line(
    words: list[str], fault: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert main(["watch", *words]) == 2
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["watch", "inspect"])
@pytest.mark.parametrize("below", ["", "log.jsonl"])
def test_a_folder_without_permission_is_one_line(
    command: str, below: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "log.jsonl").write_text('{"step":1,"loss":2}\n')
    main([command, str(tmp_path / "open")])  # everything is imported, from wherever root has it
    capsys.readouterr()
    with tempfile.TemporaryDirectory() as parent:  # not below tmp_path, which is root's own
        closed = Path(parent) / "closed"
        closed.mkdir()
        (closed / "log.jsonl").write_text('{"step":1,"loss":2}\n')
        os.chmod(parent, 0o755)
        closed.chmod(0)
        try:
            with as_nobody():
                code = main([command, str(closed / below)])
        finally:
            closed.chmod(0o700)
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert "permission" in said
    assert str(closed) in said


def test_with_a_terminal_it_opens_the_app_which_answers_keys_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[object, ...]] = []

    def run_watch(*given: object) -> int:
        opened.append((*given, os.environ["TEXTUAL_FPS"]))
        return 0

    monkeypatch.setenv("TEXTUAL_FPS", "")  # so that what is set here is undone
    monkeypatch.delenv("TEXTUAL_FPS")
    app = types.SimpleNamespace(run_watch=run_watch)
    monkeypatch.setitem(sys.modules, "genui.ui.app", app)
    monkeypatch.setattr("gc.disable", lambda: None)  # not in the tests' own process
    monkeypatch.setattr(watch, "has_terminal", lambda: True)
    assert main(["watch", str(tmp_path)]) == main(["watch"]) == 0
    assert opened == [([tmp_path], None, [], "120"), (None, None, [], "120")]


# --- a command's output --------------------------------------------------------------


def test_what_a_command_prints_is_kept_as_a_run_and_passed_on() -> None:
    lines = [f"step {i}: loss {3 - i / 100:.2f}, lr 3e-4" for i in range(100)]
    data = ("start\n" + "\n".join(lines) + "\nSaved to model.pt").encode()
    done = piped(data, "--name", "mine", "--project", "digits")
    assert (done.returncode, done.stdout) == (0, data)
    run = only_run()
    assert done.stderr.decode() == (
        f"recording as run {run.run.id}: `genui watch {run.run.id}` shows it\n"
    )
    info = read_info(run.run)
    assert (run.state, info.kind, info.name, info.project) == (
        "finished", "script", "mine", "digits",
    )  # fmt: skip
    assert values(run, "loss") == [(i, float(f"{3 - i / 100:.2f}")) for i in range(100)]
    console = run.run.console.read_text().splitlines()
    assert console[0].endswith(" start")
    assert console[-1].endswith(" Saved to model.pt")
    assert len(console) == 102


def test_a_progress_bar_is_read_as_it_is_drawn_but_kept_only_where_it_stays() -> None:
    bar = b"".join(
        f"\r{n}%|###   | {n}/100 [00:0{n % 10}<00:01, 10.0it/s, loss={n / 100}]".encode()
        for n in range(1, 101)
    )
    assert piped(bar + b"\n").returncode == 0
    run = only_run()
    assert values(run, "loss") == [(n, n / 100) for n in range(1, 101)]
    (console,) = run.run.console.read_text().splitlines()
    assert "100/100" in console


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n\r\r", b"\xff\xfe\x00garbage\x80\n", b"x" * 1_000_000, b"no numbers\n" * 10],
    ids=["empty", "blank", "binary", "a line of a megabyte", "words"],
)
def test_output_without_metrics_is_a_run_without_metrics(data: bytes) -> None:
    done = piped(data)
    assert (done.returncode, done.stdout) == (0, data)
    assert only_run().state == "finished"
    assert only_run().run.metrics.read_bytes() == b""


def start(words: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*WATCH, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def test_a_line_is_in_the_run_as_soon_as_it_is_printed() -> None:
    with start() as process:
        assert process.stdin is not None
        process.stdin.write(b"step 1 loss 0.5\n")
        process.stdin.flush()
        wait_for(lambda: bool(list_runs()) and bool(_written(only_run())))
        assert summarise(only_run().run).state == "running"
        assert values(only_run(), "loss") == [(1, 0.5)]
        process.stdin.close()
    assert only_run().state == "finished"


def _written(run: RunSummary) -> bytes:
    return run.run.metrics.read_bytes() if run.run.metrics.exists() else b""


def test_recording_goes_on_when_whoever_read_our_output_left() -> None:
    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        for step in range(2000):
            process.stdin.write(b"step %d loss 0.5 %s\n" % (step, b"." * 100))
        process.stdin.close()
    assert process.returncode == 0
    assert len(values(only_run(), "loss")) == 2000


def test_ctrl_c_is_for_the_command_whose_last_words_are_kept() -> None:
    with start() as process:
        assert process.stdin is not None
        process.stdin.write(b"step 1 loss 0.5\n")
        process.stdin.flush()
        wait_for(lambda: bool(list_runs()) and bool(_written(only_run())))
        process.send_signal(signal.SIGINT)
        process.stdin.write(b"interrupted\nstep 2 loss 0.4\n")
        process.stdin.close()
    assert process.returncode == 0
    assert values(only_run(), "loss") == [(1, 0.5), (2, 0.4)]


def test_nowhere_to_keep_it_is_one_line(genui_home: Path) -> None:
    genui_home.write_text("a file where the folder should be")
    done = piped(b"step 1 loss 0.5\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"genui: cannot write ")
    assert done.stderr.count(b"\n") == 1


def test_nothing_piped_in_is_misuse() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(WATCH)} <&-"], capture_output=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 2
    assert b"nothing is piped in" in done.stderr


def test_the_step_and_the_metrics_of_a_pipe_are_chosen_once_for_a_project(capsys: Capture) -> None:
    lines = b"a tick 5 loss 0.5 acc 0.1\na tick 9 loss 0.4 acc 0.2\n"
    assert piped(lines, "--project", "ticks", "--step", "tick", "--metrics", "lo*").returncode == 0
    assert piped(lines, "--project", "ticks", "--name", "again").returncode == 0
    assert main(["export", "again", "--jsonl", "-"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["step"], r["loss"], "acc" in r) for r in records] == [
        (5, 0.5, False), (9, 0.4, False),
    ]  # fmt: skip


def test_the_step_of_a_text_log_is_chosen_once_for_its_folder(
    tmp_path: Path, capsys: Capture
) -> None:
    for job in (1, 2):
        (tmp_path / f"slurm-{job}.out").write_text("a tick 5 loss 0.5\na tick 9 loss 0.4\n")
    assert main(["watch", str(tmp_path / "slurm-1.out"), "--step", "tick"]) == 0
    assert main(["export", str(tmp_path / "slurm-2.out"), "--csv", "-"]) == 0
    rows = [row.split(",") for row in capsys.readouterr().out.splitlines()[-2:]]
    assert [(row[0], row[-1]) for row in rows] == [("5", "0.5"), ("9", "0.4")]


def test_a_choice_for_what_prints_nothing_is_misuse(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n")
    assert main(["watch", str(tmp_path), "--step", "tick"]) == 2
    assert "printed lines" in capsys.readouterr().err


def test_an_empty_folder_is_no_fault(tmp_path: Path, capsys: Capture) -> None:
    assert main(["watch", str(tmp_path)]) == 0
    assert "no logs yet" in capsys.readouterr().err


def test_how_unsure_steps_were_read_is_said(capsys: Capture) -> None:
    lines = "".join(f"step {n} loss 1\n" for n in (*range(0, 90, 10), *range(50, 120, 10)))
    run = recorded(lines.encode(), "resumed")
    assert "genui: the step went back from 80 to 50" in run.console.read_text()
    assert main(["inspect", "resumed"]) == 0
    assert "resumed from a checkpoint" in capsys.readouterr().out


def test_the_console_of_a_pipe_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "MAX_CONSOLE", 100_000)
    monkeypatch.setattr(printed, "CHUNK", 10_000)
    run = recorded((b"x" * 99 + b"\n") * 5000, "long")
    older = run.console.with_name("console.log.1")
    assert run.console.stat().st_size < 150_000
    assert 100_000 < older.stat().st_size < 150_000
