"""The measured estimate of a training."""

import time
from collections.abc import Iterator

import pytest

from genui.engine import estimate as module
from genui.engine.estimate import estimate, fit_budget
from genui.recipes import RECIPES, Recipe, TransformerRecipe, find_recipe, override
from genui.runs.plan import Load, Speed, read_speed


def test_a_training_is_measured_and_the_result_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = override(
        next(iter(RECIPES.values())),
        {"layers": "1", "width": "16", "batch": "2", "eval_batches": "1", "sample_tokens": "8"},
    )
    first, *better = estimate(recipe)
    assert (first.measuring, first.seconds, first.download) == (True, -1.0, 0)
    assert [plan.measuring for plan in better] == [True, True, True, False]
    assert all(plan.left > 0 for plan in (first, *better))
    assert all(plan.now >= plan.seconds > 0 and plan.memory > 0 for plan in better[1:])
    monkeypatch.setattr(module, "measure_load", lambda: Load(20, 20))
    at_once, kept = estimate(recipe)
    assert at_once.seconds == kept.seconds == better[-1].seconds
    assert (at_once.now, kept.now) == (-1, pytest.approx(20 * kept.seconds))


@pytest.mark.parametrize(("factor", "layers"), [(0.001, "6"), (0.02, "2"), (1.0, "1")])
def test_a_budget_takes_the_largest_size_that_makes_enough_steps(
    factor: float, layers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def measure(recipe: Recipe, *_: object, **__: object) -> Iterator[Speed]:
        assert isinstance(recipe, TransformerRecipe)
        measured.append(recipe.layers)
        yield Speed(start=1, step=factor * recipe.layers, epoch=1000)
        yield Speed(
            start=1, step=factor * recipe.layers, epoch=1000,
            evaluation=0.1, sample=0.1, whole=1, checkpoint=0.1, time=time.time(),
        )  # fmt: skip

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(module, "measure_load", Load)
    base = find_recipe("shakespeare")
    *_, plan = fit_budget(base, {"seed": "2"}, 1)
    assert (plan.fault, plan.settings["layers"]) == ("", layers)
    assert plan.seconds == pytest.approx(60, rel=0.1)
    recipe = override(base, {"seed": "2", **plan.settings})
    assert read_speed(recipe) is not None  # for the trainer
    assert isinstance(recipe, TransformerRecipe)
    assert (recipe.ngram_dropout > 0) == (recipe.steps > 1000)  # it reads the text again
    assert measured[0] == 1  # the smallest first, and none above the first that is too slow
    *_, given = fit_budget(base, {"layers": "3", "eval_every": "7"}, 1)
    assert given.settings.keys().isdisjoint({"layers", "eval_every"})
    monkeypatch.setattr(module, "measure_load", lambda: Load(1, 10))
    *_, busy = fit_budget(base, {"seed": "2"}, 1)
    assert int(busy.settings["steps"]) * int(busy.settings["layers"]) * factor * 10 < 60
    assert busy.now == pytest.approx(60, rel=0.2)
    assert busy.seconds < busy.now / 5
    *_, kept = fit_budget(base, {}, 1, keep_size=True)
    assert kept.settings.keys() <= {
        "steps", "minutes", "warmup", "eval_every", "sample_every", "checkpoint_every"
    }  # fmt: skip


def test_a_budget_without_a_table_of_sizes_sets_the_steps_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ENOUGH_S", 0.1)
    small = {"width": "8", "batch": "4", "threads": "1"}
    *_, plan = fit_budget(find_recipe("speakers"), small, 30)  # a busy machine is slow
    assert plan.fault == ""
    assert int(plan.settings["steps"]) > 10
    assert plan.settings.keys() <= {
        "steps", "minutes", "warmup", "eval_every", "sample_every", "checkpoint_every"
    }  # fmt: skip


def test_the_default_recipe_can_start_without_a_download() -> None:
    first = next(estimate(next(iter(RECIPES.values()))))
    assert (first.fault, first.download) == ("", 0)


def test_what_cannot_start_has_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/no/such.ttf")
    (plan,) = estimate(RECIPES["emoji"])
    assert plan.fault == "emoji_font /no/such.ttf: no such file; name a NotoColorEmoji.ttf"
