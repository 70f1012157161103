"""Tables of shares as text: percentages, bars, intervals, and what differs from what is real."""

from rich.cells import cell_len

from genui.base.numbers import count
from genui.base.shares import Share, ShareRow, ShareTable
from genui.base.text import align_columns, clean_line

_EIGHTHS = "▏▎▍▌▋▊▉"
_DIFFERS = {"more": "▲", "less": "▼", "": " "}
_LABEL = 48  # cells
_DETAILS = ((16, True), (10, True), (5, True), (10, False), (5, False), (2, False), (0, False))
"""Cells of a bar, and whether intervals are shown: the first that fit."""


def bar(share: float, cells: int) -> str:
    """A bar of `share` × `cells`, in eighths of a cell; at least one eighth if not 0."""
    eighths = round(min(share, 1.0) * cells * 8)
    if share > 0 and cells > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


def draw_shares(table: ShareTable, width: int) -> list[str]:
    """Draw the table in lines of `width` cells if it can be made so narrow: heads in two lines,
    numbers of samples if each column has one, and rows.

    The longest bar is the largest share of a label. ▲ and ▼ mark what is more or less than the
    first column.
    """
    titles = [clean_line(column).rpartition(" ") for column in table.columns]
    upper = ["", *(first or last for first, _, last in titles), ""]
    lower = ["", *(last if first else "" for first, _, last in titles), ""]
    heads = [upper, lower] if any(lower) else [upper]
    sizes = [{row.shares[at].of for row in table.rows} for at in range(len(table.columns))]
    if all(len(each) == 1 for each in sizes):
        heads.append(["samples", *(count(each.pop()) for each in sizes), ""])
    lines: list[str] = []
    for cells, intervals in _DETAILS:
        grid = [*heads, *(_row(table, row, cells, intervals) for row in table.rows)]
        lines = align_columns(grid)
        if max(map(cell_len, lines)) <= width:
            break
    return lines


def _row(table: ShareTable, row: ShareRow, cells: int, intervals: bool) -> list[str]:
    labels = (each for each in table.rows if not each.is_rest)
    largest = max((share.value for each in labels for share in each.shares), default=0) or 1
    texts = [clean_line(row.label, _LABEL)]
    for share, differs in zip(row.shares, table.differences(row), strict=True):
        text = f"{100 * share.value:5.1f} %{_DIFFERS[differs]}"
        if cells:
            text += f" {'' if row.is_rest else bar(share.value / largest, cells):{cells}}"
        texts.append(f"{text} {_interval(share)}" if intervals else text)
    return [*texts, clean_line(row.remark)]


def _interval(share: Share) -> str:
    low, high = (100 * end for end in share.interval())
    return f"{low:.1f}–{high:.1f}"
