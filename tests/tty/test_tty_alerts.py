"""A terminal rings once for a training that goes wrong, and shows a notification once."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from terminal import ALONE, Terminal

from genui.recipes import RECIPES
from genui.runs.layout import RunDir, RunLock, Status, create_run, write_status


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run that trains, as far as can be seen from outside, in a home of its own."""
    monkeypatch.setenv("GENUI_HOME", str(tmp_path))
    made = create_run(RECIPES["shakespeare"], {}, "plays")
    log(made, 1, "4.0")
    return made


def log(run: RunDir, step: int, loss: str) -> None:
    with run.metrics.open("a") as file:
        file.write(f'{{"step":{step},"time":{time.time()},"loss":{loss}}}\n')


def bells(output: bytes) -> int:
    """BELs that ring: not those that end an OSC sequence."""
    return re.sub(rb"\x1b\][^\x07\x1b]*\x07", b"", output).count(b"\x07")


def set_running(run: RunDir) -> None:
    now = time.time()
    status = Status(
        state="running", step=1, steps=9, pid=os.getpid(), host=socket.gethostname(), heartbeat=now
    )
    write_status(run, status)


@pytest.mark.parametrize(
    ("env", "sequence"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, b"\x1b]9;genui: plays: loss is NaN at step 2\x1b\\"),
        ({"VTE_VERSION": "7600"}, b"\x1b]777;notify;genui;plays: loss is NaN at step 2\x1b\\"),
    ],
    ids=["OSC 9", "OSC 777"],
)
def test_a_nan_rings_and_notifies_once(
    run: RunDir, tmp_path: Path, env: dict[str, str], sequence: bytes
) -> None:
    with RunLock(run):
        set_running(run)
        with Terminal(ALONE, env={"GENUI_HOME": str(tmp_path)} | env) as terminal:
            terminal.until(lambda text: "1 training" in text and "plays" in text)
            assert bells(terminal.output) == 0
            log(run, 2, '"NaN"')
            terminal.until(lambda text: "loss is NaN at step 2" in text)
            terminal.until_sent(re.escape(sequence))
            log(run, 3, '"NaN"')
            terminal.press("?")
            terminal.until(lambda text: "Keys of" in text)
            terminal.press("\x1b")
            terminal.until(lambda text: "Keys of" not in text)
            terminal.press("q")
            assert terminal.wait() == 0
        assert terminal.output.count(sequence) == 1
        assert bells(terminal.output) == 1


@pytest.mark.skipif(
    not (shutil.which("tmux") and shutil.which("tic")), reason="needs tmux and ncurses"
)
def test_within_tmux_the_terminal_outside_is_notified(run: RunDir, tmp_path: Path) -> None:
    terms = tmp_path / "terminfo"
    described = subprocess.run(
        ("infocmp", "xterm-256color"), capture_output=True, text=True, check=True
    ).stdout
    kitty = re.sub(r"^xterm-256color[^,]*", "xterm-kitty|for this test", described, flags=re.M)
    subprocess.run(
        ("tic", "-x", "-o", str(terms), "-"), input=kitty, text=True, stderr=subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    tmux = ("tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null")
    options = (";", "set", "-g", "allow-passthrough", "on")
    env = {"GENUI_HOME": str(tmp_path), "TERM": "xterm-kitty", "TERMINFO": str(terms)}
    try:
        with RunLock(run):
            set_running(run)
            with Terminal((*tmux, "new-session", *ALONE, *options), env=env) as terminal:
                terminal.until(lambda text: "1 training" in text and "plays" in text)
                log(run, 2, '"NaN"')
                sequence = b"\x1b]9;genui: plays: loss is NaN at step 2\x1b\\"
                terminal.until_sent(re.escape(sequence))
                terminal.press("q")
                terminal.wait()
                assert terminal.output.count(sequence) == 1
                assert bells(terminal.output) == 1
    finally:
        subprocess.run((*tmux, "kill-server"), stderr=subprocess.DEVNULL, check=False)
