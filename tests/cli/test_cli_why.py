"""`genui why` of a run that lives: where its processes are."""

import json
from collections.abc import Callable, Iterator

import pytest

from genui.cli.main import main
from genui.runs.layout import RunDir, RunLock, change_status, starting
from genui.runs.stack_signal import answer_requests


@pytest.fixture
def live(make_run: Callable[..., RunDir]) -> Iterator[RunDir]:
    """A run whose trainer is this process."""
    run = make_run()
    with RunLock(run):
        change_status(run, **{**starting(), "state": "running"})
        undo = answer_requests(run)
        try:
            yield run
        finally:
            undo()


def test_a_run_that_lives_says_where_it_is(
    live: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", live.id]) == 0
    text = capsys.readouterr().out
    assert "running, last written" in text
    assert "now    the process is in " in text
    assert "    test_a_run_that_lives_says_where_it_is (test_cli_why.py:" in text
    assert main(["why", str(live.path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["name"] == "running"
    (rank,) = answer["ranks"]
    assert rank["frames"][-1]["file"]
