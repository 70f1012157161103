"""The lines of the System panel on the processes of a run."""

from pathlib import Path

import numpy as np

from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.ui.training.ranks import MOST, rank_lines
from genui.ui.watcher import RunView

RANK = {"step_seconds": 0.1, "wait_seconds": 0.05, "memory": 4e8}


HOSTS = ["here"] + ["node2"] * 99


def view_of(ranks: list[dict[str, float]], error: str = "", hosts: object = HOSTS) -> RunView:
    """A run with one record of each rank; "step" and "time" are of the record."""
    series = {
        f"rank{number}/{name}": (
            np.array([rank.get("step", 12)]),
            np.array([value]),
            np.array([rank.get("time", 100.0)]),
        )
        for number, rank in enumerate(ranks)
        for name, value in rank.items()
        if name in RANK
    }
    info = RunInfo(id="a", name="a", recipe={}, machine={"hosts": hosts})
    status = Status(state="failed" if error else "running", error=error)
    return RunView(RunSummary(RunDir(Path("a")), info, status, status.state, 0.0), series)


def lines_of(*args: object) -> list[str]:
    lines = rank_lines(view_of(*args))  # type: ignore[arg-type]
    assert lines is not None
    return lines.plain.splitlines()


def test_a_line_says_where_a_rank_is_and_how_long_it_computes_and_waits() -> None:
    lines = lines_of([RANK, RANK | {"step": 11}])
    assert lines == [
        "rank host   step s/step  waits  memory",
        "   0 here     12   0.10   0.05  400 MB",
        "   1 node2    11   0.10   0.05  400 MB",
    ]
    assert rank_lines(view_of([RANK])) is None
    assert len(lines_of([RANK, RANK], "", 5)) == 3  # whatever a run.json says


def test_a_rank_that_is_slow_or_silent_or_died_is_told() -> None:
    assert lines_of([RANK, RANK | {"step_seconds": 0.2}])[2].endswith("slowest")
    assert lines_of([RANK, RANK | {"time": 60.0}])[2].endswith("silent")
    died = lines_of([RANK, RANK], "rank 1 on node2 was killed by SIGKILL; genui resume a")
    assert [line.endswith("died") for line in died] == [False, False, True]


def test_of_many_ranks_those_with_a_note_and_the_furthest_behind_are_shown() -> None:
    ranks = [RANK | {"step": 50 - number // 8} for number in range(40)]
    ranks[3] = ranks[3] | {"step_seconds": 9.0}
    lines = lines_of(ranks)
    assert len(lines) == MOST + 2
    assert lines[1].split()[0] == "3"
    assert lines[-1] == "and 32 more"
