"""The ranks of a job, in one process: rank 0 by genui.init, another as a Run with its place."""

import json
import os
import time
from itertools import count

import numpy as np
import psutil
import pytest
from api_runs import folder, said

import genui
from genui.logs.native import MetricsTail
from genui.runs import ranks
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


def test_rank_0_may_have_ended_before_another_rank_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("RANK", "0")
    run = genui.init("first")
    run.log({"loss": 2.0})
    run.finish()
    rank = join(monkeypatch)
    rank.log({"loss": 1.0})
    rank.finish()
    assert losses(run) == [1.0]
    assert said(capsys) == []


def test_rank_0_may_begin_after_another_rank_has_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rank = join(monkeypatch)
    rank.log({"loss": 1.0})
    begun: list[Run] = []
    sleep = time.sleep

    def begin(seconds: float) -> None:
        if not begun:
            begun.append(genui.init("late"))
        sleep(seconds)

    monkeypatch.setattr(ranks.time, "sleep", begin)
    rank.finish()
    assert losses(begun[0]) == [1.0]
    assert said(capsys) == []


def test_a_run_of_the_job_before_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ranks, "_LAST_WAIT", 0.0)
    join(monkeypatch)
    earlier = genui.init("earlier")
    earlier.finish()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time() + 60)
    rank = join(monkeypatch)
    rank.log({"loss": 1.0})
    rank.finish()
    assert "what rank 1 logged is lost" in said(capsys)[0]
    assert "metrics-rank1.jsonl" not in os.listdir(earlier.dir)


def test_a_rank_without_a_run_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ranks, "_LAST_WAIT", 0.0)
    rank = join(monkeypatch)
    rank.log({"loss": 1.0, "seen": genui.Image(np.zeros((2, 2)))})
    rank.finish()
    (line,) = said(capsys)
    assert line.startswith("genui: what rank 1 logged is lost, because rank 0 has made no run")


def test_the_ranks_are_compared_at_the_steps_that_all_have(monkeypatch: pytest.MonkeyPatch):
    rank = join(monkeypatch)
    run = genui.init("both")
    tail = MetricsTail(folder(run).metrics)
    for step in range(4):
        run.log({"loss": 2.0, "step_time": 1.0, "own": 1.0}, step=step)
        if step != 1:
            rank.log({"loss": 2.5 + step, "step_time": 2.0 - step}, step=step)
        tail.read()  # as it grows
    rank.finish()
    run.finish()
    tail.read()
    points = {name: list(zip(*one.points[:2], strict=True)) for name, one in tail.series.items()}
    assert points["ranks/spread loss"] == [(0, 0.5), (2, 2.5), (3, 3.5)]
    assert points["ranks/slowest"] == [(0, 1), (2, 0), (3, 0)]
    assert "ranks/spread own" not in points
    assert points["rank1/loss"] == [(0, 2.5), (2, 4.5), (3, 5.5)]


def test_without_the_time_of_a_step_the_rank_that_logs_last_is_the_slowest(
    monkeypatch: pytest.MonkeyPatch,
):
    rank = join(monkeypatch)
    run = genui.init("late")
    clock = count(1.0)
    monkeypatch.setattr("genui.runs.api.time.time", lambda: next(clock))
    rank.log({"loss": 1.0}, step=0)
    run.log({"loss": 1.0}, step=0)
    run.log({"loss": 1.0}, step=1)
    rank.log({"loss": 1.0}, step=1)
    monkeypatch.undo()
    tail = MetricsTail(folder(run).metrics)
    tail.read()
    assert tail.series["ranks/slowest"].values.tolist() == [0, 1]
