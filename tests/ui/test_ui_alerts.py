"""What happens to a run is told once: in a line, by bell and notification, and in a list."""

import math
import time

import numpy as np
import pytest
import stage
from acting import Opener, seen, until, until_seen
from textual.pilot import Pilot

from genui.base.config import load_config
from genui.runs.control import ALERTS, record
from genui.runs.layout import RunDir, create_script_run
from genui.runs.listing import summarise
from genui.ui import messages
from genui.ui.app import Shell
from genui.ui.training import alerts
from genui.ui.training.alerts import (
    MAX_LENGTH,
    AlertBook,
    AlertEntry,
    Channel,
    find_channel,
    notification,
)
from genui.ui.training.screen import TrainingScreen
from genui.ui.watcher import RunView

Rung = list[tuple[str, str]]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> Rung:
    """What the terminal was asked to ring for."""
    bells: Rung = []

    async def ring(app: object, title: str, body: str) -> None:
        bells.append((title, body))

    monkeypatch.setattr(alerts, "ring", ring)
    return bells


def log(run: RunDir, step: int, loss: str) -> None:
    with run.metrics.open("a") as file:
        file.write(f'{{"step":{step},"time":{time.time()},"loss":{loss}}}\n')


async def board(pilot: Pilot[None]) -> TrainingScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    await until(pilot, lambda: screen.board.runs.first is not None)
    return screen


def newest_step(screen: TrainingScreen) -> int:
    view = screen.board.runs.first
    return int(view.series["loss"][0][-1]) if view is not None else -1


async def test_a_nan_is_told_once_and_the_list_leads_to_its_step(
    open_watch: Opener, run: RunDir, rung: Rung
) -> None:
    async with open_watch() as pilot:
        screen = await board(pilot)
        log(run, 101, '"NaN"')
        await until_seen(pilot, "✗ plays: loss is NaN at step 101")
        log(run, 102, '"NaN"')
        first = screen.board.runs.first
        await until(pilot, lambda: screen.board.runs.first is not first)
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "Alerts (B: silent)")
        assert seen(pilot).count("✗ plays: loss is NaN at step 101") == 1  # the key ended the line
        await pilot.press("enter")
        await until(pilot, lambda: screen.board.state.cursor == 101)
        assert rung == [("genui", "plays: loss is NaN at step 101")]


async def test_an_alert_of_a_run_that_is_not_in_front_brings_it_there(
    open_watch: Opener, run: RunDir, rung: Rung
) -> None:
    newer = stage.make_run(name="newer", step=5)
    async with open_watch() as pilot:
        screen = await board(pilot)
        assert isinstance(pilot.app, Shell)
        pilot.app.desk.book.look(look(run, 1.0, math.nan))
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "✗ plays: loss is NaN at step 1")
        await pilot.press("enter")
        await until(pilot, lambda: screen.board.state.cursor == 1)
        assert [one.run for one in screen.board.runs.listed] == [run, newer]
        screen.post_message(messages.Pointed(3, RunDir(run.path / "gone")))
        await until_seen(pilot, "this run is no longer listed")
        assert screen.board.state.cursor == 1


async def test_the_bell_can_be_turned_off_and_that_is_remembered(
    open_watch: Opener, run: RunDir, rung: Rung
) -> None:
    async with open_watch() as pilot:
        await board(pilot)
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "No alerts yet")
        await pilot.press("escape", "board.bell")
        await until_seen(pilot, "alerts are silent")
        await until(pilot, lambda: not load_config().bell)
        log(run, 101, '"NaN"')
        await until_seen(pilot, "loss is NaN at step 101")
        await pilot.press("exclamation_mark")
        await until_seen(pilot, "Alerts, silent")
        await pilot.press("B")
        await until_seen(pilot, "Alerts (B: silent)")
        await until(pilot, lambda: load_config().bell)
    assert rung == []


async def test_a_run_that_is_looked_at_again_tells_nothing_twice(
    open_watch: Opener, run: RunDir, rung: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "STALL_INTERVAL", 0.05)
    async with open_watch() as pilot:
        screen = await board(pilot)
        app = pilot.app
        assert isinstance(app, Shell)
        log(run, 101, '"NaN"')
        await until(pilot, lambda: len(app.desk.book.entries) == 1)
        app.watcher.watch()
        await until(pilot, lambda: not app.desk.followed_runs)
        first = screen.board.runs.first
        app.watcher.watch(run)
        await until(
            pilot, lambda: screen.board.runs.first is not first and bool(app.desk.followed_runs)
        )
        log(run, 102, "2.0")
        await until(pilot, lambda: newest_step(screen) == 102)
        await pilot.pause(0.2)
        assert len(app.desk.book.entries) == 1
        assert len(rung) == 1


# --- which alerts there are, without an app ----------------------------------------------


def look(run: RunDir, *losses: float) -> RunView:
    """The run as it is on disk, with these losses, a step each."""
    count = len(losses)
    times = np.full(count, time.time())
    return RunView(summarise(run), {"loss": (np.arange(count), np.array(losses), times)})


def lines(entries: list[AlertEntry]) -> list[str]:
    return [entry.line for entry in entries]


