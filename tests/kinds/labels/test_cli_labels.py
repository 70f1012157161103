"""`genui rename`, `tag`, `note`, `rm` and `runs --tag`."""

import io
import json
import socket
import sys
from collections.abc import Callable

import pytest

from genui.cli.main import main
from genui.runs.layout import RunDir, RunLock, Status, write_status


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    capsys.readouterr()
    assert main(["runs", *options]) == 0
    return capsys.readouterr().out.splitlines()


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    stdin = io.StringIO(text)
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", stdin)


def test_names_tags_and_notes_are_columns_once_a_run_has_some(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    assert not {"NAME", "TAGS", "NOTE"} & set(listed(capsys)[0].split())
    assert main(["rename", run.id, "wider"]) == 0
    assert main(["tag", "wider", "base", "small"]) == 0
    assert main(["note", "wider", "twice the width"]) == 0
    head, row = listed(capsys)
    assert head.split()[-3:] == ["NAME", "TAGS", "NOTE"]
    assert row.rstrip().endswith("wider  base, small  twice the width")
    assert main(["inspect", "wider"]) == 0
    shown = capsys.readouterr().out
    assert "wider" in shown
    assert "base, small" in shown
    assert "twice the width" in shown


def test_runs_of_a_tag(make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]) -> None:
    tagged, _ = make_run(), make_run()
    assert main(["tag", tagged.id, "base"]) == 0
    _, only = listed(capsys, "--tag", "base")
    assert only.startswith(tagged.id)
    found = json.loads("\n".join(listed(capsys, "--tag", "base", "--json")))
    assert [(each["id"], each["tags"]) for each in found] == [(tagged.id, ["base"])]
    assert main(["runs", "--tag", "bass"]) == 2
    assert "did you mean 'base'?" in capsys.readouterr().err


def test_tags_and_notes_are_read_and_taken_away(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    for argv, line in (
        (["tag", run.id], "no tags"),
        (["tag", run.id, "a", "b"], "a, b"),
        (["tag", run.id, "--remove", "a"], "b"),
        (["note", run.id], "no note"),
        (["note", run.id, "why"], "why"),
        (["note", run.id, ""], "no note"),
    ):
        assert main(argv) == 0
        assert capsys.readouterr().out.strip() == f"{run.id}: {line}"


def test_a_run_is_removed_once_somebody_agrees(
    make_run: Callable[..., RunDir],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run()
    answer(monkeypatch, "\n")
    assert main(["rm", run.id]) == 1
    assert run.path.is_dir()
    assert "nothing was deleted" in capsys.readouterr().err
    answer(monkeypatch, "y\n")
    assert main(["rm", run.id]) == 0
    assert "freed" in capsys.readouterr().out
    assert not run.path.exists()
    assert list(run.path.parent.iterdir()) == []


def test_where_nobody_can_answer_yes_is_needed(
    make_run: Callable[..., RunDir],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = make_run(), make_run()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["rm", one.id]) == 2
    assert "--yes" in capsys.readouterr().err
    assert main(["rm", one.id, other.id, one.id, "--yes"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert not one.path.exists()
    assert not other.path.exists()


def test_a_run_that_trains_stays(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    run, idle = make_run(), make_run()
    with RunLock(run):
        write_status(run, Status(state="running", pid=1, host=socket.gethostname()))
        assert main(["rm", idle.id, run.id, "--yes"]) == 1
    assert "stop it first" in capsys.readouterr().err
    assert run.path.is_dir()
    assert idle.path.is_dir()  # all or none


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_whose_job_waits_in_a_queue_stays(
    waits: bool,
    make_run: Callable[..., RunDir],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run()
    write_status(run, Status(state="queued"))
    monkeypatch.setattr("genui.runs.slurm.is_queued", lambda run: waits)
    assert main(["rm", run.id, "--yes"]) == waits
    assert ("is queued: stop it first" in capsys.readouterr().err) == waits
    assert run.path.exists() == waits
