import numpy as np
import pytest

from genui.render.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas, connect_columns
from genui.render.series import compute_envelope

COLS, ROWS = 6, 5
# The bits of a cell's dots, by row and column: Unicode's order.
BITS = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]


def dots(canvas: Canvas) -> np.ndarray:
    """bool [rows * 4, cols * 2]: which dots are on the canvas."""
    found = np.zeros((canvas.rows * DOTS_DOWN, canvas.cols * DOTS_ACROSS), dtype=bool)
    for row, parts in enumerate(canvas.lines()):
        for col, sign in enumerate("".join(text for text, _ in parts)):
            code = ord(sign) - 0x2800 if "\u2800" <= sign <= "\u28ff" else 0
            for down, across in np.ndindex(DOTS_DOWN, DOTS_ACROSS):
                at = row * DOTS_DOWN + down, col * DOTS_ACROSS + across
                found[at] = bool(code & BITS[down][across])
    return found


def spans() -> tuple[np.ndarray, np.ndarray]:
    top = np.random.default_rng(0).integers(0, 10, COLS * DOTS_ACROSS).astype(float)
    return top, top + 7


def test_a_span_fills_its_dots_and_no_others() -> None:
    top, bottom = spans()
    top[3] = bottom[3] = np.nan
    canvas = Canvas(COLS, ROWS)
    canvas.spans(top, bottom, 0)
    row = np.arange(ROWS * DOTS_DOWN)[:, None]
    assert np.array_equal(dots(canvas), (row >= top) & (row <= bottom))


def test_what_is_faint_is_a_halftone_that_keeps_both_ends() -> None:
    top, bottom = spans()
    canvas = Canvas(COLS, ROWS)
    canvas.spans(top, bottom, 0, faint=True)
    found = dots(canvas)
    for column, (first, last) in enumerate(zip(top.astype(int), bottom.astype(int), strict=True)):
        assert found[first, column]
        assert found[last, column]
        assert 4 <= found[:, column].sum() <= 6  # of eight


def test_a_line_is_alone_in_its_cells_and_over_what_is_faint() -> None:
    canvas = Canvas(COLS, ROWS)
    canvas.spans(np.zeros(12), np.full(12, 19.0), 0, faint=True)
    canvas.spans(np.full(12, 9.0), np.full(12, 9.0), 1)
    lines = canvas.lines()
    assert lines[2] == [("⠒" * COLS, 1)]
    assert {layer for _, layer in lines[1] + lines[3]} == {0}


def test_a_rule_leaves_lines_and_signs_to_be_seen() -> None:
    canvas = Canvas(COLS, ROWS)
    canvas.spans(np.zeros(12), np.full(12, 19.0), 0, faint=True)
    canvas.spans(np.full(12, 9.0), np.full(12, 9.0), 1)
    canvas.put(4, 2, "✗", 3)
    canvas.rule(2, "│", 2)
    column = ["".join(text for text, _ in line)[2] for line in canvas.lines()]
    assert column == ["│", "│", "⠒", "│", "✗"]


def test_neighbours_of_a_line_always_touch() -> None:
    values = np.random.default_rng(0).normal(size=40)
    columns = compute_envelope(np.arange(40), values, 0, 39, 40)
    top, bottom = connect_columns(columns, (values.min(), values.max()), 60)
    assert (top[1:] <= bottom[:-1] + 1).all()
    assert (bottom[1:] >= top[:-1] - 1).all()


def test_columns_that_are_apart_meet_half_way_as_lines_do() -> None:
    values = np.array([0.0, 1.0, 0.0, np.nan, 1.0])
    top, bottom = connect_columns(compute_envelope(np.arange(5), values, 0, 4, 5), (0.0, 1.0), 21)
    assert list(zip(top, bottom, strict=True))[:3] == [(10, 20), (0, 10), (11, 20)]
    assert np.isnan(top[3])
    assert (top[4], bottom[4]) == (0, 0)


@pytest.mark.parametrize(("value", "known"), [(2.0, 4), (np.nan, 0)])
def test_a_line_leads_to_points_outside_unless_there_is_a_fault_between(
    value: float, known: int
) -> None:
    steps, values = np.array([0, 12, 20]), np.array([0.0, value, 4.0])
    columns = compute_envelope(steps, values, 10, 18, 4)
    top, _ = connect_columns(columns, (0.0, 4.0), 20)
    assert np.count_nonzero(~np.isnan(top)) == known


def test_a_constant_with_rounding_errors_is_a_straight_line():
    values = 3e-4 * (1 + 1e-15 * np.resize([1, -1, 0], 80))
    steps = np.arange(80)
    top, bottom = connect_columns(
        compute_envelope(steps, values, 0, 79, 40), (2.85e-4, 3.15e-4), 56
    )
    assert len(set(top)) == len(set(bottom)) == 1
