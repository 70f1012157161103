"""The real trainer, steered at steps chosen beforehand, and killed and resumed in between."""

import shutil
from collections.abc import Callable
from functools import partial

import pytest
import safetensors.torch
from forks import train_until_killed

from genui.base.errors import GenuiError
from genui.engine import trainer
from genui.logs.native import MetricsTail
from genui.runs import control
from genui.runs.control import Control, effective_events, read_events
from genui.runs.launch import create
from genui.runs.layout import RunDir, read_status
from genui.runs.models import find_fork

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, list[Control]]], None]:
    """Has a trainer of this process find orders at its n-th poll, which is once a step."""
    poll = control.poll

    def arrange(orders: dict[int, list[Control]]) -> None:
        polls = iter(range(1_000))

        def before(run: RunDir, note: Callable[[str], None] | None = None) -> list[Control]:
            for order in orders.get(next(polls), ()):
                control.send(run, order.command, order.value)
            return poll(run, note)

        monkeypatch.setattr(control, "poll", before)

    return arrange


def series(run: RunDir, name: str) -> dict[int, float]:
    """The values of a metric by step, the last of each step."""
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return dict(zip(*(part.tolist() for part in tail.series[name].points[:2]), strict=True))


def test_a_new_rate_scales_the_schedule_from_its_step_on(tiny_run: MakeRun, steered) -> None:
    plain = tiny_run(warmup="0", decay_from="0", steps="10")
    assert trainer.train(plain) == 0
    run = tiny_run(warmup="0", decay_from="0", steps="10")
    steered({6: [Control("set_lr", 6e-4)]})
    assert trainer.train(run) == 0
    rates, before = series(run, "lr"), series(plain, "lr")
    assert [rates[step] for step in range(1, 6)] == [before[step] for step in range(1, 6)]
    # At step 6 what is due now is logged at once: the point shows the change, not the next step.
    assert rates[6] == pytest.approx(6e-4 * 0.4)
    assert rates[7] == pytest.approx(before[7] / 5)
    assert rates[10] == pytest.approx(6e-4 * 0.1)
    losses, unchanged = series(run, "loss"), series(plain, "loss")
    assert [losses[s] == unchanged[s] for s in range(1, 11)] == 7 * [True] + 3 * [False]
    assert "learning rate 0.003 → 0.0006, Muon's 0.02 → 0.004" in run.console.read_text()
    origin = find_fork(f"{run.id}@6")
    fork = create(origin.recipe, {"steps": "8"}, "fork", origin)
    assert trainer.train(fork) == 0
    assert "keeps the learning rate 0.0006, which was set there" in fork.console.read_text()


def steer_at_5(run: RunDir, poll: int) -> None:
    if poll == 5:
        control.send(run, "set_lr", 1e-3)


@pytest.mark.parametrize("kill_at", [6, 11])
def test_a_new_rate_survives_kill_9_with_the_losses_of_a_run_never_interrupted(
    kill_at: int, tiny_run: MakeRun, steered
) -> None:
    run = tiny_run(dropout="0.1")
    train_until_killed(
        run, kill_at, partial(steer_at_5, run)
    )  # the next checkpoint of its own would be at step 8
    assert trainer.train(run) == 0
    whole = tiny_run(dropout="0.1")
    steered({5: [Control("set_lr", 1e-3)]})
    assert trainer.train(whole) == 0
    assert series(run, "loss") == series(whole, "loss")
    assert series(run, "lr") == series(whole, "lr")
    assert run.checkpoint(12).read_bytes() == whole.checkpoint(12).read_bytes()
    told = [event.event for event in effective_events(read_events(run))]
    assert told == ["set_lr", "resumed"]


def test_a_paused_run_obeys_at_once_and_stays_paused(tiny_run: MakeRun, steered) -> None:
    run = tiny_run()
    asked = [Control("evaluate"), Control("set_lr", 1e-3), Control("checkpoint"), Control("pause")]
    steered({3: [Control("pause")], 4: asked, 5: [Control("resume")], 6: [Control("resume")]})
    assert trainer.train(run) == 0
    assert [(e.step, e.event) for e in read_events(run)] == [
        (3, "pause"), (3, "evaluate"), (3, "set_lr"), (3, "checkpoint"), (3, "resume")
    ]  # fmt: skip
    assert run.checkpoint(3).exists()
    assert run.sample(3, ".txt").exists()
    evaluated = series(run, "val_loss")
    assert 3 in evaluated
    texts = {event.event: event.text for event in read_events(run)}
    assert texts["evaluate"].startswith(f"val_loss {evaluated[3]:.4f}, val_bpc ")


def test_an_evaluation_that_was_asked_for_changes_no_loss(tiny_run: MakeRun, steered) -> None:
    plain, run = tiny_run(dropout="0.1"), tiny_run(dropout="0.1")
    assert trainer.train(plain) == 0
    steered({2: [Control("evaluate")], 7: [Control("evaluate"), Control("checkpoint")]})
    assert trainer.train(run) == 0
    assert series(run, "loss") == series(plain, "loss")


def test_stopping_is_marked_and_ends_the_run_with_the_rate_it_had(
    tiny_run: MakeRun, steered
) -> None:
    run = tiny_run(warmup="0", decay_from="1")
    steered({2: [Control("set_lr", 1e-3), Control("stop")]})
    assert trainer.train(run) == 0
    assert (read_status(run).state, read_status(run).step) == ("stopped", 2)
    steered({})
    assert trainer.train(run) == 0
    assert [(e.step, e.event) for e in read_events(run)] == [
        (2, "set_lr"), (2, "stop"), (2, "resumed")
    ]  # fmt: skip
    assert series(run, "lr")[12] == 1e-3


def test_a_run_goes_on_at_the_rate_it_is_resumed_with(tiny_run: MakeRun, steered) -> None:
    run = tiny_run(warmup="0", decay_from="1", steps="8")
    steered({5: [Control("set_lr", 10.0), Control("stop")]})
    assert trainer.train(run) == 0
    control.send(run, "set_lr", 2e-3)  # as launch.resume leaves it
    steered({})
    assert trainer.train(run) == 0
    rates = series(run, "lr")
    assert rates[5] == rates[6] == rates[8] == 2e-3


def test_a_checkpoint_from_before_rates_were_kept_goes_on_at_the_recipes(
    tiny_run: MakeRun, steered
) -> None:
    run = tiny_run(warmup="0", decay_from="1", steps="8", learning_rate="2e-3")
    steered({5: [Control("stop")]})
    assert trainer.train(run) == 0
    state = safetensors.torch.load_file(run.checkpoint_state(5))
    assert float(state.pop("optimizer.learning_rate")) == 2e-3
    safetensors.torch.save_file(state, run.checkpoint_state(5))
    steered({})
    assert trainer.train(run) == 0
    assert series(run, "lr")[8] == 2e-3


def test_a_run_whose_folder_is_removed_ends(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(steps="1000", eval_every="900", sample_every="900", checkpoint_every="900")
    poll, polls = control.poll, iter(range(1_000))

    def removed_at_the_third(
        asked: RunDir, note: Callable[[str], None] | None = None
    ) -> list[Control]:
        if next(polls) == 3:
            shutil.rmtree(run.path)
        return poll(asked, note)

    monkeypatch.setattr(control, "poll", removed_at_the_third)
    with pytest.raises(GenuiError):  # its last status has no place to go
        trainer.train(run)
    assert "the run's folder is gone" in capsys.readouterr().err
    assert next(polls) == 4
