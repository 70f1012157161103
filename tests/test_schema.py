"""Settings as data: every field describes itself, and all that shows or asks for it agrees."""

import argparse
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from genui.base.errors import MisuseError
from genui.base.schema import Setting, about, ordered, settings_of
from genui.cli.options import add_settings, setting_names
from genui.protocol.kinds import KINDS, list_settings
from genui.recipes import FIXED, RECIPES
from genui.ui import keys

KINDS_OF_SETTINGS = list_settings()
ALL = [
    pytest.param(kind, one, id=f"{kind.__name__}.{one.name}")
    for kind in (*KINDS_OF_SETTINGS, *dict.fromkeys(type(recipe) for recipe in RECIPES.values()))
    for one in settings_of(kind).values()
    if one.name not in FIXED | {"summary"}
]


class Made(Struct, frozen=True, kw_only=True):
    """Settings of every type."""

    count: Annotated[int, Meta(ge=1, le=1000), about("how many", step=10)] = 5
    share: Annotated[float, Meta(gt=0, le=1), about("how much", step=0.25, off=1)] = 0.5
    late: Annotated[float, Meta(ge=0, lt=1), about("from when")] = 0.0
    size: Annotated[int, Meta(ge=0), about("how large", step=(0, 2, 8))] = 2
    least: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, about("how small")] = None
    way: Annotated[Literal["up", "down"], about("which way")] = "up"
    many: Annotated[tuple[int, ...], Meta(max_length=3), about("which")] = ()


MADE = settings_of(Made)


@pytest.mark.parametrize(("kind", "one"), ALL)
def test_every_setting_says_what_it_is(kind: type, one: Setting) -> None:
    assert one.description
    assert one.description[0] not in " ("
    assert not one.description.endswith(".")


@pytest.mark.parametrize("kind", KINDS_OF_SETTINGS)
def test_a_setting_of_the_panel_can_be_bound_by_its_id(kind: type) -> None:
    ids = {key.id.partition(".")[2] for key in keys.list_keys()}
    panel = [one for one in ordered(kind) if one.adjustable]
    assert panel
    assert ids >= {one.about.id or one.name for one in panel}


def test_every_setting_of_what_generates_is_an_option() -> None:
    types = {kind.settings for kind in KINDS.values() if kind.settings and kind.prints}
    parser = argparse.ArgumentParser()
    add_settings(parser, *types)
    assert {*vars(parser.parse_args([]))} == {*setting_names()}


@pytest.mark.parametrize("kind", KINDS_OF_SETTINGS)
def test_nudging_ends_at_the_bounds(kind: type) -> None:
    for one in settings_of(kind).values():
        for direction in (-1, 1):
            value: Any = one.default
            for _ in range(100):
                value = one.nudge(value, direction)
            msgspec.convert(msgspec.to_builtins(value), one.hint)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("count", "a whole number, 1 to 1,000"),
        ("share", "a number, above 0, up to 1"),
        ("late", "a number, 0 to below 1"),
        ("size", "a whole number, 0 or more"),
        ("least", "a number, 0 to 1"),
        ("way", "one of down, up"),
        ("many", "whole numbers with commas between"),
    ],
)
def test_bounds_in_words(name: str, words: str) -> None:
    assert MADE[name].expected == words


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", " 7 ", 7),
        ("count", "1,000", 1000),  # as its bounds are shown
        ("share", ".5", 0.5),
        ("many", "1, 2,3", (1, 2, 3)),
        ("many", "1,200", (1, 200)),
        ("way", "up", "up"),
    ],
)
def test_a_value_as_typed(name: str, text: str, value: object) -> None:
    assert MADE[name].parse(text, "it") == value


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("count", "0", "it: expected a whole number, 1 to 1,000"),
        ("count", "0,007", "it: expected a whole number, 1 to 1,000"),
        ("share", "0,500", "it: expected a number, above 0, up to 1"),
        ("share", "nan", "it: expected a number, above 0, up to 1"),
        ("late", "inf", "it: expected a number, 0 to below 1"),
        ("way", "dwon", "it: no such way; did you mean 'down'?"),
        ("many", "1,x", "it: expected whole numbers with commas between"),
    ],
)
def test_what_cannot_be_is_one_line(name: str, text: str, line: str) -> None:
    with pytest.raises(MisuseError) as raised:
        MADE[name].parse(text, "it")
    assert str(raised.value) == line


def test_a_step_up_and_down() -> None:
    assert [MADE["count"].nudge(5, way) for way in (-1, 1)] == [1, 15]
    assert [MADE["share"].nudge(0.25, way) for way in (-1, 1)] == [0.25, 0.5]
    assert [MADE["size"].nudge(8, way) for way in (-1, 1)] == [2, 16]
    assert MADE["way"].nudge("down", 1) == "up"
    assert MADE["least"].nudge(None, 1) is None


def test_a_value_as_read() -> None:
    assert MADE["share"].show(1.0) == "off"
    assert MADE["count"].show(1000) == "1,000"
    assert MADE["many"].show((1, 2)) == "1, 2"


def test_a_subclass_that_changes_a_default_keeps_the_description() -> None:
    icons = settings_of(type(RECIPES["icons"]))
    assert icons["batch"].description == settings_of(type(RECIPES["prose"]))["batch"].description
    assert icons["batch"].default != settings_of(type(RECIPES["prose"]))["batch"].default


def test_a_value_may_be_typed_as_it_is_shown() -> None:
    class View(Struct):
        width: Annotated[
            int, Meta(ge=20, le=70), about("", off=38, off_title="auto", format="{} %")
        ] = 38
        column: Annotated[str, about("")] = ""

    width, column = settings_of(View).values()
    assert [width.parse(text, "") for text in ("40", " 40 % ", "auto")] == [40, 40, 38]
    with pytest.raises(MisuseError, match="width: expected a whole number, 20 to 70, or auto"):
        width.parse("", "width")
    known = msgspec.structs.replace(
        column, choices={"": "newest", "best.loss": "min loss"}, read=str.upper
    )
    found = [known.parse(text, "") for text in ("newest", "min loss", "lr")]
    assert found == ["", "best.loss", "LR"]
