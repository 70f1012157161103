"""What a terminal says about its colours."""

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from genui.render.colours import ColourMode
from genui.ui import facts
from genui.ui.terminal import ThinBlack
from genui.ui.themes import choose_theme

DA1 = "\x1b[?62;4c"


@pytest.mark.parametrize(
    ("replies", "light"),
    [
        ("\x1b]11;rgb:ffff/ffff/ffff\x1b\\", True),
        ("\x1b]11;rgb:fd/f6/e3\x07", True),
        ("\x1b]11;rgba:f/f/f/f\x07", True),
        ("\x1b]11;rgb:0000/0000/0000\x1b\\", False),
        ("\x1b]11;rgb:2828/2a2a/3636\x07", False),
        ("\x1b]11;?\x07", None),
        ("", None),
    ],
)
def test_a_background_is_light_or_dark(replies: str, light: bool | None) -> None:
    assert facts.is_light(replies + DA1) is light


@pytest.mark.parametrize(
    ("replies", "before", "colours"),
    [
        ("\x1bP1$r0;48:2::1:2:3m\x1b\\", "16", "truecolor"),  # xterm
        ("\x1bP1$r0;48;2;1;2;3m\x1b\\", "256", "truecolor"),
        ("\x1bP1$r48:2:1:2:3m\x1b\\", "256", "truecolor"),
        ("\x1bP1$r0;48:5:16m\x1b\\", "256", "256"),
        ("\x1bP1$r0m\x1b\\", "16", "16"),
        ("\x1bP0$r\x1b\\", "256", "256"),
        ("\x1b[>0;136;0c", "16", "256"),  # PuTTY
        ("\x1b[>41;390;0c", "16", "16"),
        ("", "16", "16"),
    ],
)
def test_a_terminal_says_how_many_colours_it_has(
    replies: str, before: ColourMode, colours: ColourMode
) -> None:
    assert facts.read_colours(replies + DA1, before) == colours


def test_only_what_is_not_known_is_asked() -> None:
    xterm = {"TERM": "xterm"}
    everything = facts.BACKGROUND + facts.TRUECOLOUR + facts.VERSION
    assert facts.list_queries(xterm, "16", True) == everything
    assert facts.BACKGROUND not in facts.list_queries(xterm, "16", False)
    assert facts.list_queries(xterm, "truecolor", True) == facts.BACKGROUND
    for chosen in ("FORCE_COLOR", "COLORTERM", "TMUX"):
        assert facts.list_queries(xterm | {chosen: "1"}, "256", True) == facts.BACKGROUND
    for term in ("linux", "dumb", ""):
        assert facts.list_queries({"TERM": term}, "16", True) == ""
    assert facts.list_queries(xterm | {"STY": "1.screen"}, "16", True) == ""
    assert facts.list_queries(xterm, "ascii", True) == ""  # NO_COLOR


def test_the_theme_follows_the_background() -> None:
    assert choose_theme("truecolor", light=True) == choose_theme("256", light=True) == "genui-light"
    assert choose_theme("truecolor") == "genui-dark"
    assert choose_theme("16", light=True) == "genui-16"


def test_black_text_is_not_bold_in_sixteen_colours() -> None:
    black, white = Style(bold=True, color="#000000"), Style(bold=True, color="#ffffff")
    segments = [Segment("a", black), Segment("b", white), Segment("c", None)]
    styles = [s.style for s in ThinBlack().apply(segments, Color(0, 0, 0))]
    assert styles == [black + Style(bold=False), white, None]
