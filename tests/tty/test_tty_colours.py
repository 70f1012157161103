"""Terminals with few colours, or none."""

import re

from terminal import Terminal

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
    with Terminal(env=env) as terminal:
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
    assert colours(seen(TERM="xterm", COLORTERM="")) == {"16"}


def test_a_terminal_of_256_colours_gets_no_truecolour() -> None:
    assert "truecolor" not in colours(seen(TERM="xterm-256color", COLORTERM=""))


def test_a_dumb_terminal_gets_the_plain_listing() -> None:
    with Terminal(env={"TERM": "dumb", "COLORTERM": ""}) as terminal:
        assert terminal.wait() == 0
        assert b"MODELS" in terminal.output
        assert b"\x1b" not in terminal.output
