"""Homes with very small runs in them, for terminals that need something to show."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from terminal import PATIENCE
from tiny_models import write_drawing_run

from genui.runs.layout import RunDir
from genui.runs.listing import summarise


@pytest.fixture(scope="session")
def icons_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GENUI_HOME with a tiny image model."""
    home = tmp_path_factory.mktemp("icons")
    with pytest.MonkeyPatch.context() as context:
        context.setenv("GENUI_HOME", str(home))
        write_drawing_run("tiny")
    return home


@pytest.fixture(scope="module")
def live_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    """A detached training in a home of its own; ended after the module's tests."""
    run = tiny.start_training(tmp_path_factory.mktemp("live"), "threads=1")
    try:
        end = time.monotonic() + 3 * PATIENCE
        while summarise(run).status.step < 1:
            summary = summarise(run)
            assert summary.alive, summary.status.error or summary.fault
            assert time.monotonic() < end, f"still {summary.state}"
            time.sleep(0.05)
        yield run
    finally:
        tiny.end_training(run)


@pytest.fixture
def live_home(live_run: RunDir) -> Path:
    """The GENUI_HOME of the detached training."""
    return live_run.path.parents[2]
