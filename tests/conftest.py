"""Every test has its own GENUI_HOME, so none reads or writes the user's files.

With xdist, there is one worker more than processors, and files that wait are spread among files
that compute, so that no processor is idle.
"""

import os
import sys
from collections.abc import Generator, Iterator
from itertools import groupby
from pathlib import Path

import leftovers
import pytest
import tiny_kind
from hypothesis import HealthCheck, settings

from genui.base import plugins
from genui.engine.data import icons
from genui.protocol.kinds import KINDS, Kind

pytest_plugins = ["app_fixtures", "engine_fixtures", "shell_fixtures"]

# How fast a machine makes and runs examples says nothing about genui.
settings.register_profile(
    "unhurried", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
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


# Compiled modules are kept, although an image of Docker may ask for the opposite: each worker would
# compile every test, with its assertions rewritten, and each process that a test starts genui.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would run files of few long tests last


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests only wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Collect the files of a folder from another one on in each worker: each compiles a part of
    what is not compiled yet, and loads what the others have compiled."""
    report = yield
    if isinstance(collector, pytest.Directory) and report.result:
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        first = len(report.result) * worker // workers
        report.result = report.result[first:] + report.result[:first]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the waiting files among the others, one at a time, in the same order in each worker."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path)
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    waiting = [tests for tests in files if tests[0].nodeid.startswith(WAITING)]
    busy = [tests for tests in files if tests not in waiting]
    step = max(1, len(busy) // (len(waiting) + 1))  # the last files are busy ones, which are short
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


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """The kind of ten lines, as a plug-in of this process and of those that it starts."""
    monkeypatch.setenv(plugins.VARIABLE, tiny_kind.__file__)
    return KINDS["pen", "marks"]


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return folder / "drawings"


@pytest.fixture(autouse=True)
def drawn_once(drawings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Icons and emoji are drawn by the first test that needs them: it takes seconds each time."""
    monkeypatch.setattr(icons, "cache_dir", lambda: drawings)


@pytest.fixture(scope="session", autouse=True)
def kept_priority() -> Iterator[None]:
    """Leave this process its priority. A command that runs in it would lower it for good, and the
    tests after it would starve on a busy machine."""
    set_priority = os.setpriority

    def set_of_others(which: int, who: int, priority: int) -> None:
        if who not in (0, os.getpid()):
            set_priority(which, who, priority)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(os, "nice", lambda increment: 0)
        context.setattr(os, "setpriority", set_of_others)
        yield


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ends what the tests of a file have left running, and fails with its list."""
    yield
    left = leftovers.end(tmp_path_factory.getbasetemp())
    assert not left, "left running:\n" + "\n".join(left)
