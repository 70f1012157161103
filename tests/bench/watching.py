"""Logs of many steps, and the first chart that is drawn of one."""

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pseudo_terminal import PseudoTerminal

BRAILLE = re.compile(rb"\xe2[\xa0-\xa3][\x80-\xbf]")
CHART = 30
"""Signs of dots: more than a spinner or a logo."""


def first_chart(terminal: PseudoTerminal) -> float:
    """Seconds from the launch to the first chart. Raises AssertionError after 60."""
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        signs = 0
        for chunk in terminal.chunks:
            signs += len(BRAILLE.findall(chunk.data))
            if signs >= CHART:
                return chunk.at - terminal.started
        time.sleep(0.01)
    raise AssertionError(f"no chart in 60 s; the last output: {terminal.output[-500:]!r}")


def open_log(argv: Sequence[str], env: dict[str, str]) -> float:
    with PseudoTerminal(argv, env=env) as terminal:
        return first_chart(terminal)


METRICS = ("loss", "val_loss", "grad_norm", "lr", "rate")


def values(step: int, metrics: int = len(METRICS)) -> dict[str, float]:
    """A loss that falls with noise, and what goes with it; the same at every call."""
    noise = (step * 2654435761 % 4294967296) / 4294967296
    loss = 4 * math.exp(-step / 2e4) + 1 + noise / 5
    first = dict(zip(METRICS, (loss, loss + 0.1, noise, 3e-4, 5800 + loss), strict=True))
    return first | {f"layer{number}": loss + number for number in range(metrics - len(first))}


def lines(start: int, steps: int, metrics: int = len(METRICS)) -> Iterator[str]:
    """Records of `steps` steps from `start`, as genui's trainer writes them."""
    now = round(time.time() - steps, 3)
    for step in range(start, start + steps):
        record = {"step": step, "time": now + step - start, **values(step, metrics)}
        yield json.dumps(record, separators=(",", ":")) + "\n"


def write_run(name: str, steps: int, metrics: int = len(METRICS)) -> Path:
    """A finished run in GENUI_HOME with that many steps and, if given, metrics."""
    from genui.recipes import find_recipe
    from genui.runs.layout import Status, create_run, write_status

    run = create_run(find_recipe("shakespeare"), {"steps": str(steps)}, name)
    with run.metrics.open("w") as file:
        file.writelines(lines(1, steps, metrics))
    write_status(run, Status(state="finished", step=steps, steps=steps))
    return run.path
