"""Shares of samples with intervals, as a table that the shell, the app and JSON have in common."""

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Literal

from msgspec import Struct

CONFIDENCE = 0.95
Difference = Literal["more", "less", ""]


class Share(Struct, frozen=True):
    """`hits` of `of` samples, which must be independent for the interval to hold."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of if self.of else 0.0

    def interval(self, comparisons: int = 1) -> tuple[float, float]:
        """Wilson's score interval (1927, eq. 8). All of that many contain their true shares with
        a chance of 95 % at the least (Bonferroni)."""
        if not self.of:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / comparisons)
        centre = self.value + z * z / (2 * self.of)
        spread = z * math.sqrt((self.value * (1 - self.value) + z * z / (4 * self.of)) / self.of)
        scale = 1 + z * z / self.of
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def difference(share: Share, reference: Share, comparisons: int = 1) -> Difference:
    """Whether a share is more or less than another one; "" if it may be noise.

    The interval of the difference is that of Newcombe (1998, method 10), from Wilson's of each.
    """
    (low, high), (low_real, high_real) = (s.interval(comparisons) for s in (share, reference))
    by = share.value - reference.value
    reach_down = math.hypot(share.value - low, high_real - reference.value)
    reach_up = math.hypot(high - share.value, reference.value - low_real)
    if by - reach_down > 0:
        return "more"
    return "less" if by + reach_up < 0 else ""


class ShareRow(Struct, frozen=True, kw_only=True):
    label: str
    shares: tuple[Share, ...]  # one for each column
    remark: str = ""
    is_rest: bool = False  # whether it is all that has no row of its own; then it has no bar


def count_row(label: str, columns: Iterable[Iterable[object]], remark: str = "") -> ShareRow:
    """A row with the share of true values in each column."""
    counted = [[bool(value) for value in column] for column in columns]
    shares = tuple(Share(sum(values), len(values)) for values in counted)
    return ShareRow(label=label, shares=shares, remark=remark)


class ShareTable(Struct, frozen=True, kw_only=True):
    """Several columns are compared with the first, which is what is real."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ShareRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def comparisons(self) -> int:
        return max(1, len(self.rows) * (len(self.columns) - 1))

    def differences(self, row: ShareRow) -> tuple[Difference, ...]:
        """How each of a row's shares differs from its first, as far as all that the table compares
        leaves no doubt."""
        real = row.shares[0]
        return tuple(difference(share, real, self.comparisons) for share in row.shares)
