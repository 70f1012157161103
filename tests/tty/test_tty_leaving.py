"""Leaving the app, by key or by force, while a training runs: it goes on."""

import os
import signal
import time
from pathlib import Path

from terminal import ALONE, PATIENCE, Terminal

from genui.runs.layout import RunDir, read_status
from genui.runs.listing import summarise

FULL_SCREEN = {1000, 1002, 1003, 1004, 1006, 1015, 1049, 2004, 2026}


def open_app(home: Path) -> Terminal:
    """The app, once it shows the live run."""
    terminal = Terminal(env={"GENUI_HOME": str(home)})
    terminal.until(lambda text: "1 training" in text)
    return terminal


def assert_goes_on(run: RunDir) -> None:
    """The trainer takes further steps."""
    step, end = read_status(run).step, time.monotonic() + PATIENCE
    while read_status(run).step <= step:
        assert summarise(run).state == "running"
        assert time.monotonic() < end, "no step was taken"
        time.sleep(0.05)


def assert_restored(terminal: Terminal) -> None:
    """The shell gets its terminal back as it was."""
    assert not terminal.modes & FULL_SCREEN
    assert 25 in terminal.modes  # the cursor is shown
    assert terminal.output.count(b"\x1b[>25u") == terminal.output.count(b"\x1b[<u")
    assert terminal.cooked


def test_q_restores_the_terminal_and_says_that_training_goes_on(
    live_home: Path, live_run: RunDir
) -> None:
    with open_app(live_home) as terminal:
        terminal.press("q")
        assert terminal.wait() == 0
        assert_restored(terminal)
        left = terminal.output.rpartition(b"\x1b[?1049l")[2]
        assert b"1 run is still training: live" in left
    assert_goes_on(live_run)


def test_nothing_is_said_where_nothing_trains() -> None:
    with Terminal() as terminal:
        terminal.until(lambda text: "─ Models " in text)
        terminal.press("q")
        assert terminal.wait() == 0
        assert_restored(terminal)
        assert b"training" not in terminal.output.rpartition(b"\x1b[?1049l")[2]


def test_a_lost_connection_ends_the_app_and_not_the_trainer(
    live_home: Path, live_run: RunDir
) -> None:
    with open_app(live_home) as terminal:
        children = descendants(terminal.process.pid)
        terminal.hang_up()
        terminal.wait()
        assert_gone(children)
    assert_goes_on(live_run)


def test_a_signal_ends_the_app_and_not_the_trainer(live_home: Path, live_run: RunDir) -> None:
    with open_app(live_home) as terminal:
        children = descendants(terminal.process.pid)
        terminal.signal(signal.SIGTERM)
        terminal.wait()
        assert_restored(terminal)
        assert_gone(children)
    assert_goes_on(live_run)


def descendants(pid: int) -> list[int]:
    """The processes started by `pid`: the app's worker. Empty where /proc does not tell."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in listed]


def assert_gone(pids: list[int]) -> None:
    """None of the processes is left."""
    end = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if lives(pid)]:
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_bytes_that_are_no_key_do_not_end_the_app() -> None:
    with Terminal(ALONE) as terminal:
        terminal.until(lambda text: "─ Models " in text)
        for junk in ("\udcff", "\udce9x", "\x1b[9999999u", f"\x1b[{9**21}u"):
            terminal.press(junk)
            end = time.monotonic() + PATIENCE
            while "Keys of Models" not in terminal.text:
                assert terminal.process.poll() is None, repr(junk)
                assert time.monotonic() < end, terminal.text
                terminal.press("\x1b[27u?")  # what is read together with the junk is lost
                time.sleep(0.1)
                terminal.settle()
            while "Keys of Models" in terminal.text:
                assert time.monotonic() < end, terminal.text
                terminal.press("\x1b[27u")  # more than once if more ? were on their way
                time.sleep(0.1)
                terminal.settle()
