"""Conditions on metrics and the language that they share with the filter of runs."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.conditions import Conditions, parse_condition
from genui.base.errors import MisuseError
from genui.runs.table import RunFilter


def holds(text: str, **values: float) -> bool:
    return parse_condition(text).matches(values)


def test_a_bound_may_have_a_unit_as_in_the_filter_of_runs() -> None:
    assert holds("acc >= 90%", acc=0.9)
    assert holds("tokens>10k", tokens=10_001)
    assert not holds("tokens>10k", tokens=10_000)
    assert holds("val_loss<1.5e-1", val_loss=0.149)


def test_several_comparisons_are_joined_as_in_the_filter_of_runs() -> None:
    text = "val_loss<1.5 and (acc>=90% or 0.1<mfu<0.5)"
    assert list(parse_condition(text).keys) == ["val_loss", "acc", "mfu"]
    assert holds(text, val_loss=1, acc=0.95)
    assert holds(text, val_loss=1, mfu=0.3)
    assert not holds(text, val_loss=1, mfu=0.6)
    assert not holds(text, val_loss=2, acc=0.95)
    assert holds("1.5>val_loss", val_loss=1)
    assert holds("loss=nan", loss=math.nan)
    assert not holds("not loss=nan", loss=math.nan)


@pytest.mark.parametrize(
    "name", ["ranks/spread loss", "train (avg)", "map@iou=0.5", "it's", "a|b", "model's acc & more"]
)
def test_a_name_that_is_compared_alone_may_have_any_characters(name: str) -> None:
    assert parse_condition(f"{name} < 2").matches({name: 1.0})
    assert list(parse_condition(f"{name}<2").keys) == [name]


@pytest.mark.parametrize(
    "text", ["", "loss", "loss<", "loss<nan", "loss<much", "<1", "(loss<1", "loss<1 and acc"]
)
def test_what_is_no_condition_is_one_line(text: str) -> None:
    with pytest.raises(MisuseError, match=r"--until: .*write a condition such as 'val_loss<1.5'"):
        parse_condition(text, "--until: ")


def test_words_alone_are_no_conditions() -> None:
    with pytest.raises(MisuseError, match="'a b' is not a condition: 'a' is compared with nothing"):
        Conditions("a b")


# --- Any comparison, and any text -------------------------------------------------------------

_NAMES = st.from_regex(r"[a-z][a-z0-9_./-]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("and", "or", "not", "nan", "inf", "tag")
)
_SIGNS = st.sampled_from(["<", "<=", ">", ">="])
_FLOATS = st.floats(allow_nan=False, width=32)
_SPACES = st.sampled_from(["", " ", "  "])


@given(_NAMES, _SIGNS, _FLOATS, _FLOATS, _SPACES)
def test_a_comparison_means_what_it_says(
    name: str, sign: str, bound: float, value: float, space: str
) -> None:
    text = f"{name}{space}{sign}{space}{bound!r}"
    expected = {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}
    for conditions in (parse_condition(text), Conditions(text), RunFilter(text)):
        assert list(conditions.keys) == [name]
        assert conditions.matches({name: value}) == expected[sign]
        assert not conditions.matches({name: math.nan})
        assert not conditions.matches({})


@given(st.lists(st.tuples(_NAMES, _SIGNS, _FLOATS), min_size=2, max_size=6), st.data())
def test_joined_comparisons_are_those_of_python(
    comparisons: list[tuple[str, str, float]], data: st.DataObject
) -> None:
    values = {name: data.draw(_FLOATS) for name, _, _ in comparisons}
    text = python = ""
    for name, sign, bound in comparisons:
        word = data.draw(st.sampled_from(["and", "or"])) if text else ""
        no = data.draw(st.sampled_from(["", "not "]))
        text += f" {word} {no}{name}{sign}{bound!r}"
        python += f" {word} {no}values[{name!r}]{sign}float({str(bound)!r})"
    expected = eval(python.strip())
    assert parse_condition(text).matches(values) == expected
    assert RunFilter(text).matches(values) == expected


_PIECES = st.sampled_from(
    ["lr", "loss", ">", "<=", "=", "!~", "(", ")", "and", "or", "not", "!", "&&", "/", "'", "1e-4",
     "10k", "nan", "[", "\\", "\x00", "é", " "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=20).map(" ".join)))
def test_any_text_is_a_condition_or_a_misuse(text: str) -> None:
    for parse in (parse_condition, Conditions):
        with suppress(MisuseError):
            assert parse(text).matches({"lr": 1.0, "loss": "x"}) in (True, False)