def test_an_alert_is_fresh_once_and_stays_in_the_list(run: RunDir) -> None:
    book = AlertBook(opened=time.time())
    assert book.look(look(run, 1.0)) == []
    fresh = book.look(look(run, 1.0, math.nan))
    assert lines(fresh) == ["plays: loss is NaN at step 1"]
    assert fresh[0].rings
    assert fresh[0].bad
    assert book.look(look(run, 1.0, math.nan, math.nan)) == []
    book.forget(run)
    assert book.look(look(run, 1.0, math.nan, math.nan)) == []  # though it is read anew
    assert lines(book.entries) == lines(fresh)


def test_what_happened_before_the_app_was_opened_is_kept_and_not_fresh() -> None:
    run = stage.make_run(name="plays", step=100, steps=400)
    stage.set_state(run, "failed", 100, 400, error="the loss became nan")
    status = run.status.read_text().replace('"heartbeat":', '"heartbeat":1.0,"_":')
    run.status.write_text(status)
    book = AlertBook(opened=time.time())
    assert book.look(look(run, 1.0)) == []
    assert lines(book.entries) == ["plays: failed at step 100: the loss became nan"]
    assert not book.entries[0].fresh


def test_alerts_of_a_script_are_listed_each_and_ring() -> None:
    script = create_script_run("digits", "", {})
    book = AlertBook(time.time() - 60)
    record(script, 1, ALERTS["warn"], "loss: high")
    record(script, 1, ALERTS["warn"], "loss: higher")
    book.look(look(script, 1.0))
    book.forget(script)
    record(script, 1, ALERTS["error"], "disk: full")
    (last,) = book.look(look(script, 1.0))
    assert [entry.alert.line for entry in book.entries] == [
        "loss: high",
        "loss: higher",
        "disk: full",
    ]
    assert (last.bad, last.rings) == (True, True)
    assert not book.entries[0].bad


def test_a_finish_rings_and_is_not_bad(run: RunDir) -> None:
    book = AlertBook(opened=time.time())
    book.look(look(run, 1.0))
    stage.set_state(run, "finished", 400, 400)
    (finish,) = book.look(look(run, 1.0))
    assert finish.line == "plays: finished at step 400"
    assert finish.rings
    assert not finish.bad


# --- the terminal -----------------------------------------------------------------------

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environ", "tmux", "to"),
    [
        (XTERM, "", Channel()),
        ({}, "", Channel()),
        (XTERM | {"TERM_PROGRAM": "iTerm.app"}, "", Channel("9")),
        (XTERM | {"LC_TERMINAL": "iTerm2"}, "", Channel("9")),  # as SSH hands it on
        ({"TERM": "xterm-kitty"}, "", Channel("9")),
        ({"TERM": "xterm-ghostty"}, "", Channel("9")),
        (XTERM | {"WEZTERM_PANE": "3"}, "", Channel("9")),
        ({"TERM": "foot"}, "", Channel("777")),
        ({"TERM": "rxvt-unicode-256color"}, "", Channel("777")),
        (XTERM | {"VTE_VERSION": "7600"}, "", Channel("777")),
        ({"TERM": "linux", "TERM_PROGRAM": "iTerm.app"}, "", Channel()),
        # Within tmux the variables may be of a terminal that is gone.
        (
            {"TERM": "tmux-256color", "TMUX": "x", "LC_TERMINAL": "iTerm2"},
            "ghostty 1.1.0\nxterm-ghostty",
            Channel("9", "tmux"),
        ),
        (
            {"TERM": "tmux-256color", "TMUX": "x", "LC_TERMINAL": "iTerm2"},
            "\nxterm-256color",
            Channel("", "tmux"),
        ),
        ({"TERM": "screen", "STY": "1.pts", "KITTY_WINDOW_ID": "1"}, "", Channel("9", "screen")),
        (XTERM | {"GENUI_NOTIFY": "777"}, "", Channel("777")),
        ({"TERM": "xterm-kitty", "GENUI_NOTIFY": "off"}, "", Channel()),
    ],
)
def test_a_terminal_is_sent_what_it_knows(environ: dict[str, str], tmux: str, to: Channel) -> None:
    assert find_channel(environ, lambda *facts: tmux) == to


@pytest.mark.parametrize(
    ("to", "sequence"),
    [
        (Channel("9"), "\x1b]9;genui: plays: done\x1b\\"),
        (Channel("777"), "\x1b]777;notify;genui;plays: done\x1b\\"),
        (Channel("9", "tmux"), "\x1bPtmux;\x1b\x1b]9;genui: plays: done\x1b\x1b\\\x1b\\"),
        (Channel("9", "screen"), "\x1bP\x1b]9;genui: plays: done\a\x1b\\"),
        (Channel("", "tmux"), ""),
    ],
)
def test_the_sequence_is_wrapped_for_what_it_goes_through(to: Channel, sequence: str) -> None:
    assert notification("genui", "plays: done", to) == sequence


@pytest.mark.parametrize("osc", ["9", "777"])
@pytest.mark.parametrize("wrap", ["", "tmux", "screen"])
def test_no_text_can_end_the_sequence_or_make_it_long(osc: alerts.Osc, wrap: alerts.Wrap) -> None:
    evil = "a\x1b\\b\x07c\x9cd\n;e\x1b]0;title\x07 " + "漢" * 500
    sequence = notification(evil, evil, Channel(osc, wrap))
    plain = notification("t", "b", Channel(osc, wrap))
    assert sequence
    assert len(sequence) <= MAX_LENGTH
    for control in ("\x1b", "\x07", "\n", "\x9c"):
        assert sequence.count(control) == plain.count(control)
    if osc == "777":
        assert sequence.split("notify;", 1)[1].split(";", 1)[0].startswith("abcd")
