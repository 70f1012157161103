"""Shares with intervals: what they are, what counts as a difference, and how they are drawn."""

import msgspec
import numpy as np
import pytest

from genui.base.shares import Share, ShareRow, ShareTable, difference
from genui.render.shares import draw_shares


@pytest.mark.parametrize(
    ("share", "low", "high"),
    [  # Newcombe 1998, "Interval estimation for the single proportion", table I, method 3
        (Share(81, 263), 0.2553, 0.3662),
        (Share(15, 148), 0.0624, 0.1605),
        (Share(0, 20), 0.0, 0.1611),
        (Share(1, 29), 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(share: Share, low: float, high: float) -> None:
    assert share.interval() == pytest.approx((low, high), abs=5e-5)
    wider = share.interval(comparisons=30)
    assert wider[0] <= low + 5e-5
    assert wider[1] > high
    assert Share(0, 0).interval() == (0.0, 1.0)


def test_a_difference_counts_if_its_interval_is_without_zero() -> None:
    more, less = Share(56, 70), Share(48, 80)  # Newcombe 1998: 0.0524 to 0.3339
    assert difference(more, less) == "more"
    assert difference(less, more) == "less"
    assert difference(more, less, comparisons=100) == ""
    assert difference(more, more) == ""


def shares_of(counts: np.ndarray, label: str) -> ShareRow:
    return ShareRow(label=label, shares=tuple(Share(int(n), 200) for n in counts))


def test_noise_is_not_called_a_difference() -> None:
    rng = np.random.default_rng(0)
    marked = 0
    for _ in range(200):  # tables of ten equal labels, drawn from one distribution
        counts = rng.multinomial(200, np.full(10, 0.1), size=3).T
        rows = tuple(shares_of(row, str(at)) for at, row in enumerate(counts))
        table = ShareTable(title="", columns=("data", "a", "b"), rows=rows)
        marked += any(differs for row in rows for differs in table.differences(row))
    assert marked <= 20  # 5 % of 200 are expected at the most


TABLE = ShareTable(
    title="colours",
    columns=("data", "guidance 1", "guidance 4"),
    rows=(
        ShareRow(label="red", shares=(Share(100, 1000), Share(12, 100), Share(60, 100))),
        ShareRow(label="blue\x1b[31m", shares=(Share(900, 1000), Share(88, 100), Share(40, 100))),
    ),
)


@pytest.mark.parametrize("width", [42, 70, 100, 200])
def test_a_table_fits_and_marks_what_differs_in_words_and_signs(width: int) -> None:
    heads, _, samples, red, blue = draw_shares(TABLE, width)
    assert max(map(len, (heads, samples, red, blue))) <= width
    assert samples.split() == ["samples", "1,000", "100", "100"]
    assert "\x1b" not in blue
    assert "60.0 %▲" in red
    assert "40.0 %▼" in blue
    assert "12.0 % " in red  # 2 more of 100 are no difference
    assert ("█" in blue) == (width > 42)
    assert ("8.3–12.0" in red) == (width > 70)


def test_one_column_has_remarks() -> None:
    row = ShareRow(label="real", shares=(Share(2, 40),), remark="AUC 0.50")
    heads, more, samples, line = draw_shares(
        ShareTable(title="", columns=("called generated",), rows=(row,)), 80
    )
    assert (heads.split(), more.split()) == (["called"], ["generated"])
    assert samples.split() == ["samples", "40"]
    assert "5.0 %" in line
    assert "1.4–16.5" in line
    assert line.endswith("AUC 0.50")


def test_the_rest_sets_no_scale_and_has_no_bar() -> None:
    rest = ShareRow(label="others", shares=(Share(90, 100),), is_rest=True)
    rows = (ShareRow(label="one", shares=(Share(10, 100),)), rest)
    *_, one, others = draw_shares(ShareTable(title="", columns=("data",), rows=rows), 80)
    assert "████" in one
    assert "█" not in others
    assert "90.0 %" in others


def test_a_table_is_the_same_after_json() -> None:
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(TABLE)), ShareTable) == TABLE
