"""What is said of a training before it starts."""

import time

import msgspec
import pytest

from genui.base.errors import MisuseError
from genui.recipes import find_recipe, override
from genui.runs.plan import Load, Plan, Speed, fit, plan_of, read_speed, write_speed

RECIPE = override(find_recipe("shakespeare"), {"steps": "100", "eval_every": "50"})


def test_a_plan_is_one_line() -> None:
    assert Plan(measuring=True).describe() == "checking whether it can start … · no download"
    measuring = Plan(measuring=True, left=20)
    assert measuring.describe() == "measuring a few steps, about 20 seconds left · no download"
    assert "not measured yet" in Plan().describe()
    plan = Plan(
        seconds=60, now=70, source="20 steps measured", memory=400_000_000, download=31_000_000
    )
    assert plan.describe() == (
        "about 1 minute on this machine (20 steps measured) · 400 MB of memory · downloads 31 MB"
    )
    busy = Plan(seconds=60, now=240, source="20 steps measured")
    assert busy.describe().startswith(
        "about 1 minute on an idle machine (20 steps measured); busy now: about 4 minutes · "
    )
    unknown = Plan(seconds=60, source="measured on 30 November")
    assert unknown.describe().startswith("about 1 minute on an idle machine (measured on 30 ")


def test_steps_evaluations_and_samples_are_added_up() -> None:
    speed = Speed(start=2, step=1, evaluation=3, sample=5, steps=20, time=time.time())
    # Evaluations at the steps 0, 50 and 100, samples at 0 and 100.
    assert speed.seconds(RECIPE) == 2 + 100 + 3 * 3 + 2 * 5
    assert plan_of(RECIPE, speed).seconds == speed.seconds(RECIPE)
    assert plan_of(RECIPE, speed, Load(4, 4)).now == 4 * speed.seconds(RECIPE)
    on_gpu = msgspec.structs.replace(speed, gpu=True)
    assert plan_of(RECIPE, on_gpu, Load(4, 4)).now == speed.seconds(RECIPE)
    assert speed.pauses(RECIPE) - speed.pauses(RECIPE, 50) == 3  # the evaluation at step 50


def test_a_budget_holds_on_a_busy_machine() -> None:
    speed = Speed(start=4, step=0.01, evaluation=0.1, sample=0.1, whole=3, checkpoint=0.1)
    idle = override(RECIPE, fit(RECIPE, speed, 60, ()))
    busy = override(RECIPE, fit(RECIPE, speed.slowed(Load(5, 20)), 60, ()))
    assert busy.steps < idle.steps / 10
    assert (idle.minutes, busy.minutes) == (1, 1)
    plan = plan_of(busy, speed, Load(5, 20))
    # The start takes 20 seconds, of which 15 count; the last evaluation would take a minute.
    assert 55 < plan.now < 66
    assert plan.seconds < 30
    assert override(busy, {"steps": "7"}).minutes == 0  # what is given counts


def test_a_budget_is_filled_with_steps_and_what_is_logged() -> None:
    speed = Speed(start=2, step=0.01, evaluation=0.1, sample=0.2, whole=2, checkpoint=0.1)
    chosen = fit(RECIPE, speed, 60, ())
    fitted = override(RECIPE, chosen)
    assert 55 < speed.seconds(fitted) <= 60
    assert 10 <= fitted.steps / fitted.sample_every <= 40
    assert 1 <= fitted.steps / fitted.checkpoint_every <= 20
    slow = override(RECIPE, fit(RECIPE, msgspec.structs.replace(speed, step=1.0), 60, ()))
    assert slow.warmup < slow.steps / 5  # the recipe has 50 for its 100 steps
    mine = override(RECIPE, {"sample_every": "3"})
    kept = fit(mine, speed, 60, {"sample_every"})
    assert "sample_every" not in kept
    assert 50 < speed.seconds(override(mine, kept)) <= 60  # fewer steps, for more samples


def test_a_budget_that_is_too_short_says_the_least() -> None:
    with pytest.raises(MisuseError, match=r"give at least 0\.2$"):
        fit(RECIPE, Speed(start=8, step=7), 6, ())


def test_a_measurement_is_kept_for_recipes_of_the_same_speed() -> None:
    assert read_speed(RECIPE) is None
    speed = Speed(start=2, step=1, time=time.time())
    write_speed(RECIPE, speed)
    assert read_speed(override(RECIPE, {"steps": "7", "learning_rate": "0.1"})) == speed
    assert read_speed(override(RECIPE, {"width": "64"})) is None
    write_speed(RECIPE, Speed(start=2, step=1, time=time.time() - 3600))
    old = read_speed(RECIPE)
    assert old is not None
    assert plan_of(RECIPE, old).source.startswith("measured on ")
    write_speed(RECIPE, Speed(start=2, step=1, time=1.0))
    assert read_speed(RECIPE) is None
