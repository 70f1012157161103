"""`command | genui watch -` in a real terminal: keys come from it while the pipe is read."""

import sys
from pathlib import Path

from terminal import Terminal
from waiting import wait_for

from genui.runs.listing import RunSummary, list_runs

COMMAND = """
import sys, time
for step in range(1, 100_000):
    print(f"step {step} loss {5 / step:.3f}", flush=True)
    time.sleep(0.02)
    if step > 20 and __import__("os").path.exists(sys.argv[1]):
        print("last words")
        break
"""


def only_run() -> RunSummary:
    (run,) = list_runs()
    return run


def test_the_command_goes_on_and_is_recorded_after_the_app_was_left(
    genui_home: Path, tmp_path: Path
) -> None:
    script, stop = tmp_path / "train.py", tmp_path / "stop"
    script.write_text(COMMAND)
    line = f"{sys.executable} {script} {stop} | {sys.executable} -m genui watch - --name piped"
    with Terminal(["sh", "-c", f"{line}; echo the prompt is back"]) as terminal:
        terminal.until(lambda text: "loss" in text and "running" in text)
        terminal.press("q")
        terminal.until_sent(f"still recording as run {only_run().run.id}".encode())
        before = only_run()
        assert before.state == "running"
        wait_for(lambda: only_run().status.step > before.status.step + 20)
        stop.touch()
        terminal.until_sent(b"the prompt is back")
    wait_for(lambda: only_run().state == "finished")
    assert only_run().run.console.read_text().endswith(" last words\n")


def test_a_command_that_has_ended_leaves_the_app_open_on_its_run(genui_home: Path) -> None:
    line = f"echo step 7 loss 0.125 | {sys.executable} -m genui watch -"
    with Terminal(["sh", "-c", f"{line}; echo the prompt is back"]) as terminal:
        terminal.until(lambda text: "finished" in text)
        terminal.press("q")
        terminal.until_sent(f"recorded as run {only_run().run.id}".encode())
        terminal.until_sent(b"the prompt is back")
