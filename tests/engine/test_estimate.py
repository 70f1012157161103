"""The measured estimate of a training."""

import pytest

from genui.engine.estimate import estimate
from genui.recipes import RECIPES, override


def test_a_training_is_measured_and_the_result_kept() -> None:
    recipe = override(
        next(iter(RECIPES.values())),
        {"layers": "1", "width": "16", "batch": "2", "eval_batches": "1", "sample_tokens": "8"},
    )
    first, *better = estimate(recipe)
    assert (first.measuring, first.seconds, first.download) == (True, -1.0, 0)
    assert [plan.measuring for plan in better] == [True, True, False]
    assert all(plan.seconds > 0 and plan.memory > 0 for plan in better)
    (kept,) = estimate(recipe)
    assert kept.seconds == better[-1].seconds


def test_the_default_recipe_can_start_without_a_download() -> None:
    first = next(estimate(next(iter(RECIPES.values()))))
    assert (first.fault, first.download) == ("", 0)


def test_what_cannot_start_has_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_EMOJI_FONT", "/no/such.ttf")
    (plan,) = estimate(RECIPES["emoji"])
    assert plan.fault == "emoji_font /no/such.ttf: no such file; name a NotoColorEmoji.ttf"
