import dataclasses

import pytest

from genui.base.errors import MisuseError
from genui.recipes import (
    RECIPES,
    DiffusionRecipe,
    find_recipe,
    override,
    parse_settings,
    recipe_from_dict,
)


def test_every_built_in_recipe_is_sound_and_survives_being_written() -> None:
    for recipe in RECIPES.values():
        recipe.check()
        assert recipe_from_dict(dataclasses.asdict(recipe)) == recipe
        assert recipe.summary


def test_any_field_can_be_set_from_text() -> None:
    recipe = override(
        find_recipe("icons"),
        {"steps": "7", "learning_rate": "1e-4", "device": "cpu", "sample_captions": "a cat, dog"},
    )
    assert isinstance(recipe, DiffusionRecipe)
    assert (recipe.steps, recipe.learning_rate, recipe.device) == (7, 1e-4, "cpu")
    assert recipe.sample_captions == ("a cat", "dog")
    assert find_recipe("icons").steps != 7


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"widht": "8"}, "did you mean 'width'"),
        ({"family": "gan"}, "no such setting"),
        ({"width": "wide"}, "width=wide: expected a whole number"),
        ({"steps": "0"}, "expected a whole number, 1 or more"),
        ({"steps": "1.5"}, "expected a whole number"),
        ({"ema": "1.5"}, "ema=1.5"),
        ({"device": "tpu"}, "tpu"),
        ({"width": "250"}, "multiple of heads"),
        ({"width": "12", "heads": "4"}, "need an even number"),
        ({"learning_rate": "nan"}, "learning_rate"),
    ],
)
def test_what_cannot_be_set_is_one_line(settings: dict[str, str], says: str) -> None:
    with pytest.raises(MisuseError, match=says) as caught:
        override(find_recipe("shakespeare"), settings)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(MisuseError, match="did you mean 'shakespeare'"):
        find_recipe("shakespear")


def test_settings_are_pairs() -> None:
    assert parse_settings(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(MisuseError, match="KEY=VALUE"):
        parse_settings(["steps"])


@pytest.mark.parametrize("fields", [{}, {"family": "gan"}, {"family": "diffusion", "name": 3}])
def test_a_recipe_that_is_none_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MisuseError):
        recipe_from_dict(fields)
