"""How long a key takes to be answered while a training and a generation run.

    python tests/bench/bench_keys.py

The app, in a real terminal of 120×40, writes text without end while a trainer started from
the shell trains; keys move the choice and the focus, and each is timed from the write to
the terminal until what it changes has arrived. The peer is the same with nothing running.
"""

import itertools
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import PATIENCE, Figure, Terminal, arguments, home, machine, percentile, report, tiny

from genui.runs import control
from genui.runs.layout import checkpoint_steps, read_status

GAP = 0.06  # seconds in which the screen is not drawn after a key, and those after its answer
TOKENS = 100_000
LIMIT = 50  # ms, 95th percentile
DOWN, UP, TAB, BACK_TAB = "\x1b[B", "\x1b[A", "\t", "\x1b[Z"
LIST = range(2, 20)  # the lines of the Models pane's rows
TRAINING = "width=128 heads=4 layers=4 context=128 batch=16"


def chosen(terminal: Terminal) -> int | None:
    """The line of the chosen row, the only one on another ground."""
    grounds = {line: terminal.screen.buffer[line][5].bg for line in LIST}
    common = statistics.mode(grounds.values())
    return next((line for line, ground in grounds.items() if ground != common), None)


def focus(terminal: Terminal) -> tuple[str, ...]:
    """Which pane has the focus: the colour of every corner of a border, and the footer's keys."""
    lines = enumerate(terminal.screen.display)
    corners = ((y, x) for y, line in lines for x, char in enumerate(line) if char == "╭")
    colours = (terminal.screen.buffer[y][x].fg for y, x in corners)
    return (terminal.screen.display[-1].strip(), *colours)


def answer_times(terminal: Terminal, keys: Iterator[str], presses: int) -> list[float]:
    """Milliseconds from each key to the change it makes."""
    found = []
    for key in itertools.islice(keys, presses):
        terminal.settle()
        look = focus if key in (TAB, BACK_TAB) else chosen
        before = look(terminal)
        pressed = terminal.press(key)
        time.sleep(GAP)
        arrived = terminal.until_drawn(
            lambda look=look, old=before: look(terminal) not in (None, old)
        )
        found.append(1000 * (arrived - pressed))
        time.sleep(GAP)  # the rest of what this key changes
    return found


def moves() -> Iterator[str]:
    """Down and up the list, round the panes and back."""
    return itertools.cycle((DOWN, UP, DOWN, UP, TAB, TAB, BACK_TAB, BACK_TAB))


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 3 * PATIENCE  # a trainer gives way to all others
    while not true():
        if time.monotonic() > end:
            raise SystemExit("bench_keys: the training does not start")
        time.sleep(0.1)


def start_writing(terminal: Terminal) -> None:
    """Write 100,000 tokens with the run's newest checkpoint, and go back to the list."""
    terminal.press("G")
    terminal.until(lambda text: " tok ·" in text)
    terminal.press("s")
    terminal.until(lambda text: "likeliest token" in text)
    terminal.press("jjjjjjj\r")
    terminal.until(lambda text: "How many tokens" in text)
    terminal.press(str(TOKENS))  # what stands there is selected, and so replaced
    terminal.until(lambda text: str(TOKENS) in text)
    terminal.press("\r")
    terminal.until(lambda text: f"/{TOKENS:,} tok ·" in text)
    terminal.press("11")
    terminal.until(lambda text: "filter" in text.splitlines()[-1])


def written(terminal: Terminal) -> int:
    """How many tokens the Text pane says there are."""
    found = re.search(rf"([\d,]+)/{TOKENS:,} tok", terminal.text)
    return int(found[1].replace(",", "")) if found else 0


def busy_times(folder: Path, presses: int) -> list[float]:
    run = tiny.start_training(folder, TRAINING)
    try:
        wait_for(lambda: read_status(run).step > 0)
        control.send(run, "checkpoint")
        wait_for(lambda: bool(checkpoint_steps(run)))
        with Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
            terminal.until(lambda text: "1 training" in text and "fp32" in text)
            start_writing(terminal)
            step, token = read_status(run).step, written(terminal)
            times = answer_times(terminal, moves(), presses)
            if not (read_status(run).step > step and token < written(terminal) < TOKENS):
                raise SystemExit("bench_keys: the training or the writing ended too early")
            return times
    finally:
        tiny.end_training(run)


def quiet_times(folder: Path, presses: int) -> list[float]:
    """The same list, with the run ended and nothing written."""
    with Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
        terminal.until(lambda text: "live" in text and "fp32" in text)
        return answer_times(terminal, moves(), presses)


def main() -> None:
    args = arguments("time until a key is answered", repeats=120)
    before = machine()
    with home() as folder:
        busy = busy_times(folder, args.repeats)
        quiet = quiet_times(folder, args.repeats)
    peer = "nothing running"
    figures = [
        Figure("key answered, 50th percentile", percentile(busy, 50), "ms",
               percentile(quiet, 50), peer),
        Figure("key answered, 95th percentile", percentile(busy, 95), "ms",
               percentile(quiet, 95), peer, LIMIT),
        Figure("key answered, slowest", max(busy), "ms", max(quiet), peer),
    ]  # fmt: skip
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
