import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from genui.base.text import clean, clean_line, escape_json, shorten_middle


@pytest.mark.parametrize(
    ("dirty", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bPq~~\x1b\\after", "after"),
        ("bell\x07 back\x08space \x7f", "bell backspace "),
        ("over\u202eride \u2066isolate\u2069", "override isolate"),
        ("zero\u200bwidth \ufeffmark", "zerowidth mark"),
        ("keep\n\ttabs", "keep\n\ttabs"),
        ("dos\r\nline", "dos\nline"),
        ("naïve 日本 🎉", "naïve 日本 🎉"),
        ("lone \ud800", "lone \ufffd"),
        ("[bold]markup is text[/bold]", "[bold]markup is text[/bold]"),
    ],
)
def test_what_a_terminal_would_obey_is_removed(dirty: str, safe: str) -> None:
    assert clean(dirty) == safe


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    safe = clean(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in safe)
    assert clean(safe) == safe
    safe.encode("utf-8")


def test_a_line_is_folded_and_cut_with_an_ellipsis() -> None:
    assert clean_line("a\n b\t c") == "a b c"
    assert clean_line("abcdef", 4) == "abc…"
    assert clean_line("abcd", 4) == "abcd"
    assert cell_len(clean_line("日本語テキスト", 6)) <= 6


@pytest.mark.parametrize("width", range(9))
def test_the_middle_of_a_long_name_is_left_out(width: int) -> None:
    for name in ("plays-20261125-a", "日本語テキスト"):
        assert cell_len(shorten_middle(name, width)) <= width
    assert shorten_middle("plays-20261125-a", 8) == "play…5-a"
    assert shorten_middle("plays\x1b[31m", 8) == "plays"


@given(st.dictionaries(st.text(), st.text()))
def test_escaped_json_is_the_same_data_and_safe_to_show(value: dict[str, str]) -> None:
    escaped = escape_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(escaped) == value
    assert clean(escaped) == escaped


def test_json_of_ordinary_text_stays_as_it_is() -> None:
    text = '{"naïve": "日本 🎉\\n"}'
    assert escape_json(text) == text
    assert escape_json('"\x9b \x7f \u202e \U000e0041"') == r'"\u009b \u007f \u202e \udb40\udc41"'
