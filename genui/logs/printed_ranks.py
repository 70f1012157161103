"""Lines of several processes in one log: which process printed a line, and how they compare.

torchrun, srun, mpirun, Ray, DeepSpeed and others write the process before each line.
"""

import re
from collections import OrderedDict
from collections.abc import Container

from genui.logs.printed_line import read_any
from genui.logs.printed_result import MAX_NAMES
from genui.logs.records import SLOWEST, SPREAD, STEP_TIME

MAX_PROCESSES = 4096
RECENT = 64
"""Steps for which the ranks are compared."""

_RANK = re.compile(
    r"\s{0,8}(?:\[(?:rank|default|local|worker|role|trainer|gpu|proc)[ _-]?([0-9]{1,6})\]:?"
    r"|\[[0-9]{1,4},([0-9]{1,6})\]<std(?:out|err)>:"
    r"|(?:rank|worker|node|trainer|gpu|proc(?:ess)?)[ _-]?([0-9]{1,6})[ ]{0,8}[:|>](?=\s)"
    r"|\(\w{1,40} rank=([0-9]{1,6})[^)]{0,80}\)"
    r"|\[?(?P<host>(?:host|node|pod|machine|task)[\w.-]{0,40}?[0-9]{1,6})(?::(?=\s)|\](?=\s))"
    r"|\(\w{1,40} pid=(?P<pid>[0-9]{1,9})[^)]{0,80}\)"
    r"|(?P<label>[0-9]{1,6}):(?=\s))",
    re.IGNORECASE,
)
_BEGINS = frozenset("[(0123456789rRwWnNtTgGpPhHmM")
_COLOUR = re.compile(r"\A(?:\x1b\[[0-9;]{0,20}m)+")


class Ranks:
    """Finds the rank in the prefix of a line; hosts and process ids are numbered as they come."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._labels = False  # lines begin with the number of their rank, as of srun --label
        self._last_label = -1

    def split(self, text: str, known: Container[int]) -> tuple[int, str]:
        """The rank, 0 if there is none, and the text after it; `known` are the ranks before."""
        if text[:1] == "\x1b":
            text = _COLOUR.sub("", text)
        start = text[:8].lstrip()[:1]
        match = _RANK.match(text) if start in _BEGINS else None
        if match is None:
            return 0, text
        rest = text[match.end() :]
        if not match[0].startswith("[default"):  # torchrun adds no space
            rest = rest.removeprefix(" ")
        if match["label"] is not None:
            rank = int(match["label"])
            return (rank, rest) if self._is_label(rank, rest, known) else (0, text)
        if process := match["host"] or match["pid"]:
            if process not in self._processes and len(self._processes) > MAX_PROCESSES:
                return 0, rest
            return self._processes.setdefault(process, len(self._processes)), rest
        return int(match[match.lastindex or 0]), rest

    def _is_label(self, rank: int, rest: str, known: Container[int]) -> bool:
        """Whether `3: …` is labelled by srun; but `10: learn 0.5` is a step."""
        if self._labels:
            return True
        # A label is printed again and again, a step once.
        self._labels = rank == self._last_label or rank < self._last_label in known
        self._last_label = rank
        line = read_any(rest)
        if line is not None and line.placed and line.metrics:
            self._labels = True
        return self._labels or (rank == 0 and line is None)


class Across:
    """Compares the ranks at each step: the spread of every metric, and the slowest rank."""

    def __init__(self) -> None:
        self._steps: OrderedDict[int, dict[str, list[float]]] = OrderedDict()
        self._slow: dict[int, tuple[float, int]] = {}

    def add(self, rank: int, step: int, metrics: dict[str, float], count: int) -> dict[str, float]:
        """Adds a point of a rank; returns the metrics across ranks, if it was the last rank."""
        table = self._steps.get(step)
        if table is None:
            table = self._steps[step] = {}
            if len(self._steps) > RECENT:
                self._slow.pop(self._steps.popitem(last=False)[0], None)
        result: dict[str, float] = {}
        slowest = self._slow.get(step)
        for name, value in metrics.items() if len(table) < MAX_NAMES else ():
            low_high = table.setdefault(name, [value, value, 0])
            low_high[0] = min(low_high[0], value)
            low_high[1] = max(low_high[1], value)
            low_high[2] += 1
            if STEP_TIME.search(name) and (slowest is None or value > slowest[0]):
                slowest = self._slow[step] = (value, rank)
            if count > 1 and low_high[2] >= count:
                result[f"{SPREAD}{name}"] = low_high[1] - low_high[0]
                # Without a time of each rank the last one to print is the slowest.
                result[SLOWEST] = float(slowest[1] if slowest else rank)
        return result
