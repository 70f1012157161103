"""What the tests of the Training screen share: a log that grows, and what is seen of it."""

import json
import time
from collections.abc import Mapping

import stage
from acting import board_of
from textual.pilot import Pilot

from genui.runs.layout import RunDir
from genui.ui.training.curves import CurveGrid


def log(run: RunDir, *records: Mapping[str, object]) -> None:
    """Appends to the run's metrics."""
    with run.metrics.open("a") as file:
        file.writelines(json.dumps({"time": time.time(), **record}) + "\n" for record in records)


def many(count: int) -> RunDir:
    """A run of so many metrics, named m0, m1 …"""
    run = stage.make_run(name="many", step=1)
    run.metrics.write_text("")
    log(run, *({"step": step, **{f"m{n}": step + n for n in range(count)}} for step in (1, 2)))
    return run


def titles(pilot: Pilot[None]) -> list[str]:
    """The names of the curves that are seen, in order."""
    grid = board_of(pilot).query_one(CurveGrid)
    return [cell.plot.key for cell in grid.cells if cell.plot is not None]


def chosen(pilot: Pilot[None]) -> str:
    cell = board_of(pilot).query_one(CurveGrid).chosen
    assert cell is not None
    assert cell.plot is not None
    return cell.plot.key


def span(pilot: Pilot[None]) -> tuple[float, float]:
    """The first and the last step in sight in the chosen curve."""
    cell = board_of(pilot).query_one(CurveGrid).chosen
    assert cell is not None
    return cell.curve.span()
