"""The ranks of a job, in one process: rank 0 by genui.init, another as a Run with its place."""

import json
import os

import numpy as np
import pytest
from api_runs import folder, said

import genui
from genui.runs.api import Run
from genui.runs.layout import read_info
from genui.runs.ranks import find_place


def join(monkeypatch: pytest.MonkeyPatch, port: str = "29500") -> Run:
    """Rank 1 of the job at that port; rank 0 is what `genui.init` makes from now on."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", port)
    monkeypatch.setenv("RANK", "1")
    place = find_place()
    monkeypatch.setenv("RANK", "0")
    return Run(None, "rank 1", place=place)


def losses(run: Run) -> list[float]:
    """What rank 1 added to that run."""
    path = folder(run).path / "metrics-rank1.jsonl"
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


def test_a_rank_waits_for_the_run_of_its_own_job(monkeypatch: pytest.MonkeyPatch):
    rank = join(monkeypatch)
    first = genui.init("first")
    first.finish()
    rank.log({"loss": 1.0})  # of the next job, which torchrun gives the same key
    second = genui.init("second")
    rank.log({"loss": 2.0})
    rank.finish()
    assert losses(second) == [1.0, 2.0]
    assert "metrics-rank1.jsonl" not in os.listdir(first.dir)


def test_ranks_find_a_run_that_another_job_continues(monkeypatch: pytest.MonkeyPatch):
    join(monkeypatch, "1")
    genui.init("kept", id="kept").finish()
    rank = join(monkeypatch, "2")
    run = genui.init("kept", id="kept")
    assert run.resumed is False  # without records
    rank.log({"loss": 1.0})
    assert losses(run) == [1.0]
    assert "MASTER_PORT=2" in read_info(folder(run)).job


def test_a_rank_without_a_run_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rank = join(monkeypatch)
    rank.log({"loss": 1.0, "seen": genui.Image(np.zeros((2, 2)))})
    rank.finish()
    (line,) = said(capsys)
    assert line.startswith("genui: what rank 1 logged is lost, because rank 0 has no run")
