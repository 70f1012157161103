"""The table of kinds: each row is complete, and nothing else branches on a medium or a family."""

import ast
import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import genui
from genui.base.errors import MisuseError
from genui.engine.kinds import limitations
from genui.formats.codec import CODECS
from genui.protocol.registry import (
    KINDS,
    MEDIA,
    PRETRAINED,
    Kind,
    does,
    kind_of,
    kind_of_trace,
    resolve,
)
from genui.recipes import RECIPES, recipe_from_dict

ROWS = [pytest.param(key, kind, id="-".join(key)) for key, kind in KINDS.items()]
PACKAGE = Path(genui.__file__).parent
TABLES = ("recipes", "protocol/registry.py")
"""Where media and families may be told apart."""


def _folder(path: Path) -> str:
    return path.parent.name


@pytest.mark.parametrize(("key", "kind"), ROWS)
def test_every_name_in_a_row_can_be_imported(key: tuple[str, str], kind: Kind) -> None:
    named = [value for value in msgspec.structs.asdict(kind).values() if isinstance(value, str)]
    if kind.lab is not None:
        named.append(kind.lab.learner)
    for name in named:
        if name.startswith("genui."):
            resolve(name)


@pytest.mark.parametrize(("key", "kind"), ROWS)
def test_a_row_has_all_that_its_kind_needs(key: tuple[str, str], kind: Kind) -> None:
    assert kind.does
    if kind.recipe:
        assert all((kind.task, kind.check, kind.metrics, kind.limitations))
        assert bool(kind.generator) == kind.generates
    elif key[0] == PRETRAINED:  # a row of `genui.hub.formats` loads it
        assert kind.generates
        assert kind.limitations
    else:
        assert kind.lab is not None
    assert bool(kind.classifier) == bool(kind.example)
    if kind.generates:
        assert all((kind.makes, kind.pane, kind.widget, kind.view, kind.exports, kind.files))
        assert isinstance(kind.defaults, kind.settings or ())
        assert kind.for_data is None or isinstance(kind.for_data, kind.settings or ())
        assert kind_of(*key, "it") is kind
        assert kind_of_trace(key[1], kind.defaults).exports == kind.exports
        view = resolve(kind.view)  # a TraceView, in comparisons and in the window of branches
        assert callable(view.show_trace)
        assert callable(view.scroll_text)
    if kind.generator:
        assert kind.streams != bool(kind.draw)
        assert kind.as_json


@pytest.mark.parametrize(("key", "kind"), ROWS)
def test_every_suffix_has_a_writer(key: tuple[str, str], kind: Kind) -> None:
    assert all(CODECS[suffix].encode for suffix in kind.files)
    if kind.generates:
        shown = {form.suffix for form in resolve(kind.exports)}
        assert {*kind.files} <= shown | {".csv"}  # a classifier of the Lab has no samples


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_reads_back_as_the_class_of_its_row(recipe: object) -> None:
    fields = dataclasses.asdict(recipe)  # type: ignore[call-overload]
    again = recipe_from_dict(fields)
    assert again == recipe
    assert type(again) is resolve(KINDS[again.family, again.medium].recipe)


def test_every_recipe_class_of_the_table_has_a_recipe_that_ships() -> None:
    # That of other people's models is made when one is named.
    trained = {kind.recipe for (family, _), kind in KINDS.items()
               if kind.recipe and family != PRETRAINED}  # fmt: skip
    assert {type(recipe) for recipe in RECIPES.values()} == {resolve(name) for name in trained}


def test_what_generates_nothing_says_what_it_does_instead() -> None:
    with pytest.raises(MisuseError, match="it labels images and cannot generate"):
        kind_of("classifier", "image", "it")
    assert does("harmonium", "text") == "is of a kind that this version of genui does not know"


def test_media_and_families_are_told_apart_in_the_table_alone() -> None:
    """Elsewhere a capability of the row is asked for."""
    names = {"medium", "family"}
    words = {*MEDIA, *(family for family, _ in KINDS)}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(TABLES):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            constants = {n.value for side in sides for n in ast.walk(side)
                         if isinstance(n, ast.Constant)}  # fmt: skip
            if any(_name(side) in names for side in sides) and constants & words:
                found.append(f"{place}:{node.lineno}: {ast.unparse(node)}")
    assert not found, "\n".join(found)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


@pytest.mark.parametrize("card", sorted(PACKAGE.glob("weights/*/card.json")), ids=_folder)
def test_a_shipped_card_states_the_limitations_of_its_kind_and_data(card: Path) -> None:
    described = json.loads(card.read_text())
    assert described["limitations"] == limitations(RECIPES[described["name"]])


def test_the_limitations_of_a_dataset_are_not_those_of_the_user_s_own_data() -> None:
    recipe = RECIPES["icons"]
    assert "one image per caption" in limitations(recipe)
    own = limitations(replace(recipe, data="images/"))
    assert own == KINDS[recipe.family, recipe.medium].limitations
