"""Only what is new is sent, and the terminal shows the same as if all were."""

import random
from itertools import pairwise

import pyte
import pytest

from genui.ui.cells import Cells

COLUMNS, LINES = 40, 8
WORDS = ["to be", "  ", "▀▀", "█▌", "—", "or not", "字", "é", " "]
COLOURS = ["38;2;255;10;9", "38;5;7", "31", "39", "97", "48;2;1;2;3", "48;5;200", "44", "49", "107"]
ATTRIBUTES = ["1", "2", "3", "4", "7", "9", ""]


class Twins:
    """A terminal that gets everything, and one that gets what `Cells` lets through."""

    def __init__(self) -> None:
        self.whole, self.spared = (pyte.Screen(COLUMNS, LINES) for _ in range(2))
        self._streams = [pyte.Stream(screen) for screen in (self.whole, self.spared)]
        self.cells = Cells(COLUMNS, LINES)

    def write(self, text: str) -> str:
        """Returns what was let through."""
        sent = self.cells.update(text)
        for stream, data in zip(self._streams, (text.replace("\n", "\r\n"), sent), strict=True):
            stream.feed(data.replace("\n", "\r\n"))
        return sent

    def same(self) -> bool:
        def seen(screen: pyte.Screen) -> list[tuple[object, ...]]:
            cells = [screen.buffer[y][x] for y in range(LINES) for x in range(COLUMNS)]
            return [
                # What a space is written with shows only where it has a line or is reversed.
                (c.data, c.bg) if c.data == " " and not (c.reverse or c.underscore
                                                         or c.strikethrough) else tuple(c)
                for c in cells
            ]  # fmt: skip

        return seen(self.whole) == seen(self.spared)


def repaint(dice: random.Random) -> str:
    """A few lines painted in places, as Textual writes them."""
    text = ""
    for y in sorted(dice.sample(range(1, LINES + 1), 3)):
        text += f"\x1b[{y};{dice.randint(1, 10)}H"
        for _ in range(dice.randint(1, 4)):
            codes = ";".join(filter(None, [dice.choice(ATTRIBUTES), *dice.sample(COLOURS, 2)]))
            text += f"\x1b[{codes}m{dice.choice(WORDS)}\x1b[0m"
        text += "\n" if y < LINES else ""
    return f"{text}\x1b[1;1H"


@pytest.mark.parametrize("seed", range(20))
def test_it_looks_the_same_as_if_all_were_sent(seed: int) -> None:
    twins, dice = Twins(), random.Random(seed)
    for _ in range(30):
        twins.write(repaint(dice))
        assert twins.same()


def test_what_is_shown_already_costs_nothing() -> None:
    twins, text = Twins(), repaint(random.Random(1))
    assert twins.write(text)
    assert twins.write(text) == ""


def test_one_new_letter_costs_one_letter() -> None:
    twins = Twins()
    before, after = (f"\x1b[3;1H\x1b[1;31mstep {n} of 20\x1b[0m\x1b[1;1H" for n in (1, 2))
    twins.write(before)
    assert twins.write(after) == "\x1b[3;6H\x1b[1;31m2\x1b[0m\x1b[1;1H"


def test_after_forgetting_all_is_sent_again() -> None:
    twins, text = Twins(), repaint(random.Random(2))
    first = twins.write(text)
    twins.cells.forget()
    assert len(twins.write(text)) >= len(first)


@pytest.mark.parametrize("foreign", ["\x1b[2J", "\x1b]52;c;dGV4dA==\x07", "\x1b[?1049h", "\a"])
def test_what_is_no_repaint_goes_through_as_it_is(foreign: str) -> None:
    cells, text = Cells(COLUMNS, LINES), repaint(random.Random(3))
    assert cells.update(foreign) == foreign
    cells.update(text)
    assert cells.update(f"{text}{foreign}") == f"{text}{foreign}"
    assert cells.update(text) != ""  # what it did to the screen is not known


def test_a_frame_of_noise_is_cheaper_than_textual_writes_it() -> None:
    dice = random.Random(4)

    def frame() -> str:
        rows = (
            "".join(
                f"\x1b[38;2;{dice.randrange(256)};9;9;48;2;9;{dice.randrange(256)};9m▀\x1b[0m"
                for _ in range(COLUMNS)
            )
            for _ in range(LINES)
        )
        return "".join(f"\x1b[{y};1H{row}" for y, row in enumerate(rows, 1)) + "\x1b[1;1H"

    twins = Twins()
    for first, second in pairwise(frame() for _ in range(3)):
        twins.write(first)
        assert len(twins.write(second)) < 0.9 * len(second)
        assert twins.same()
