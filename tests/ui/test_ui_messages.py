"""The messages above the footer: how long they stay, and where they can be read again."""

import time

import pytest
import stage
from acting import Opener, home_of, seen, until, until_seen
from textual.geometry import Region
from textual.pilot import Pilot

from genui.ui import messages
from genui.ui.home import HomeScreen
from genui.ui.keys import list_views
from genui.ui.screens import AppScreen, PaneScreen
from genui.ui.training.screen import TrainingScreen
from genui.ui.widgets import bars
from genui.ui.widgets.bars import StatusLine
from genui.ui.widgets.dialogs import MessagesScreen

LONG = "nothing could be read of " + "a long folder, " * 30 + "so try another one"


async def test_a_note_fades_on_every_screen_and_moves_nothing(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.make_run(name="plays", step=300, steps=300, state="finished")
    usual = bars.FADE
    async with open_app() as pilot:
        for key in [view.shown for view in list_views() if view.shown not in "23"]:
            monkeypatch.setattr(bars, "FADE", usual)
            kind = {"1": HomeScreen, "4": TrainingScreen}.get(key, PaneScreen)
            await pilot.press(key)
            await until(pilot, lambda kind=kind: is_front(pilot, kind))
            screen = pilot.app.screen
            assert isinstance(screen, AppScreen)
            status = screen.query_one(StatusLine)
            await until(pilot, lambda s=screen: all(x.size for x in s.query("#header, #footer")))
            before = places(screen)
            screen.say(LONG, "note")
            await until(pilot, lambda status=status: status.region.height == 1)
            assert status.region.bottom == screen.size.height - 1  # above the footer
            assert places(screen) == before
            monkeypatch.setattr(bars, "FADE", 0.05)
            screen.say(LONG, "note")
            await until(pilot, lambda status=status: not status.text)
            assert places(screen) == before


def is_front(pilot: Pilot[None], kind: type) -> bool:
    return isinstance(pilot.app.screen, kind) and pilot.app.screen.is_mounted


def places(screen: AppScreen) -> list[Region]:
    """Where all but the line of messages is."""
    return [part.region for part in screen.children if not isinstance(part, StatusLine)]


async def test_an_error_stays_until_a_key_and_the_last_messages_can_be_read_in_full(
    shipped, open_app: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "FADE", 0.05)
    async with open_app() as pilot:
        status = pilot.app.screen.query_one(StatusLine)
        pilot.app.post_message(messages.ShowStatus("no such thing: try another"))
        await until_seen(pilot, "no such thing")
        time.sleep(0.1)
        await pilot.pause(0.1)
        assert "no such thing" in status.text
        await pilot.press("down")
        assert not status.text
        await pilot.resize_terminal(80, 24)
        for n in range(12):
            home_of(pilot).say(f"message {n}.", "note")
        home_of(pilot).say(LONG)
        await pilot.press("app.messages")
        await until(pilot, lambda: isinstance(pilot.app.screen, MessagesScreen))
        text = "".join(seen(pilot).split())
        assert "message11." in text
        assert text.count("message") <= 10
        assert text.count("folder,") == 30  # of which the line left out the middle
        await pilot.press("m")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MessagesScreen))
