"""Telling someone who looks elsewhere: the terminal's bell, and its desktop notification.

OSC 9 came with iTerm2 and OSC 777 with urxvt; a terminal that knows neither is only rung.
tmux and screen keep such sequences for themselves unless they are wrapped in a DCS that they
pass on (tmux: `set -g allow-passthrough on`).
"""

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from textual.app import App

from genui.render.sanitise import clean_line

BELL = "\a"

Way = Literal["", "9", "777"]
"""The number of the OSC sequence, or none."""

Wrap = Literal["", "tmux", "screen"]

_TITLE, _BODY = 32, 120  # cells
LONGEST = 250
"""Characters of a notification: screen takes no more, and the driver sends so short a text
whatever waits for the terminal."""

_TMUX_SECONDS = 1.0
_TMUX = ("tmux", "display-message", "-p", "#{client_termtype}\n#{client_termname}")

# What terminals call themselves, in TERM, TERM_PROGRAM, LC_TERMINAL or their answer to XTVERSION.
_KNOWN: tuple[tuple[str, Way], ...] = (
    ("iterm", "9"),
    ("wezterm", "9"),
    ("ghostty", "9"),
    ("kitty", "9"),
    ("warpterminal", "9"),
    ("foot", "777"),
    ("rxvt-unicode", "777"),
    ("contour", "777"),
)
# Variables that only one terminal sets.
_MARKS: tuple[tuple[str, Way], ...] = (
    ("KITTY_WINDOW_ID", "9"),
    ("WEZTERM_PANE", "9"),
    ("GHOSTTY_RESOURCES_DIR", "9"),
    ("ITERM_SESSION_ID", "9"),
    ("VTE_VERSION", "777"),
)


class Channel(NamedTuple):
    """How a notification reaches the terminal."""

    way: Way = ""
    wrap: Wrap = ""


def ask_tmux() -> str:
    """What tmux knows of the terminal that is attached now; empty where it does not answer.

    Starts a process: not for the event loop.
    """
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(
            _TMUX, capture_output=True, text=True, timeout=_TMUX_SECONDS, check=True
        )
        return answer.stdout
    return ""


def channel(environ: Mapping[str, str] = os.environ, tmux: Callable[[], str] = ask_tmux) -> Channel:
    """How the terminal of `environ` takes a notification.

    GENUI_NOTIFY=9, 777 or off decides for a terminal that does not tell its name, as over SSH.
    Within tmux the variables are those of the terminal it was started in, so it is asked.
    """
    term = environ.get("TERM", "")
    wrap: Wrap = ""
    if "TMUX" in environ:
        wrap = "tmux"
    elif "STY" in environ:
        wrap = "screen"
    match environ.get("GENUI_NOTIFY", ""):
        case "9":
            return Channel("9", wrap)
        case "777":
            return Channel("777", wrap)
        case "off":
            return Channel()
    if term in {"", "dumb", "linux"}:  # the console of Linux prints what it does not know
        return Channel()
    if wrap == "tmux":
        return Channel(_by_name(tmux()), wrap)
    names = " ".join(environ.get(name, "") for name in ("TERM_PROGRAM", "LC_TERMINAL", "TERM"))
    return Channel(_by_name(names) or _by_mark(environ), wrap)


def _by_name(names: str) -> Way:
    names = names.lower()
    for name, way in _KNOWN:
        if name in names:
            return way
    return ""


def _by_mark(environ: Mapping[str, str]) -> Way:
    for mark, way in _MARKS:
        if mark in environ:
            return way
    return ""


def notification(title: str, body: str, to: Channel) -> str:
    """The sequence that shows it on the desktop, LONGEST characters at most; or nothing.

    `title` and `body` may be anybody's text: what a terminal would obey is taken out.
    """
    if not to.way:
        return ""
    title = clean_line(title, _TITLE).replace(";", ",")  # which would end it
    body = clean_line(body, _BODY)
    text = f"{title}: {body}" if to.way == "9" else f"notify;{title};{body}"
    # A DCS of screen ends with the first ST, so what is within ends with BEL.
    end = BELL if to.wrap == "screen" else "\x1b\\"
    sequence = f"\x1b]{to.way};{text}{end}"
    if to.wrap == "tmux":
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        sequence = f"\x1bPtmux;{doubled}\x1b\\"
    elif to.wrap == "screen":
        sequence = f"\x1bP{sequence}\x1b\\"
    return sequence if len(sequence) <= LONGEST else ""


async def ring(app: App[Any], title: str, body: str) -> None:
    """The bell, and where the terminal has it a notification.

    Both go through the app's own driver, between two repaints: neither changes a cell.
    """
    if app.is_headless or app._driver is None:
        return
    app.bell()
    to = await asyncio.to_thread(channel)
    if (text := notification(title, body, to)) and app._driver is not None:
        app._driver.write(text)
