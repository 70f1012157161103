"""Code that is still being written: whether it parses, is unfinished, or breaks, and where."""

import ast
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base import python_syntax as module
from genui.base.python_syntax import MAX_CHARACTERS, check_syntax, find_break, may_continue


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1\n",
        "def f(x):\n    return x",
        "x = '\\d'\n",
        "# only a remark\n",
        "async def f(): ...",
    ],
)
def test_what_the_interpreter_reads_parses(source: str) -> None:
    assert check_syntax(source).text == "parses"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def f(x):", 1),
        ("def f(x):\n", 1),
        ("def f(x):\n    x = foo.", 2),  # a name is still to come
        ("def f(x):\n    '''What it is", 2),
        ("x = (1,\n     2", 2),
        ("x = 'abc", 1),  # the other quote may come on this line
        ("try:\n    x\n", 2),
        ("@cache\n", 1),
    ],
)
def test_what_more_text_can_still_end_is_unfinished(source: str, line: int) -> None:
    found = check_syntax(source)
    assert found.text == f"unfinished at line {line}"


@pytest.mark.parametrize(
    ("source", "line", "there"),
    [
        ("def f(x):\n    x = foo.\n", 2, "\n"),
        ("x = 'abc\ny = 1\n", 1, "'abc"),
        ("x = 1)\n", 1, ")"),
        ("if x:\ny = 1\n", 2, "y = 1"),
        ("a = 1\nb c\nd = 2\ne = 3", 2, "c"),
    ],
)
def test_what_no_text_can_mend_breaks_where_the_interpreter_says(
    source: str, line: int, there: str
) -> None:
    found = check_syntax(source)
    assert found.state == "breaks"
    assert found.line == line
    assert found.text.startswith(f"breaks at line {line}: ")
    at = find_break(source, found)
    assert source[at:].startswith(there) or source[at + 1 :].startswith(there)


def test_a_break_stays_where_it_is_while_the_text_goes_on() -> None:
    broken = "def f(:\n    pass\n"
    assert check_syntax(broken + "x = ").line == check_syntax(broken + "x = 1\ny = (").line == 1


@pytest.mark.parametrize("source", ["\0\n", "(" * 500 + "\n", "x = 1\n" * MAX_CHARACTERS])
def test_what_is_not_python_or_too_long_raises_nothing(source: str) -> None:
    assert check_syntax(source).state in ("breaks", "unfinished", "unchecked")


def test_a_place_is_always_within_the_text() -> None:
    for source in ("x = 1)", "\n\nx y", "if x:\ny", "x = '"):
        for end in range(len(source) + 1):
            found = check_syntax(source[:end])
            assert 0 <= find_break(source[:end], found) <= end


@pytest.mark.parametrize("source", [inspect.getsource(module), inspect.getsource(ast)[:4500]])
def test_python_is_viable_wherever_it_is_cut(source: str) -> None:
    cut = [at for at in range(len(source)) if not may_continue(source[:at])]
    assert [source[max(0, at - 30) : at] for at in cut] == []


@pytest.mark.parametrize(
    "source",
    [
        "x = foo bar(",
        "def f(:",
        "def f()\n",
        "x = 1 2 +",
        "if x = 3",
        "x = 'abc\n",
        "x = (1]",
        ")",
        "def f():\nreturn",
        "def f():\n    x = 1\n  y",
        "x = $",
        "import 3",
        "return = 1",
        "x = 0xg",
        "class A(B): pass pass",
    ],
)
def test_what_cannot_become_python_is_not_viable(source: str) -> None:
    assert not may_continue(source)


PIECES = st.sampled_from(
    ["def ", "f", "(", ")", ":", "\n", "\n    ", "x", " ", "=", "'", '"""', "if ", "else", "1", ".",
     "0x", "#", "\\", "return ", "is", "im", ",", "[", "]", "!", "->", "f'", "{", "}", "class"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14))
def test_nothing_mends_what_is_not_viable(pieces: list[str]) -> None:
    broken = False
    for at in range(len(pieces) + 1):
        text = "".join(pieces[:at])
        broken = broken or not may_continue(text)
        if broken:
            assert check_syntax(text).state != "parses", text


def test_what_is_too_long_to_read_is_let_be() -> None:
    assert may_continue(")" * (MAX_CHARACTERS + 1))
