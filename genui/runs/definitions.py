"""What a script defines with `define_metric`: an x axis, a summary, to be drawn or not.

The arguments are those of wandb (https://docs.wandb.ai/models/ref/python/experiments/run).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from genui.base.errors import MisuseError
from genui.base.text import clean_line

AGGREGATES = ("min", "max", "mean", "first", "last", "copy", "best", "none")
_GOALS = {"minimize": "min", "min": "min", "maximize": "max", "max": "max"}


class MetricDefinition(Struct, frozen=True):
    """How a metric is shown, and its values in the summary."""

    name: str  # of the metric; with a star at its end the beginning of the names of several
    step_metric: str = ""  # the metric that is its x axis
    step_sync: bool = False  # whether a record without the step metric gets its last value
    hidden: bool = False  # whether its curve is drawn only if the filter has its name
    summary: tuple[str, ...] = ()  # of AGGREGATES; empty: the last value
    goal: str = "min"  # which value is the best: "min" or "max"


def parse_definition(**given: Any) -> dict[str, Any]:
    """Return the fields of MetricDefinition for arguments of `define_metric`; some may be None.

    Raises MisuseError, one line.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    name = fields.get("name")
    if not isinstance(name, str) or not name or "*" in name[:-1]:
        raise MisuseError("define_metric() takes a name, which may end with *")
    if "step_metric" in fields:
        step_metric = fields["step_metric"]
        fields["step_metric"] = str(getattr(step_metric, "name", step_metric))
        fields.setdefault("step_sync", True)
    for flag in ("step_sync", "hidden"):
        if flag in fields:
            fields[flag] = fields[flag] is True
    if "summary" in fields:
        words = tuple(word.strip() for word in str(fields["summary"]).split(","))
        if unknown := [word for word in words if word not in AGGREGATES]:
            known = ", ".join(AGGREGATES)
            raise MisuseError(f"define_metric() has no summary '{clean_line(unknown[0])}': {known}")
        fields["summary"] = words
    if "goal" in fields:
        if fields["goal"] not in _GOALS:
            raise MisuseError("define_metric() takes goal='minimize' or 'maximize'")
        fields["goal"] = _GOALS[fields["goal"]]
    return fields


def find_definition(definitions: Sequence[MetricDefinition], name: str) -> MetricDefinition | None:
    """The definition of a metric: that of its name, or the first of a beginning of it."""
    exact = (each for each in definitions if each.name == name)
    stars = (each for each in definitions if each.name.endswith("*"))
    begin = (each for each in stars if name.startswith(each.name[:-1]))
    return next(exact, None) or next(begin, None)


def find_axes(definitions: Sequence[MetricDefinition], names: Iterable[str]) -> dict[str, str]:
    """The x axis of each of the metrics that has one which is a metric too."""
    known = set(names) if definitions else set[str]()
    found = {name: find_definition(definitions, name) for name in known}
    return {
        name: one.step_metric
        for name, one in found.items()
        if one is not None and one.step_metric in known and one.step_metric != name
    }


def is_hidden(definitions: Sequence[MetricDefinition], name: str) -> bool:
    """Whether a metric is drawn only for a filter that has its name."""
    found = find_definition(definitions, name)
    return found is not None and found.hidden


class Aggregate:
    """The values of a metric in the summary. If a run is continued, the mean begins again."""

    def __init__(self, definition: MetricDefinition, known: object) -> None:
        """`known` are the values of the summary before."""
        self._words = definition.summary
        self._best = definition.goal
        self._values: dict[str, float] = dict(known) if isinstance(known, dict) else {}
        self._total, self._count = 0.0, 0

    def add(self, value: float | str) -> dict[str, float]:
        """The aggregates with one more value; a text, such as "NaN", does not count."""
        if isinstance(value, str):
            return dict(self._values)
        self._total, self._count = self._total + value, self._count + 1
        for word in self._words:
            known = self._values.get(word, value)
            how = self._best if word == "best" else word
            if how in ("min", "max"):
                known = min(known, value) if how == "min" else max(known, value)
            elif how == "mean":
                known = self._total / self._count
            elif how != "first":
                known = value
            self._values[word] = known
        return dict(self._values)
