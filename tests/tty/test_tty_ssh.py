"""The app over a real sshd: what a lost link leaves, and what a new one finds."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sshd
from sshd import Link, Sshd, remote
from terminal import Terminal
from waiting import wait_for

from genui.runs.layout import RunDir
from genui.runs.listing import summarise


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.serving(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def link(server: Sshd) -> Iterator[Link]:
    with server.link() as link:
        yield link


def apps_in(home: Path) -> list[int]:
    """The processes of the app that run with that GENUI_HOME."""
    found: list[int] = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        try:
            ours = words[1:4] == ["-m", "genui", "watch"]
            if ours and process.environ().get("GENUI_HOME") == str(home):
                found.append(process.info["pid"])
        except psutil.Error:
            continue
    return found


def goes_on(run: RunDir) -> None:
    before = summarise(run).status.step
    wait_for(lambda: summarise(run).status.step > before + 2)


def curves_are_there(text: str) -> bool:
    return "loss" in text and "1 column" in text


def filtered_by_time(text: str) -> bool:
    """Only loss and learning rate are left, along seconds."""
    return "/lr|loss" in text and "grad_norm" not in text and " s, " in text


def test_a_cut_link_ends_the_app_not_the_training_and_a_new_one_finds_the_view(
    server: Sshd, live_home: Path, live_run: RunDir
) -> None:
    command = remote(f"watch {live_run.id}", live_home)
    with server.link() as first, Terminal(server.command(first, command)) as terminal:
        terminal.until(curves_are_there)
        terminal.press("/")
        terminal.press("lr|loss\r")
        terminal.until(lambda text: "/lr|loss" in text and "grad_norm" not in text)
        terminal.press("sjjjl")  # the fourth setting is the x axis
        terminal.until(filtered_by_time)
        assert apps_in(live_home)
        first.cut()
        terminal.wait()
    wait_for(lambda: not apps_in(live_home))
    goes_on(live_run)
    with server.link() as second, Terminal(server.command(second, command)) as terminal:
        terminal.until(filtered_by_time)
        terminal.press("q")
        assert terminal.wait() == 0
    assert summarise(live_run).alive


def test_a_link_that_goes_silent_holds_up_neither_the_training_nor_a_second_app(
    server: Sshd, live_home: Path, live_run: RunDir
) -> None:
    command = remote(f"watch {live_run.id}", live_home)
    with server.link() as first, Terminal(server.command(first, command)) as terminal:
        terminal.until(curves_are_there)
        first.go_silent()
        goes_on(live_run)
        with server.link() as second, Terminal(server.command(second, command)) as other:
            other.until(curves_are_there)
            other.press(" ")
            other.until(lambda text: "paused" in text)
            assert summarise(live_run).state == "paused"
            other.press(" ")
            wait_for(lambda: summarise(live_run).state == "running")
            other.press("q")
            assert other.wait() == 0
        first.cut()
        terminal.wait()
    wait_for(lambda: not apps_in(live_home))


def test_in_tmux_the_app_itself_outlives_the_link(
    server: Sshd, live_home: Path, live_run: RunDir, tmp_path: Path
) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here: apt install tmux")
    socket = tmp_path / "tmux"
    inside = f"tmux -u -S {socket} -f /dev/null new-session -A -s genui"
    start = remote(f"watch {live_run.id}", live_home).replace("exec env", f"exec {inside} env")
    with server.link() as first, Terminal(server.command(first, start)) as terminal:
        terminal.until(curves_are_there)
        terminal.press("\t\t")  # to Config
        terminal.until(lambda text: "muon_rate" in text)
        (app,) = apps_in(live_home)
        first.cut()
        terminal.wait()
    goes_on(live_run)
    assert apps_in(live_home) == [app]
    with server.link() as second, Terminal(server.command(second, start)) as terminal:
        terminal.until(lambda text: "muon_rate" in text and "1 column" in text)
        assert apps_in(live_home) == [app]
        terminal.press("q")
        terminal.wait()
    wait_for(lambda: not apps_in(live_home))
