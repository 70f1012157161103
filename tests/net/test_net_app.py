"""The app in a terminal, with old runs, an old `keys.toml` and old favourites."""

import json
import shutil
from pathlib import Path

import pytest
from net_shell import LAB, Terminal, app, has

PANES = ("Models", "Training", "Text", "Canvas")
F5, F7, ESCAPE = "\x1b[15~", "\x1b[18~", "\x1b"

# by the digit that opens it, what is on that screen alone
SCREENS = {
    "2": "temperature",
    "3": "Settings",
    "4": "grad_norm",
} | ({"5": "Divergence"} if has(LAB) else {})


@pytest.fixture
def mine(old: Path, tmp_path: Path) -> Path:
    """A copy of the old GENUI_HOME that may be changed."""
    home = tmp_path / "mine"
    shutil.copytree(old / "home", home)
    return home


def at_home(terminal: Terminal) -> str:
    """Waits for all panes, and for the runs in the list."""
    return terminal.until(
        lambda text: all(f" {pane} " in text for pane in PANES) and "killed" in text, "Home"
    )


def opens_help(terminal: Terminal, key: str) -> None:
    """The key opens a page of keys over the screen, and Escape closes it."""
    before = terminal.settle().splitlines()
    terminal.press(key)
    terminal.until(
        lambda text: changed(before, text) >= 8 and "ctrl+p" in text.lower(), f"help by {key!r}"
    )
    terminal.press(ESCAPE)
    terminal.until(lambda text: "ctrl+p" not in text.lower(), "help to be closed")


def changed(before: list[str], text: str) -> int:
    """How many lines of the screen are others."""
    return sum(a != b for a, b in zip(before, text.splitlines(), strict=True))


def test_every_screen_opens_by_its_digit_and_an_old_favourite_by_its_image(mine: Path) -> None:
    """Each has a page of keys. The favourite's image is drawn again, and its branches are there."""
    (mine / "state" / "keys.toml").unlink()
    with app(mine) as terminal:
        at_home(terminal)
        opens_help(terminal, "?")
        for digit, word in SCREENS.items():
            terminal.press(digit)
            terminal.until(lambda text, word=word: word in text, f"{word} by {digit}")
            opens_help(terminal, "?")
        terminal.press("1")
        at_home(terminal)
        terminal.press("F")
        terminal.until(lambda text: "heart-20260105" in text, "the favourite")
        terminal.press("\x1b[B")  # down: the newer one is of text
        terminal.press("\r")
        terminal.until(lambda text: "red heart on black" in text, "its caption")
        terminal.until(lambda text: "guidance=5" in text, "its branch")
        terminal.until(lambda text: text.count("▀") > 100, "its image")
        terminal.press("q")
        assert terminal.wait() == 0


def test_old_keys_are_honoured_and_what_was_remembered_is_kept(mine: Path) -> None:
    """`app.help = "f5"`, and `board.smooth = "f7"` in a table."""
    state = mine / "state" / "app.json"
    assert json.loads(state.read_text())["hint_seen"] is True
    with app(mine) as terminal:
        at_home(terminal)
        terminal.press("?")
        assert "ctrl+p" not in terminal.settle(1.0).lower()
        opens_help(terminal, F5)
        terminal.press("4")
        terminal.until(lambda text: "grad_norm" in text, "Training")
        before = terminal.settle(1.0).splitlines()
        terminal.press(F7)
        terminal.until(lambda text: changed(before, text) >= 3, "curves smoothed otherwise by F7")
        terminal.press("q")
        assert terminal.wait() == 0
    assert json.loads(state.read_text())["hint_seen"] is True


def test_a_key_that_is_unknown_is_told_and_the_app_opens(mine: Path) -> None:
    keys = mine / "state" / "keys.toml"
    keys.write_text('"app.nosuch" = "f5"\n')
    with app(mine) as terminal:
        at_home(terminal)
        terminal.until(lambda text: "app.nosuch" in text, "what is wrong with keys.toml")
        terminal.press("q")
        assert terminal.wait() == 0


def test_an_old_run_is_watched(mine: Path) -> None:
    with app(mine, "watch", "gan") as terminal:
        terminal.until(lambda text: "generator_loss" in text and "gan" in text, "its curves")
        terminal.press("q")
        assert terminal.wait() == 0


def test_old_runs_fit_a_classic_terminal(mine: Path) -> None:
    with app(mine, size=(80, 24)) as terminal:
        terminal.until(lambda text: "killed" in text, "the runs")
        terminal.press("4")
        terminal.until(lambda text: "10/60" in text or "8/60" in text, "Training")
        terminal.press("q")
        assert terminal.wait() == 0
