from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from genui.render.prose import SOLID, Flow

PIECES = st.lists(st.text(alphabet="abc  \n\t日é🎉", max_size=9), max_size=40)
WIDTHS = st.integers(2, 24)


def shown(flow: Flow) -> list[str]:
    return ["".join(span.text for span in flow.spans(line)) for line in range(len(flow))]


def filled(pieces: list[str], width: int) -> Flow:
    flow = Flow(width)
    flow.extend((piece, index % 7) for index, piece in enumerate(pieces))
    return flow


def test_lines_break_between_words() -> None:
    assert shown(filled(["What light is ", "this that breaks"], 12)) == [
        "What light ", "is this that", "breaks",
    ]  # fmt: skip


def test_a_word_in_pieces_moves_whole() -> None:
    assert shown(filled(["my ", "he", "ar", "t"], 6)) == ["my ", "heart"]


def test_a_word_wider_than_a_line_is_cut() -> None:
    assert shown(filled(["abcdefgh"], 3)) == ["abc", "def", "gh"]


def test_indentation_is_kept_and_tabs_stop_every_four() -> None:
    assert shown(filled(["if x:\n\tgo()\n  a\tb"], 20)) == ["if x:", "    go()", "  a b"]


def test_wide_characters_take_two_cells() -> None:
    assert shown(filled(["日本語"], 5)) == ["日本", "語"]


def test_marks_stay_with_their_characters() -> None:
    flow = filled(["ab", "cd ", "ef"], 20)
    assert [tuple(span) for span in flow.spans(0)] == [("ab", 0), ("cd ", 1), ("ef", 2)]


def test_escape_codes_never_get_in() -> None:
    assert shown(filled(["\x1b[31mred\x07"], 20)) == ["red"]


@given(PIECES, WIDTHS)
def test_a_line_is_never_wider_than_the_width(pieces: list[str], width: int) -> None:
    assert max(map(cell_len, shown(filled(pieces, width)))) <= width


@given(PIECES, WIDTHS)
def test_one_piece_at_a_time_is_the_same_as_all_at_once(pieces: list[str], width: int) -> None:
    slowly = Flow(width)
    for index, piece in enumerate(pieces):
        slowly.extend([(piece, index % 7)])
    at_once = filled(pieces, width)
    assert shown(slowly) == shown(at_once)
    assert slowly.text == at_once.text == "".join(pieces)


@given(PIECES, WIDTHS, st.integers(0, 40))
def test_truncating_is_never_having_written(pieces: list[str], width: int, keep: int) -> None:
    flow = filled(pieces, width)
    flow.truncate(keep)
    assert shown(flow) == shown(filled(pieces[:keep], width))
    flow.extend((piece, index % 7) for index, piece in enumerate(pieces[keep:]))
    assert shown(flow) == shown(filled(pieces, width))


@given(PIECES, WIDTHS, WIDTHS)
def test_resizing_is_wrapping_anew(pieces: list[str], before: int, after: int) -> None:
    flow = filled(pieces, before)
    flow.resize(after)
    assert shown(flow) == shown(filled(pieces, after))


@given(PIECES, WIDTHS, st.text(alphabet="ab \n", max_size=9))
def test_lines_before_the_first_changed_one_are_as_they_were(
    pieces: list[str], width: int, piece: str
) -> None:
    flow = filled(pieces, width)
    before = shown(flow)
    changed = flow.extend([(piece, 0)])
    assert shown(flow)[:changed] == before[:changed]


def test_marks_are_changed_in_place_and_the_lines_told() -> None:
    flow = filled(["one ", "two ", "three\n", "four"], 8)
    table = bytes(mark | SOLID for mark in range(256))
    assert flow.piece(1) == (4, 8)
    assert list(flow.remark(4, 14, table)) == [0, 1]
    assert [tuple(span) for span in flow.spans(0)] == [("one ", 0), ("two ", 1 | SOLID)]
    assert flow.newline(1) == 2 | SOLID
    assert flow.newline(0) is None
    assert (flow.line_at(9), flow.part(1, 8, 11)) == (1, "thr")
    assert list(flow.remark(3, 3, table)) == []


def test_white_space_keeps_a_mark_that_is_seen_on_it() -> None:
    flow = Flow(20)
    flow.extend([("a", 1), (" ", 2), ("b", 1), (" ", SOLID), (" ", 3)])
    assert [tuple(span) for span in flow.spans(0)] == [
        ("a b", 1), (" ", SOLID), (" ", 3),
    ]  # fmt: skip
