"""The table of kinds: each row is complete, and nothing else branches on a medium or a family."""

import ast
import dataclasses
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widget import Widget

import genui
from genui.base.errors import MisuseError
from genui.cli.kinds import prints_of
from genui.engine.data.tables import limitations
from genui.engine.kinds import Generates, Labels, Prepares, Trains, begins_of
from genui.formats.codec import CODECS
from genui.protocol.kinds import (
    KINDS,
    PRETRAINED,
    Kind,
    describe_ability,
    find_kind,
    kind_of_trace,
    list_media,
    open_face,
)
from genui.recipes import RECIPES, recipe_from_dict
from genui.runs.models import find_model
from genui.ui.kinds import shows_of

ROWS = [pytest.param(key, kind, id="-".join(key)) for key, kind in KINDS.items()]
PACKAGE = Path(genui.__file__).parent
TABLES = ("recipes", "kinds")
"""Where media and families may be told apart."""


def _folder(path: Path) -> str:
    return path.parent.name


@pytest.mark.parametrize(("key", "kind"), ROWS)
def test_a_kind_has_all_that_it_needs(key: tuple[str, str], kind: Kind) -> None:
    assert kind.ability, "Kind.ability says what its models do"
    if kind.recipes is not None:
        assert kind.limitations, "a kind that is trained says its limitations"
        assert open_face(kind.prepares, Prepares), "a kind with recipes has Kind.prepares"
        assert open_face(kind.trains, Trains), "a kind with recipes has Kind.trains"
        generates = bool(kind.generates)
        assert generates == kind.can_generate, "Kind.generates is what Kind.can_generate says"
    elif kind.formats or key[0] == PRETRAINED:  # a row of `genui.hub.formats` loads it
        assert kind.can_generate, "other people's models are there to generate"
        assert kind.limitations, "the card of a model needs Kind.limitations"
    else:
        assert kind.ref, "a kind without recipes and files has Kind.ref: its trace is its training"
        assert (begins := begins_of(kind)) is not None
        assert begins.generator()
        assert find_model(kind.ref).kind is kind
    if kind.labels:
        assert open_face(kind.labels, Labels)
    if kind.can_generate:
        shows = shows_of(kind)
        needed = {name: getattr(kind, name) for name in ("makes", "pane", "files")}
        assert all(needed.values()), f"a kind that generates has all of {needed}"
        assert shows.pane.pane == kind.pane, "Shows.pane is the pane that Kind.pane names"
        assert isinstance(kind.defaults, kind.settings or ()), "Kind.defaults is a Kind.settings"
        assert isinstance(kind.defaults.represent_data(()), kind.settings or ())
        assert find_kind(*key, "it") is kind
        assert kind_of_trace(kind.name, kind.defaults) is kind
        assert issubclass(shows.view, Widget), "Shows.view is a widget"  # type: ignore[arg-type]
        for method in ("show_trace", "scroll_text"):
            assert callable(getattr(shows.view, method, None)), f"Shows.view has {method}()"
    if kind.generates:
        generates = open_face(kind.generates, Generates)
        assert generates is not None
        targets = kind.targets.keys()
        assert generates.converts.keys() == targets, "each of Kind.targets has a function"
        assert kind.streams != bool(prints_of(kind).draw), "what does not stream is drawn"
    reads_tokens = "token" not in kind.edits or prints_of(kind).read_token is not None
    assert reads_tokens, "an edit `token` needs Prints.read_token"


@pytest.mark.parametrize(("key", "kind"), ROWS)
def test_every_suffix_has_a_writer(key: tuple[str, str], kind: Kind) -> None:
    unwritten = [suffix for suffix in kind.files if not CODECS[suffix].encode]
    assert not unwritten, f"the codecs of {unwritten} have no `encode`"
    if kind.can_generate:  # a classifier of the Lab has no samples
        hidden = {*kind.files} - {form.suffix for form in shows_of(kind).exports} - {".csv"}
        assert not hidden, f"Shows.exports does not offer {hidden}, which Kind.files has"


def test_listing_the_kinds_imports_neither_torch_nor_textual() -> None:
    code = (
        "import sys; from genui.protocol.kinds import KINDS; list(KINDS.values())\n"
        "assert not {'torch', 'textual', 'genui.engine', 'genui.ui'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_face_of_another_class_is_a_fault_of_the_kind() -> None:
    with pytest.raises(TypeError, match="a kind gives a int, and not a Prepares"):
        open_face(lambda: 1, Prepares)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_reads_back_as_the_class_of_its_row(recipe: object) -> None:
    fields = dataclasses.asdict(recipe)  # type: ignore[call-overload]
    again = recipe_from_dict(fields)
    assert again == recipe
    recipes = KINDS[again.family, again.medium].recipes
    assert recipes is not None
    assert type(again) is recipes().recipe


def test_every_recipe_class_of_the_table_has_a_recipe_that_ships() -> None:
    # That of other people's models is made when one is named.
    trained = {kind.recipes().recipe for kind in KINDS.values()
               if kind.recipes and kind.family != PRETRAINED}  # fmt: skip
    assert {type(recipe) for recipe in RECIPES.values()} == trained


def test_what_generates_nothing_says_what_it_does_instead() -> None:
    with pytest.raises(MisuseError, match="it labels images and cannot generate"):
        find_kind("classifier", "image", "it")
    unknown = describe_ability("harmonium", "text")
    assert unknown == "is of a kind that this version of genui does not know"


def test_media_and_families_are_told_apart_in_the_table_alone() -> None:
    """Elsewhere a capability of the row is asked for."""
    names = {"medium", "family"}
    words = {*list_media(), *(family for family, _ in KINDS)}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.startswith(TABLES):
            continue
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if any(name in source for name in names) else ():
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            constants = {n.value for side in sides for n in ast.walk(side)
                         if isinstance(n, ast.Constant)}  # fmt: skip
            if any(_name(side) in names for side in sides) and constants & words:
                found.append(f"{place}:{node.lineno}: {ast.unparse(node)}")
    assert not found, "ask the row of the kind for what it can do:\n" + "\n".join(found)


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
