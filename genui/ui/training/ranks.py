"""The processes of a run in lines: the progress, times and host of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from genui.base import numbers
from genui.base.text import clean_line

if TYPE_CHECKING:
    from genui.ui.watcher import RunView

MOST = 8
"""The most ranks in lines; if there are more, those that are the furthest behind or the slowest."""

SILENT_S = 15.0
"""Seconds behind the newest record of any rank after which a rank counts as silent."""

SLOWER = 1.1
"""The least factor to the second slowest at which a rank is called the slowest."""

_NAME = re.compile(r"rank(\d{1,6})/(step_seconds|wait_seconds|memory)")
_FAILED = re.compile(r"\brank (\d+) on ")
"""The ranks that the error of a run names."""


class RankRow(NamedTuple):
    """The newest record of a rank."""

    rank: int
    host: str
    step: int
    time: float  # unix time
    values: dict[str, float]  # step_seconds, wait_seconds and memory in bytes, if known
    note: str = ""  # "slowest", "silent", "died"


def rank_rows(view: RunView) -> list[RankRow]:
    """The ranks of a run that genui trains in several processes, in order; [] of any other."""
    by_rank: dict[int, RankRow] = {}
    hosts = view.summary.info.machine.get("hosts")
    hosts = hosts if isinstance(hosts, list) else []  # run.json may say anything
    for name, (steps, values, times) in view.series.items():
        match = _NAME.fullmatch(name)
        if match is None or not len(steps):
            continue
        rank = int(match[1])
        host = str(hosts[rank]) if rank < len(hosts) else ""
        row = by_rank.setdefault(rank, RankRow(rank, host, int(steps[-1]), float(times[-1]), {}))
        row.values[match[2]] = float(values[-1])
    rows = [by_rank[rank] for rank in sorted(by_rank)]
    return [row._replace(note=_note(row, rows, view.summary.status.error)) for row in rows]


def _note(row: RankRow, rows: list[RankRow], error: str) -> str:
    if str(row.rank) in _FAILED.findall(error):
        return "died"
    if max(each.time for each in rows) - row.time > SILENT_S:
        return "silent"
    others = [each.values.get("step_seconds", 0.0) for each in rows if each is not row]
    own = row.values.get("step_seconds", 0.0)
    return "slowest" if others and own > SLOWER * max(others) > 0 else ""


def rank_lines(view: RunView) -> Content | None:
    """A heading and a line for each rank, with its memory or fault; None for a single process."""
    rows = rank_rows(view)
    if len(rows) < 2:
        return None
    shown, rest = rows, len(rows) - MOST
    if rest > 0:
        behind = sorted(rows, key=lambda r: (not r.note, r.step, -r.values.get("step_seconds", 0)))
        shown = sorted(behind[:MOST])
    width = max(4, *(len(clean_line(row.host, 12)) for row in shown))
    head = f"rank {'host':<{width}} {'step':>5} {'s/step':>6} {'waits':>6} {'memory':>7}\n"
    lines = [(head, "$text-muted")]
    for row in shown:
        seconds, wait, memory = (row.values.get(name) for name in _VALUES)
        line = f"{row.rank:>4} {clean_line(row.host, 12):<{width}} {numbers.short(row.step):>5} "
        lines.append((f"{line}{_seconds(seconds):>6} {_seconds(wait):>6} ", "$foreground"))
        size = "" if memory is None else numbers.size(memory)
        lines.append((f"{row.note or size:>7}\n", _COLOURS.get(row.note, "$foreground")))
    if rest > 0:
        lines.append((f"and {rest} more\n", "$text-muted"))
    return Content.assemble(*lines).rstrip()


_VALUES = ("step_seconds", "wait_seconds", "memory")
_COLOURS = {"died": "bold $text-error", "silent": "bold $text-error", "slowest": "$text-warning"}


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
