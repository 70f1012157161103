"""One run trained by several processes: forks of the test that speak by gloo."""

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import forks
import pytest
import torch
from waiting import wait_for

import genui
from genui.base.energy import Energy, EnergyPart
from genui.engine import trainer
from genui.engine.train import world
from genui.engine.train.language import TextTask
from genui.logs.native import MetricsTail
from genui.runs import control
from genui.runs.energy import EnergyMeter
from genui.runs.layout import RunDir, read_info, read_status
from genui.runs.processes import LOST
from genui.runs.ranks import rank_file

pytestmark = [
    pytest.mark.usefixtures("signals"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]

MakeRun = Callable[..., RunDir]


def series(run: RunDir, name: str) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return dict(zip(*(part.tolist() for part in tail.series[name].points[:2]), strict=True))


# --- without processes ------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"ngrams": "3", "ngram_rows": "512"}])
def test_a_batch_in_parts_gives_the_losses_of_the_whole(
    tiny_run: MakeRun, settings: dict[str, str]
) -> None:
    plain, parts = (tiny_run(dropout="0", **settings, micro_batches=n) for n in ("1", "3"))
    assert [trainer.train(run) for run in (plain, parts)] == [0, 0]
    losses = [series(run, "loss") for run in (plain, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=0, abs=1e-6)


# --- with processes ---------------------------------------------------------------------------


def test_two_processes_give_the_losses_of_one_and_each_its_own(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Energy((EnergyPart(device="package-0", method="RAPL", joules=1.0, whole=9.0),))
    monkeypatch.setattr(EnergyMeter, "take", lambda meter: reading)
    one, two = (tiny_run(dropout="0", batch="5", steps="8") for _ in range(2))
    assert trainer.train(one) == 0
    forks.train_ranks(two, 2)
    losses = series(two, "loss")
    assert losses == pytest.approx(series(one, "loss"), rel=0, abs=1e-6)
    assert len(series(one, "val_loss")) == len(series(two, "val_loss"))
    # Two windows of five are rank 0's.
    own = [series(two, f"rank{rank}/loss")[1] for rank in (0, 1)]
    assert losses[1] == pytest.approx((2 * own[0] + 3 * own[1]) / 5)
    for name in ("rank0/memory", "rank1/step_seconds", "rank1/wait_seconds", "ranks/slowest"):
        assert min(series(two, name).values()) >= 0
    assert read_info(two).machine["processes"] == 2
    assert len(read_info(two).machine["hosts"]) == 2
    (alone,), (both,) = (read_status(run).energy.parts for run in (one, two))
    assert alone.joules == alone.whole / 9
    assert both.joules > both.whole / 9  # those of both, of a package that counts once


def stop_at(run: RunDir, poll: int, rank: int) -> forks.BeforePoll:
    """Stop the run before that poll."""
    return lambda number: control.send(run, "stop") if number == poll else None


def test_a_run_continues_in_two_processes_then_one_then_two(tiny_run: MakeRun) -> None:
    """Each computes its batch in parts, one after another."""
    small = {"dropout": "0", "batch": "6", "ngrams": "2", "ngram_rows": "512"}
    whole, parts = tiny_run(**small), tiny_run(**small, micro_batches="2")
    assert trainer.train(whole) == 0
    for size, steps in ((2, 3), (1, 4)):
        pids = forks.start_ranks(parts, size, partial(stop_at, parts, steps))
        assert [forks.wait(pid) for pid in pids] == [0] * size
        assert read_status(parts).state == "stopped"
    forks.train_ranks(parts, 2)
    assert read_status(parts).state == "finished"
    assert series(parts, "loss") == pytest.approx(series(whole, "loss"), rel=1e-3)


def send_commands(run: RunDir, rank: int) -> forks.BeforePoll:
    commands: dict[int, list[tuple[control.Command, float | None]]] = {
        2: [("set_lr", 1e-3), ("evaluate", None)],
        4: [("pause", None)],
        6: [("checkpoint", None), ("resume", None)],
    }

    def send(number: int) -> None:
        for command in commands.get(number, ()):
            control.send(run, *command)

    return send


def test_all_ranks_carry_out_commands_at_the_same_step(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="100000", checkpoint_every="100000", eval_every="100000")
    pids = forks.start_ranks(run, 2, partial(send_commands, run))
    wait_for(lambda: read_status(run).step >= 8)
    os.kill(pids[1], signal.SIGTERM)  # a signal at any rank stops all
    assert [forks.wait(pid) for pid in pids] == [0, 0], run.console.read_text()
    status = read_status(run)
    assert (status.state, run.checkpoint(status.step).exists()) == ("stopped", True)
    events = [(event.event, event.step) for event in control.read_events(run)]
    assert events == [
        ("set_lr", 2), ("evaluate", 2), ("pause", 4), ("checkpoint", 4), ("resume", 4),
        ("signalled", status.step),
    ]  # fmt: skip
    assert set(series(run, "val_loss")) == {0, 2}
    assert series(run, "lr")[3] < 1.1e-3  # also on the rank that does not write it


def test_all_ranks_end_at_the_evaluation_that_meets_the_condition(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="100000", learning_rate="0.01", eval_every="2", until="val_loss<2.5")
    forks.train_ranks(run, 2)
    status = read_status(run)
    assert (status.state, run.checkpoint(status.step).exists()) == ("finished", True)


def break_loss(rank: int) -> None:
    loss = TextTask.loss

    def breaks(task: TextTask, step: int, *share: Any) -> torch.Tensor:
        return loss(task, step, *share) * (float("nan") if step == 5 and rank else 1.0)

    TextTask.loss = breaks  # type: ignore[method-assign]


def test_a_loss_that_is_no_number_on_one_rank_ends_all_at_that_step(tiny_run: MakeRun) -> None:
    run = tiny_run()
    pids = forks.start_ranks(run, 2, break_loss)
    assert [forks.wait(pid) for pid in pids] == [1, LOST]
    status = read_status(run)
    assert status.state == "failed"
    start = f"the loss became nan at step 6 in the part of rank 1: genui resume {run.id} "
    assert status.error.startswith(start)
    assert status.error.endswith("from the checkpoint at step 4")


def change_version(rank: int) -> None:
    if rank:
        genui.__version__ = "0.0.1"


def test_ranks_that_differ_are_refused(tiny_run: MakeRun) -> None:
    run = tiny_run()
    pids = forks.start_ranks(run, 2, change_version)
    assert [forks.wait(pid) for pid in pids] == [1, LOST]
    assert "rank 1 has genui 0.0.1 with torch" in read_status(run).error


def test_a_rank_that_cannot_write_says_so(tiny_run: MakeRun) -> None:
    run = tiny_run()
    rank_file(run, 1).mkdir()
    pids = forks.start_ranks(run, 2)  # without a parent, as torchrun starts them
    assert [forks.wait(pid) for pid in pids] == [1, 1]
    host = read_info(run).host
    what = f"cannot write {rank_file(run, 1)}: is a directory"
    error = read_status(run).error
    assert error.startswith(f"rank 1 on {host} failed: {what}")
    assert error.endswith(f"; there is no checkpoint yet: genui resume {run.id} starts again")
    assert f"genui: {what}" in forks.output_of(run)


def test_only_errors_of_the_exchange_are_a_lost_contact() -> None:
    processes = world.World()
    processes.size = 2
    for error in (torch.OutOfMemoryError("no memory"), RuntimeError("shapes do not fit")):
        with pytest.raises(type(error), match=str(error)), processes.noticing():
            raise error
    lost = pytest.raises(world.LostContactError, match=r"rank 0 lost contact: .*reset by peer")
    with lost, processes.noticing():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] reset\nby peer")
