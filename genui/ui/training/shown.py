"""The runs that are shown together on the Training screen, and the newest view of each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from genui.base.errors import MisuseError
from genui.base.text import clean_line, shorten_middle
from genui.runs.layout import RunDir
from genui.runs.listing import RunSummary
from genui.ui.watcher import RunView

MAX_RUNS = 200  # that are shown together
MAX_NAME = 24  # cells of a run's name in a legend


class ShownRuns:
    """The runs in their order: keys control the first one."""

    def __init__(
        self, runs: Sequence[RunSummary], views: Mapping[RunDir, RunView] | None = None
    ) -> None:
        self.listed: list[RunSummary] = list(runs)
        self._views = dict(views or {})

    @property
    def first(self) -> RunView | None:
        """The run that the keys control; None until it has been read."""
        return self._views.get(self.listed[0].run) if self.listed else None

    @property
    def views(self) -> list[RunView]:
        """The runs that have been read, the controlled one first."""
        return [self._views[one.run] for one in self.listed if one.run in self._views]

    def receive(self, view: RunView) -> bool:
        """Take a new view of one of the runs; False if that run is no longer shown."""
        run = view.summary.run
        at = next((at for at, one in enumerate(self.listed) if one.run == run), None)
        if at is None:
            return False
        self.listed[at] = view.summary  # it may have been renamed
        self._views[run] = view
        return True

    def set(self, runs: Sequence[RunSummary]) -> None:
        """Show these runs; those that were already shown keep their views."""
        self.listed = list(runs)
        self._views = {one.run: self._views[one.run] for one in runs if one.run in self._views}

    def toggle(self, run: RunSummary) -> None:
        """Show this run with the others, or remove it. Raises MisuseError if it cannot be."""
        runs = [one for one in self.listed if one.run != run.run]
        if len(runs) == len(self.listed):
            runs.append(run)
        if not runs:
            raise MisuseError("one run must be shown: add another first")
        if len(runs) > MAX_RUNS:
            raise MisuseError(f"at most {MAX_RUNS} runs can be shown together: remove one first")
        self.set(runs)

    def pick(self, runs: Sequence[RunSummary]) -> str:
        """Show these runs in place of the others, the first in front."""
        if not runs:
            return ""
        self.set(runs[:MAX_RUNS])
        if len(runs) > MAX_RUNS:
            return f"the first {MAX_RUNS} of {len(runs):,} runs are shown together"
        return ""

    def turn(self, by: int) -> None:
        """Make another of the runs the first. Raises MisuseError if there is no other."""
        if len(self.listed) < 2:
            count = "only one" if self.listed else "no"
            raise MisuseError(f"{count} run is shown: o adds others")
        by %= len(self.listed)
        self.set([*self.listed[by:], *self.listed[:by]])

    def names(self) -> dict[RunDir, str]:
        """The names of the runs, no two alike: with the end of the id where they would be, and with
        their places where that is the same too."""
        names = [shorten_middle(one.info.name, MAX_NAME) for one in self.listed]
        names = _tell_apart(names, [one.run.id[-4:] for one in self.listed])
        names = _tell_apart(names, range(1, len(names) + 1))
        return {one.run: name for one, name in zip(self.listed, names, strict=True)}

    def newest_step(self) -> int:
        """The last step that the first run has logged; 0 if there is none."""
        view = self.first
        steps = [points[0] for points in view.series.values()] if view is not None else []
        return max((int(one[-1]) for one in steps if len(one)), default=0)


def _tell_apart(names: Sequence[str], ends: Iterable[object]) -> list[str]:
    """The names, those of several runs with the ends after them."""
    known = Counter(names)
    return [
        f"{clean_line(name, MAX_NAME - 5)} {end}" if known[name] > 1 else name
        for name, end in zip(names, ends, strict=True)
    ]
