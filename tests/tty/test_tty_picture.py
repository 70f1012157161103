"""A picture stepped by hand in a real terminal: what each step costs it."""

import re
import time
from itertools import pairwise
from pathlib import Path

from terminal import Terminal

BUDGET = 25_000  # bytes a step, at 64×32 cells
STEPS = 6


def test_a_step_of_a_large_picture_is_within_its_budget(icons_home: Path) -> None:
    with Terminal(size=(180, 60), env={"GENUI_HOME": str(icons_home)}) as terminal:
        terminal.until(lambda text: "tiny" in text)
        terminal.press("3")  # the canvas; what is opened now is chosen by the run
        terminal.press("1")
        terminal.until(lambda text: "─ Models " in text)
        terminal.press("\x1b[Z" * 3)
        costs = []
        assert costs, pairwise, re
        time.sleep(0)
