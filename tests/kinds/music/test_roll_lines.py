"""A piano roll in characters."""

from genui.kinds.music.piano_roll import (
    GUTTER,
    ONSETS,
    choose_scale,
    draw_roll_rows,
    format_bar_numbers,
    format_roll,
)
from genui.kinds.music.score import Note, columns_of

PIECE = columns_of([Note(0, 67, 0, 4), Note(3, 48, 0, 2), Note(3, 50, 2, 4)], 4)


def drawn(height: int) -> list[str]:
    rows = draw_roll_rows(PIECE, choose_scale(PIECE, height), 0, 4, 16, 4)
    return ["".join(mark.text for mark in row) for row in rows]


def test_each_note_begins_with_its_voice_and_goes_on_as_a_line() -> None:
    lines = drawn(30)
    assert "S━━━" in lines
    assert "B═  " in lines
    assert "  B═" in lines
    assert lines.index("S━━━") < lines.index("  B═") < lines.index("B═  ")  # higher is above


def test_every_note_is_seen_however_few_the_rows() -> None:
    for height in (30, 12, 6, 3):
        rows = drawn(height)
        assert len(rows) <= height
        assert set(ONSETS) & set("".join(rows)) == {"S", "B"}


def test_bars_are_numbered_from_one_and_an_upbeat_counts_as_none() -> None:
    assert format_bar_numbers(0, 20, 16, 12) == "    1" + " " * 15
    assert format_bar_numbers(0, 20, 16, 0) == "1" + " " * 15 + "2   "


def test_a_piece_for_the_terminal_keeps_to_its_width_and_shows_every_note() -> None:
    long = columns_of([Note(0, 60 + n % 12, 4 * n, 4 * n + 4) for n in range(40)], 160)
    text = format_roll(long, 80, 16, 12)
    assert max(map(len, text.split("\n"))) <= 80
    assert text.count("S") == 40
    assert all(line[:GUTTER].strip() == "" or line[0] in "CDEFGAB" for line in text.split("\n"))
