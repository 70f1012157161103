"""An image stepped by hand in a real terminal: what each step costs it."""

import time
from pathlib import Path

from terminal import Terminal

from genui.protocol.kinds import KINDS

BUDGET = 25_000  # bytes a step
CELLS = (64, 32)
STEPS = KINDS["diffusion", "image"].defaults.steps
RIGHT, HOME = "\x1b[C", "\x1b[H"
QUIET = 0.3  # seconds without output after which a step is wholly drawn
TRICKLE = 256  # bytes; the header's figures change every second


Colours = dict[tuple[int, int], str]


def sent_once_quiet(terminal: Terminal) -> int:
    """Bytes sent until now, once no more come."""
    sent = len(terminal.output)
    while True:
        time.sleep(QUIET)
        before, sent = sent, len(terminal.output)
        if sent - before < TRICKLE:
            return sent


def colours(terminal: Terminal) -> Colours:
    """The background of every cell, by column and line."""
    columns, lines = terminal.screen.columns, terminal.screen.lines
    buffer = terminal.screen.buffer
    return {(x, y): buffer[y][x].bg for y in range(lines) for x in range(columns)}


def extent(before: Colours, after: Colours) -> tuple[int, int]:
    """Columns and lines of the part whose backgrounds differ, the header and footer aside."""
    last = max(y for _, y in before)
    changed = [(x, y) for (x, y), bg in after.items() if before[x, y] != bg and 1 < y < last - 1]
    across, down = zip(*changed, strict=True)
    return max(across) - min(across) + 1, max(down) - min(down) + 1


def test_a_step_of_a_large_image_is_within_its_budget(icons_home: Path) -> None:
    with Terminal(size=(180, 60), env={"GENUI_HOME": str(icons_home)}) as terminal:

        def until_step(step: int) -> None:
            terminal.until(lambda text: f" {step}/{STEPS}" in text)

        terminal.until(lambda text: "✓ tiny" in text)
        terminal.press("G")  # the run is the first row
        terminal.until(lambda text: "tiny @1" in text)
        until_step(STEPS)
        terminal.press(HOME)
        until_step(0)
        costs, sent, noise = [], sent_once_quiet(terminal), colours(terminal)
        for step in range(1, 5):
            terminal.press(RIGHT)
            until_step(step)
            before, sent = sent, sent_once_quiet(terminal)
            costs.append(sent - before)
        terminal.settle()
        assert extent(noise, colours(terminal)) == CELLS
    # On a busy machine the end of one step's output may count for the next.
    assert sum(costs) <= BUDGET * len(costs), costs
    assert min(costs) > 0
