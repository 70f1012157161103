"""Which lines are of the training and which of held-out data, where they do not say so.

Words such as `Evaluating` begin an evaluation; a line with the names of earlier lines of the
training ends it. Metrics of another phase have names of their own: val/loss.
"""

import re

from genui.logs.printed_result import Line
from genui.logs.printed_words import traits

_MAX_SHAPES = 64
_MAX_VALUES = 1000
_ALIKE = 0.6  # of the names of two lines, above which they are of one kind
_EVALUATES = re.compile(r"\bevaluat|\bvalidat|\btesting\b|\binference\b", re.IGNORECASE)
_PARTS = re.compile(r"(?:val|valid|validation|eval|test|dev)(?:[_/ -]|$)|_epoch$", re.IGNORECASE)
_LEARNING_RATE = re.compile(r"(?:^|[_/])(?:lr[0-9f]?|learning_?rate)$", re.IGNORECASE)


class Phases:
    """Follows the phases of training and evaluation in a log."""

    def __init__(self) -> None:
        self.evaluates = False
        self._seen: set[str] = set()
        self._shapes: set[frozenset[str]] = set()  # names of lines outside evaluations
        self._in_bar: dict[str, float] = {}  # the newest values in a bar

    def read_words(self, text: str) -> None:
        """Looks for words about an evaluation."""
        if _EVALUATES.search(text):
            self.evaluates = True

    def see(self, phase: str) -> None:
        self._seen.add(phase)

    def learn(self, line: Line) -> None:
        """Remembers the names in a line of the training."""
        if not self.evaluates and len(self._shapes) < _MAX_SHAPES:
            self._shapes.add(frozenset(line.metrics))

    def is_config(self, line: Line) -> bool:
        """Whether a line before the first step is one of the settings: only a learning rate in it
        is known."""
        if line.placed or self._shapes or not line.metrics:
            return False
        return not any(
            traits(name).known and not _LEARNING_RATE.search(name) for name in line.metrics
        )

    def rename(
        self, line: Line, prefix: str, values: dict[str, float] | None, finer: bool
    ) -> dict[str, float]:
        """The metrics, under names of their own if they are of another phase. `values` are those
        of the line's step, None if it is a new one; `finer` that steps are finer than epochs."""
        metrics = line.metrics
        if line.phase == "test" and "val" in self._seen:
            metrics = {
                f"test/{name[4:]}" if name.startswith("val/") else name: value
                for name, value in metrics.items()
            }
        if line.look.summary and not line.placed:
            prefix = prefix or "val/"
        if not prefix and not line.held_out and not line.bar:
            if self.evaluates:
                again = not line.placed and values is not None and values.keys() >= metrics.keys()
                prefix = "val/" if again else self._after_evaluation(metrics)
            if not prefix and values is not None:
                prefix = self._beside(line, metrics, values, finer)
        if not prefix:
            return dict(metrics)
        return {
            name if _PARTS.match(name) else f"{prefix}{name}": value
            for name, value in metrics.items()
        }

    def _after_evaluation(self, metrics: dict[str, float]) -> str:
        """The prefix of a line after words about an evaluation: none if it is as those before."""
        names = frozenset(metrics)
        alike = [len(names & shape) / len(names | shape) for shape in self._shapes]
        # Only a training has a learning rate.
        if any(map(_LEARNING_RATE.search, metrics)) or max(alike, default=0.0) > _ALIKE:
            self.evaluates = False
            return ""
        return "val/" if any(alike) else ""

    def _beside(
        self, line: Line, metrics: dict[str, float], values: dict[str, float], finer: bool
    ) -> str:
        """The prefix of a line whose step has other values of its metrics."""
        common = [name for name in metrics if name in values]
        if len(common) == len(metrics) == len(values):
            return ""
        if all(metrics[name] == values[name] for name in common):
            return ""
        if line.phase == "train" and self._seen > {"train"}:
            return "train/"
        mean = finer and line.epoch is not None and not line.record and not line.placed_by_step
        return "epoch/" if mean else ""  # the mean of an epoch

    def drop_unchanged(self, line: Line) -> None:
        """Removes values that a bar shows again: values of the last evaluation or epoch."""
        if line.look.drawn and line.bar is not None and line.bar[0] == 0:
            line.metrics.clear()  # of the epoch before
        for name in [name for name in line.metrics if _PARTS.search(name)]:
            value = line.metrics[name]
            if self._in_bar.get(name) == value:
                del line.metrics[name]
            elif len(self._in_bar) < _MAX_VALUES:
                self._in_bar[name] = value
