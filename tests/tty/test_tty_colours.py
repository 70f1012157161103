"""Terminals with few colours, or none."""

import re
import sys

from terminal import ALONE, WITHOUT_WORKER, Terminal

from genui.ui.facts import TRUECOLOUR

STYLE = re.compile(rb"\x1b\[([\d;:]*)m")


def colours(output: bytes) -> set[str]:
    """The kinds of colour codes in the output."""
    kinds = set()
    for match in STYLE.finditer(output):
        numbers = [int(n) for n in re.split(rb"[;:]", match[1]) if n]
        while numbers:
            number = numbers.pop(0)
            if number in (38, 48):
                truecolour = numbers.pop(0) == 2
                kinds.add("truecolor" if truecolour else "256")
                del numbers[: 3 if truecolour else 1]
            elif 30 <= number % 60 <= 37 or 40 <= number % 60 <= 47:
                kinds.add("16")
    return kinds


def seen(**env: str) -> bytes:
    """What the app sends from its opening, through another pane and its help, to its end."""
    with Terminal(ALONE, env=env) as terminal:
        terminal.until(lambda text: " Models " in text and "⏎ open" in text)
        terminal.press("\t")
        terminal.press("?")
        terminal.until(lambda text: "Keys of Training" in text)
        terminal.press("\x1b")
        terminal.until(lambda text: "Keys of Training" not in text)
        terminal.press("q")
        assert terminal.wait() == 0
        return terminal.output


def test_truecolour_where_the_terminal_has_it() -> None:
    assert "truecolor" in colours(seen())


def test_no_color_sends_no_colour() -> None:
    assert colours(seen(NO_COLOR="1")) == set()


def test_a_terminal_of_sixteen_colours_gets_no_others() -> None:
    assert colours(seen(TERM="xterm", COLORTERM="").replace(TRUECOLOUR.encode(), b"")) == {"16"}


def test_a_dumb_terminal_gets_the_plain_listing() -> None:
    with Terminal(env={"TERM": "dumb", "COLORTERM": ""}) as terminal:
        assert terminal.wait() == 0
        assert b"MODELS" in terminal.output
        assert b"\x1b" not in terminal.output


# The app in a terminal that may answer late: the machine is busy, and the test with it.
PATIENT = f"""{WITHOUT_WORKER}
from genui.ui import driver
driver.FACTS_WAIT = float(sys.argv[1])
sys.exit(app.run())
"""
WHITE = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\"
DIRECT = "\x1bP1$r0;48:2::1:2:3m\x1b\\"
DA1 = "\x1b[?62;22c"


def answered(patience: float, *replies: str, **env: str) -> bytes:
    """What the app sends to a terminal that answers in these pieces while a filter is typed."""
    program = [sys.executable, "-c", PATIENT, str(patience)]
    with Terminal(program, env={"TERM": "xterm", "COLORTERM": ""} | env) as terminal:
        terminal.until(lambda text: " Models " in text and "⏎ open" in text)
        terminal.until_sent(rb"\x1b\]11;\?")
        terminal.press("/")
        terminal.until(lambda text: "esc clear" in text)
        for reply in replies:
            terminal.press(reply)
        terminal.press("ico")
        terminal.until(lambda text: re.search(r"ico(?!\w|ns)", text) is not None)
        assert not re.search("rgb|ffff|48:2|62;22", terminal.text)
        terminal.press("\x1b")
        terminal.until(lambda text: "esc clear" not in text)
        terminal.press("q")
        assert terminal.wait() == 0
        return terminal.output.replace(TRUECOLOUR.encode(), b"")


def test_a_white_terminal_gets_a_light_app_in_the_colours_it_has() -> None:
    output = answered(600, WHITE + DIRECT + DA1)
    assert "truecolor" in colours(output)
    assert b"48;2;255;255;255" in output


def test_a_terminal_that_answers_for_no_colours_keeps_those_of_its_name() -> None:
    assert colours(answered(600, WHITE + DA1)) == {"16"}


def test_an_answer_that_comes_late_and_in_pieces_is_neither_used_nor_typed() -> None:
    output = answered(0, WHITE[:9], WHITE[9:] + DIRECT[:4], DIRECT[4:] + DA1[:3], DA1[3:])
    assert colours(output) == {"16"}


def test_in_tmux_only_the_background_is_asked_for() -> None:
    env = {"TMUX": "/tmp/none,1,0", "TERM": "tmux-256color"}
    output = answered(600, WHITE + DA1, **env)
    assert "truecolor" not in colours(output)
