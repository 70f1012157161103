"""`genui run -- COMMAND`: a command as a run of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from waiting import wait_for

from genui.cli.main import main
from genui.logs import command
from genui.logs.native import MetricsTail
from genui.runs import control, writer
from genui.runs.layout import RunDir, read_info
from genui.runs.listing import list_runs, summarise

STEPS = "for i in range(5): print(f'step {i}: loss {1 / (i + 1):.2f}')"


def printed(run: RunDir) -> str:
    """The console; "" before the recorder has made it."""
    return run.console.read_text() if run.console.exists() else ""


def losses(run: RunDir) -> list[float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return tail.series["loss"].points[1].tolist()


def test_secrets_of_the_command_are_not_written() -> None:
    words = [
        sys.executable,
        "-c",
        "import sys; assert sys.argv[2] == 'hf_' + '1'",
        "--token",
        "hf_1",
    ]
    assert main(["run", "--foreground", "--", *words]) == 0
    (summary,) = list_runs()
    assert read_info(summary.run).config["command"] == [*words[:-1], "***"]
    assert b"hf_1" not in summary.run.run_json.read_bytes()


def test_a_command_is_recorded_with_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    script = f"{STEPS}\nimport sys; print('bad data', file=sys.stderr); sys.exit(3)"
    words = [sys.executable, "-c", script]
    assert main(["run", "--name", "mine", "--project", "p", "--foreground", "--", *words]) == 3
    (summary,) = list_runs()
    out = capfd.readouterr().out.splitlines()
    assert out == [summary.run.id, *(f"step {i}: loss {1 / (i + 1):.2f}" for i in range(5)),
                   "bad data"]  # fmt: skip
    assert (summary.state, summary.status.error) == ("failed", "exit code 3")
    assert losses(summary.run) == [1.0, 0.5, 0.33, 0.25, 0.2]
    assert "bad data" in summary.run.console.read_text()
    info = read_info(summary.run)
    assert (info.name, info.project) == ("mine", "p")
    assert info.config == {"command": words, "folder": os.getcwd()}


def test_in_the_background_it_goes_on_and_a_stop_is_ctrl_c(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import time\n"
        "try:\n"
        "    for i in range(10_000):\n"
        "        print(f'step {i}: loss 1.0')\n"
        "        time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n"
        "    print('saved')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert main(["run", "--json", "--", sys.executable, str(script)]) == 0
    run = RunDir(Path(json.loads(capfd.readouterr().out)["path"]))
    wait_for(lambda: summarise(run).status.step > 3)
    assert run.id.startswith("train-")
    control.send_live(run, "stop")
    wait_for(lambda: not summarise(run).alive)
    assert summarise(run).state == "stopped"
    assert "saved" in run.console.read_text()


def test_what_ignores_a_stop_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SIGNALS", [(number, 0.3) for number, _ in command.SIGNALS])
    monkeypatch.setattr(writer, "HEARTBEAT", 0.05)
    stubborn = (
        "import os, signal, time\n"
        "os.fork()\n"
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    words = [sys.executable, "-c", stubborn]
    run = command.create(words)
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(command.record, run, words)
        wait_for(lambda: printed(run).count("ready") == 2)  # parent and child
        control.send(run, "stop")
        assert code.result(timeout=300) == 137
    assert summarise(run).state == "stopped"


def test_children_that_outlive_a_stopped_command_are_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "SIGNALS", [(number, 0.3) for number, _ in command.SIGNALS])
    monkeypatch.setattr(writer, "HEARTBEAT", 0.05)
    words = ["sh", "-c", "(trap '' INT; exec sleep 300) & echo pid $!; exec sleep 300"]
    run = command.create(words)
    recorder = threading.Thread(target=command.record, args=(run, words))
    recorder.start()
    wait_for(lambda: "pid" in printed(run))
    control.send(run, "stop")
    recorder.join()
    pid = int(run.console.read_text().splitlines()[0].split()[-1])
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == "zombie"  # if nobody waits for it
    assert "sent SIGTERM" in run.console.read_text()
    assert summarise(run).state == "stopped"


def test_sigterm_to_the_recorder_is_a_stop(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert main(["run", "--json", "--", "sh", "-c", "echo step 1 loss 2.0; exec sleep 300"]) == 0
    run = RunDir(Path(json.loads(capfd.readouterr().out)["path"]))
    wait_for(lambda: summarise(run).state == "running" and "step 1" in run.console.read_text())
    os.kill(summarise(run).status.pid, signal.SIGTERM)
    wait_for(lambda: not summarise(run).alive)
    assert summarise(run).state == "stopped"


def test_a_command_may_have_words_that_are_no_utf_8() -> None:
    words = ["echo", os.fsdecode(b"step 1 loss \xff2.0")]
    assert command.record(command.create(words), words) == 0


def test_output_that_a_child_holds_open_does_not_keep_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_LINGER", 0.2)
    words = ["sh", "-c", "sleep 300 & echo $!; echo step 1 loss 2.0"]
    run = command.create(words)
    assert command.record(run, words) == 0
    assert losses(run) == [2.0]
    pid = run.console.read_text().splitlines()[0].split()[-1]
    subprocess.run(["kill", pid], check=True)


def test_the_load_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HEARTBEAT", 0.05)
    monkeypatch.setattr("genui.runs.system.EVERY", 0.1)
    script = (
        "import time; held = bytearray(b'x') * 300_000_000; end = time.time() + 1.5\n"
        "while time.time() < end: pass"
    )
    words = [sys.executable, "-c", script]
    run = command.create(words)
    assert command.record(run, words) == 0
    records = [json.loads(line) for line in run.system.read_text().splitlines()]
    assert max(record.get("memory GB", 0) for record in records) > 0.3
    assert max(record.get("cpu cores", 0) for record in records) > 0.05


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "COMMAND is missing"),
        (["run", "--", "no-such-command"], "there is no command no-such-command"),
    ],
)
def test_a_command_that_is_not_there_makes_no_run(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert line in capsys.readouterr().err
    assert list_runs() == []
