"""A training that is planned anew while it runs."""

import time
from collections.abc import Callable
from itertools import pairwise

import msgspec
import psutil
import pytest

from genui.engine import trainer
from genui.engine.train import loop, schedule
from genui.engine.train.optimizer import rate_factor
from genui.engine.train.schedule import Budget, Schedule, Timing
from genui.logs.native import MetricsTail
from genui.recipes import find_recipe, override
from genui.runs import control
from genui.runs.layout import RunDir, checkpoint_steps, read_status, write_status
from genui.runs.plan import Speed, write_speed

MakeRun = Callable[..., RunDir]

RECIPE = override(
    find_recipe("shakespeare"),
    {"steps": "1000", "warmup": "100", "decay_from": "0.4", "eval_every": "100", "minutes": "1"},
)


def values(run: RunDir, name: str) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    steps, found = tail.series[name].points[:2]
    return dict(zip(steps.tolist(), found.tolist(), strict=True))


def test_without_a_change_each_step_is_its_own_place() -> None:
    plan = Schedule(RECIPE)
    assert [plan.place(step) for step in (0, 7, 1000)] == [0, 7, 1000]
    assert [plan.step_at(place) for place in (0, 250, 1000)] == [0, 250, 1000]
    assert [step for step in range(1, 1001) if plan.passes(step, 250)] == [250, 500, 750, 1000]


def test_a_changed_plan_goes_on_where_it_is_and_ends_at_its_end() -> None:
    plan = Schedule(RECIPE)
    plan.change(50, 200)  # in the warm-up
    plan.change(150, 180)  # while the rate falls
    plan.change(170, 400)
    places = [plan.place(step) for step in range(plan.steps + 1)]
    assert places[:51] == list(range(51))
    assert all(a < b for a, b in pairwise(places))
    assert places[-1] == pytest.approx(1000)
    for place in (0, 30, 99, 400, 650, 900, 999):
        step = plan.step_at(place)
        assert plan.place(step) >= place - 1e-9
        assert step == 0 or plan.place(step - 1) < place
    passed = [step for step in range(1, plan.steps) if plan.passes(step, RECIPE.eval_every)]
    assert len(passed) == 9  # as often as the recipe evaluates, before its end
    rates = [rate_factor(place, RECIPE) for place in places]
    # It falls to zero, and no change of the plan makes it jump.
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.1


@pytest.mark.parametrize(
    ("planned", "before", "after"),
    [(2080, 0.6, 0.6), (2080, 0.03, 0.5), (40, 0.5, 0.02), (1, 0.1, 0.1)],
)
def test_a_budget_of_time_holds_whatever_a_step_takes(
    planned: int, before: float, after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock of its own: steps take `before` seconds, and `after` from the 30th second on."""
    now = [time.time()]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(schedule.time, "time", lambda: now[0])
    started = psutil.Process().create_time()
    recipe = override(RECIPE, {"steps": str(planned), "minutes": "1"})
    plan, timing, begin = Schedule(recipe), Timing(recipe), now[0]
    budget = Budget(recipe, plan, 0)
    assert budget.left == pytest.approx(60 - min(15, begin - started))
    whole, step = budget.left, 0
    while step < plan.steps:
        if steps := budget.plan(recipe, plan, step, timing.speed):
            plan.change(step, steps)
        seconds = before if now[0] - begin < 30 else after
        now[0] += seconds
        step += 1
        timing.add_step(seconds, 0.0)
    if planned > 1:
        assert 0.8 * whole < now[0] - begin < 1.1 * whole
    assert plan.place(plan.steps) == pytest.approx(planned)


def test_the_rest_of_a_training_counts_what_is_not_a_step() -> None:
    timing = Timing(RECIPE)
    for seconds in (9.0, 1.0, 1.0, 1.0):  # the first step allocates memory
        timing.add_step(seconds, 0.0)
    assert timing.speed.step == 1
    with timing.measuring("sample"):
        pass
    assert timing.speed.sample >= 0
    write_speed(RECIPE, Speed(start=1, step=1, evaluation=1, sample=1, whole=5, checkpoint=1,
                              time=time.time()))  # fmt: skip
    again = Timing(RECIPE)
    with again.measuring("evaluation"):
        time.sleep(0.01)
    assert again.speed.whole == pytest.approx(5 * again.speed.evaluation)


@pytest.mark.usefixtures("signals")
def test_a_run_with_a_budget_ends_though_its_steps_would_never(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="9000000", minutes="0.03", eval_every="900000", sample_every="9000000")
    assert trainer.train(run) == 0
    status = read_status(run)
    assert (status.state, status.step) == ("finished", status.steps)
    assert 0 < status.steps < 9000000
    changes = control.planned_steps(run)
    assert changes[-1][1] == status.steps
    assert "to keep to the budget of time" in run.console.read_text()


@pytest.mark.usefixtures("signals")
def test_a_resumed_run_repeats_what_was_planned(
    tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also changes after the checkpoint that it resumes from; contexts grow as planned."""
    plans = {5: 30, 11: 18}
    monkeypatch.setattr(Budget, "plan", lambda self, recipe, plan, step, speed: plans.get(step, 0))
    monkeypatch.setattr(loop, "has_time_for", lambda cost, left: True)
    settings = {"context_start": "8", "context_full": "0.8", "dropout": "0.1", "steps": "12"}
    run = tiny_run(minutes="9", checkpoint_every="2", **settings)
    assert trainer.train(run) == 0
    whole = values(run, "loss")
    assert (len(whole), read_status(run).steps) == (18, 18)
    assert control.planned_steps(run) == [(5, 30), (11, 18)]
    final = run.checkpoint(18).read_bytes()
    steps = checkpoint_steps(run)
    for step in steps:
        if step > 7:
            run.checkpoint(step).unlink()
            run.checkpoint_state(step).unlink()
    write_status(run, msgspec.structs.replace(read_status(run), state="stopped"))
    plans.clear()  # the machine is as it was planned
    assert trainer.train(run) == 0
    assert "resumed from the checkpoint at step" in run.console.read_text()
    assert values(run, "loss") == whole
    assert run.checkpoint(18).read_bytes() == final
