"""Which metrics share a curve, which of them are wanted, and in which order."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from genui.errors import MisuseError
from genui.render.sanitise import clean_line

_HELD_OUT = ("val_", "val/", "valid_", "valid/", "validation/", "eval_", "eval/")
_TRAIN = ("", "train_", "train/")


@dataclass(frozen=True)
class Plot:
    """The metrics of one curve; its `key` is the first of them, on the training data."""

    metrics: tuple[str, ...]

    @property
    def key(self) -> str:
        return self.metrics[0]


def pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a filter, blind to case.

    Raises MisuseError, one line, for one that cannot be read.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        word = clean_line(text, 40)
        reason = clean_line(str(error), 60)
        raise MisuseError(f"'{word}' is no regular expression ({reason}): e.g. loss|lr") from None


def plots(names: Collection[str]) -> list[Plot]:
    """One a metric, in the order of `names`; a validation metric lies over its training metric.

    `val_loss` goes with `loss`, `eval/acc` with `acc`, `train_acc` or `train/acc`.
    """
    over: dict[str, list[str]] = {name: [name] for name in names}
    for name in names:
        partner = _trained(name, over)
        if partner is not None:
            over[partner] += over.pop(name)
    return [Plot(tuple(metrics)) for metrics in over.values()]


def _trained(name: str, names: Collection[str]) -> str | None:
    """The training metric that this one is the validation of."""
    for prefix in _HELD_OUT:
        if name.startswith(prefix):
            stem = name[len(prefix) :]
            return next((t + stem for t in _TRAIN if t + stem in names and t + stem != name), None)
    return None


def wanted(every: Iterable[Plot], filter: re.Pattern[str], pins: Sequence[str]) -> list[Plot]:
    """Those of which a metric matches.

    The pinned come first, in the order of the pins; then those that are validated, then other
    losses, then the rest as they are.
    """
    kept = [plot for plot in every if any(map(filter.search, plot.metrics))]
    place = {key: at for at, key in enumerate(pins)}

    def rank(plot: Plot) -> tuple[int, bool, bool]:
        validated = len(plot.metrics) > 1
        return place.get(plot.key, len(place)), not validated, "loss" not in plot.key.lower()

    return sorted(kept, key=rank)
