"""Records of a name and a number a line, and numbers that nothing calls metrics.

Below the heading of a step, or indented, such lines are one record. Elsewhere a number without a
known name is a metric once it was seen at several steps.
"""

import re

from genui.logs.printed_result import Line, Notes, Point

_LONGEST = 1000  # lines of a block
_MAX_NAMES = 256
_ENOUGH = 3  # times that numbers without a known name are seen before they are metrics
_PAIR = re.compile(r"[\s|>*•-]*+[A-Za-z][\w /]{0,60}+: {0,8}[-+]?[0-9]")
_KEY = re.compile(r"\s*[\w./@%-]{1,60}:(?:\s|$)")


class Blocks:
    """Holds the lines of a block until it ends."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def goes_on(self, text: str, line: Line | None) -> bool:
        """Whether a line may be a part of the block; None is a line without numbers."""
        if line is None:
            return _KEY.match(text) is not None
        return text[:1].isspace() and (line.look.single or not line.metrics)

    def add(self, line: Line) -> list[Line]:
        """The lines of the block before, if it became too long."""
        lines = self.end() if len(self._lines) >= _LONGEST else []
        self._lines.append(line)
        return lines

    def add_below(self, line: Line, text: str, company: bool) -> list[Line] | None:
        """The metrics now below the heading of a step, which `company` says has some already; None
        if the line is none."""
        if not line.look.single and not _PAIR.match(text):
            return None
        self._lines.append(line)
        if len(self._lines) == 1 and not company:
            return []
        lines, self._lines = self._lines, []
        return _as_metrics(lines)

    def end(self) -> list[Line]:
        """The metrics in the block: all its numbers, if it is long and has a known name."""
        lines, self._lines = self._lines, []
        if len(lines) > 2 and any(not line.weak for line in lines):
            return _as_metrics(lines)
        return [line for line in lines if not line.weak]

    def __bool__(self) -> bool:
        return bool(self._lines)


def _as_metrics(lines: list[Line]) -> list[Line]:
    for line in lines:
        line.weak = False
    return lines


class Repeats:
    """Numbers without a known name: seen again and again at later steps, they are metrics."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._seen: dict[str, list[Point]] = {}

    def take(self, metrics: dict[str, float], step: int) -> list[Point]:
        """The points that are known to be metrics now."""
        points: list[Point] = []
        for name, value in metrics.items():
            point = Point(step, {name: value})
            seen = self._seen.get(name)
            if seen is None:
                if len(self._seen) >= _MAX_NAMES:
                    self._seen.pop(next(iter(self._seen)))
                seen = self._seen[name] = []
            known = len(seen) == _ENOUGH
            if seen and seen[-1].step == step:
                seen[-1] = point
                self._notes.add(
                    f"'{name}' is printed several times at one step: its last value counts"
                )
            elif not known:
                seen.append(point)
                points += seen if len(seen) == _ENOUGH else []
            if known:
                points.append(point)
        return points
