"""Every test has its own GENUI_HOME, so none reads or writes the user's files.

With xdist, there is one worker more than processors, and files that wait are spread among files
that compute, so that no processor is idle.
"""

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import leftovers
import pytest
from hypothesis import HealthCheck, settings

# How fast a machine makes and runs examples says nothing about genui.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

WAITING = (
    "tests/tty/",
    "tests/net/test_net_app.py",
    "tests/net/test_net_runs.py",
    "tests/runs/test_run_slurm.py",
)
"""Files whose tests wait for a terminal, a trainer or Slurm most of their time."""


# A thread of torch that waits for the others of its process sleeps, for there are more of them than
# processors; by default it spins, which took three times as long. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would run files of few long tests last


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests only wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the waiting files among the others, one at a time."""
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    waiting = [tests for tests in files if tests[0].nodeid.startswith(WAITING)]
    busy = [tests for tests in files if tests not in waiting]
    step = len(busy) // (len(waiting) + 1) + 1
    items.clear()
    for at, tests in enumerate(busy):
        if at % step == 0 and waiting:
            items += waiting.pop(0)
        items += tests
    items += [test for tests in waiting for test in tests]


@pytest.fixture(autouse=True)
def genui_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("GENUI_HOME", str(home))
    monkeypatch.setenv("GENUI_FIND_MODELS", "no")  # of other programs
    monkeypatch.setenv("GENUI_QUIET", "1")  # Home stays still unless a test wants its demo
    return home


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ends what the tests of a file have left running, and fails with its list."""
    yield
    left = leftovers.end(tmp_path_factory.getbasetemp())
    assert not left, "left running:\n" + "\n".join(left)
