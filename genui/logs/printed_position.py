"""Which step a line belongs to.

That is the step in the line (step, iteration, global_step …) or its position in a progress bar,
continued if either restarts in the next epoch; else its epoch, if the log has nothing finer; else
the newest step. In a log without any position the records are counted.
"""

from dataclasses import dataclass, field

from genui.logs.printed_bars import Bars, steps_of
from genui.logs.printed_counter import Counter
from genui.logs.printed_epochs import Epochs
from genui.logs.printed_phases import Phases
from genui.logs.printed_places import Places
from genui.logs.printed_result import MAX_NAMES, Line, Notes, Point


@dataclass
class Now:
    """Where a log is."""

    step: int = 0
    finer: bool = False  # steps are finer than epochs
    says_steps: bool = False  # in lines or in bars with metrics
    says_whole: bool = False  # steps that count from the beginning
    heading: bool = False  # a position was printed, and its metrics follow a line each
    company: bool = False  # one of them was read
    values: dict[str, float] = field(default_factory=dict)  # of the step

    def move(self, step: int) -> None:
        if step != self.step:
            self.step = step
            self.values = {}


class Positions:
    """Gives the lines of one process their steps; the points are in `points` then."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.points: list[Point] = []
        self.now = Now()
        self.bars, self.epochs, self.phases = Bars(), Epochs(notes), Phases()
        self._places = Places(notes)
        self._counts: dict[bool, Counter] = {}  # of steps, and of bars with metrics

    # --- lines that wait for a bar ---

    def hold(self, line: Line) -> bool:
        """Whether a line without a step belongs to a bar; it waits until that is drawn again."""
        waits = self._waits(line)
        if waits and self.bars.hold(line):
            self._resolve(None)
        return waits

    def _waits(self, line: Line) -> bool:
        now, bars = self.now, self.bars
        if self._is_epoch(line):
            self._leave_ended_bar()
            return False
        if line.placed_by_step or not line.metrics or self.epochs.are_steps:
            return False
        if not now.finer and self.phases.is_config(line):
            return False
        if self._counts:
            return self._counts.keys() == {True} and (bars.cleared or bool(bars.waiting))
        held = bars.holds(line, not now.values.keys().isdisjoint(line.metrics))
        if held is None:
            self.leave_bar()
        return bool(held)

    def leave_bar(self) -> None:
        """Takes the bar for the bar of something else; lines that waited for it have no step."""
        self.bars.count = None
        for line, _ in self.bars.release():
            self.add(line)

    def finish(self) -> None:
        """Places what waits, at the end of the log or in a pause."""
        if self.bars.waiting:
            self._leave_ended_bar()

    def _leave_ended_bar(self) -> None:
        if self.bars.ended:
            self.leave_bar()
        self._resolve(None)

    def draw(self, line: Line) -> None:
        """Moves to the position of a bar without metrics."""
        assert line.bar is not None
        bars, (n, total) = self.bars, line.bar
        bars.since = 0
        if not line.held_out:
            if line.epoch is not None:
                self.epochs.now = line.epoch
            if self._counts:
                self._resolve(n)
            elif counter := bars.find(line, self.epochs):
                self._resolve(n)
                step = counter.at(n, total, line.epoch, self._notes)
                if bars.has_metrics:
                    self.now.move(step)
                    self.now.finer = True
        bars.cleared = False

    def _resolve(self, n: int | None) -> None:
        """Places what waited for the bar, which is now drawn at `n`; None if nothing is drawn."""
        waiting = self.bars.release()
        if not waiting:
            return
        counter = self._counts[True] if self._counts else self.bars.count
        assert counter is not None  # nothing waits without one
        self.bars.has_metrics = self.now.finer = True
        steps = steps_of(waiting, counter, n, self._notes)
        for (line, _), step in zip(waiting, steps, strict=True):
            if not line.held_out:
                self.now.move(step)
            self._record(line, step, "")

    # --- where a line belongs ---

    def add(self, line: Line) -> None:
        """Moves to the position of a line, and adds its metrics there."""
        now = self.now
        if line.phase:
            self.phases.see(line.phase)
        if line.epoch is not None and not line.held_out:
            self.epochs.now = line.epoch
        if not now.finer and self.phases.is_config(line):
            return
        step, prefix = self._find(line)
        if not line.metrics:
            if step is not None:
                now.move(step)
                now.heading, now.company = line.step is not None, False
            elif line.epoch is not None:
                now.heading = now.heading or not now.finer
            return
        if line.placed:
            now.heading = False
        now.company = now.heading
        if step is None:
            step = self._count(line)
        if line.bar is not None:
            self.phases.drop_unchanged(line)
        self._record(line, step, prefix)

    def add_at(self, line: Line, step: int, metrics: dict[str, float]) -> None:
        """Adds metrics at a step that was chosen for them."""
        step, metrics = self._places.settle(line, step, metrics, says_steps=True)
        self.add_point(step, metrics)

    def add_point(self, step: int, metrics: dict[str, float]) -> None:
        """A record has a "time" and a "step" of its own."""
        if "time" in metrics:
            metrics["seconds"] = metrics.pop("time")
        self.points.append(Point(step, metrics))

    def check_resumed(self, step: int) -> None:
        """Notes whether a step that counts from the beginning of the training went back."""
        if self._places.goes_back(step):
            self._notes.add(f"the step went back to {step}: read as resumed from a checkpoint")

    def _record(self, line: Line, step: int, prefix: str) -> None:
        now, phases = self.now, self.phases
        values = now.values if step == now.step else None
        metrics = phases.rename(line, prefix, values, now.finer)
        step, metrics = self._places.settle(line, step, metrics, now.says_steps)
        if line.epoch is not None and step != line.epoch and metrics:
            metrics.setdefault("epoch", line.epoch)
        if not line.held_out and not prefix:
            now.move(step)
            if len(now.values) < MAX_NAMES:
                now.values.update(line.metrics)
            phases.learn(line)
        if line.look.units:
            self._notes.add_units(line.look.units, metrics)
        if metrics:
            self.add_point(step, metrics)

    def _is_epoch(self, line: Line) -> bool:
        """Whether the step of a line is the epoch that it says, whatever bars are drawn."""
        whole = line.says_epoch and line.epoch is not None and line.epoch.is_integer()
        return whole and not (line.placed_by_step or self.now.finer)

    def _find(self, line: Line) -> tuple[int | None, str]:
        """The step of a line, None if it has none, and the prefix of its names."""
        now, bars, epochs = self.now, self.bars, self.epochs
        if line.step is not None:
            return self._at_count(line, False, line.step, line.total)
        if line.bar is not None and line.metrics:
            return self._at_count(line, True, *line.bar)
        if self._is_epoch(line):
            return epochs.find_step(line, self._places), ""
        row = line.row and not now.finer  # it has an epoch, or is of the row before
        shown = None if self._counts or epochs.are_steps else bars.count
        if shown is not None and line.metrics and not row:
            bars.has_metrics = now.finer = True
            return (now.step if line.held_out else shown.step), ""
        if line.epoch is None or line.held_out:
            return None, ""
        epochs.in_parts = epochs.in_parts or not line.epoch.is_integer()
        return (None if now.finer or epochs.in_parts else epochs.find_step(line, self._places)), ""

    def _at_count(self, line: Line, bar: bool, n: int, total: int) -> tuple[int | None, str]:
        now = self.now
        if line.held_out or self._heads_evaluation(line, n):
            return self._at_evaluation(line, bar, n, total), ""
        if not line.metrics and self.bars.count is not None and not self._counts:
            return n, ""  # a heading beside bars, which are the position
        self._resolve(n if bar else None)
        now.finer = now.says_steps = True
        if line.whole:
            now.says_whole = True
            self.check_resumed(n)
            return n, ""
        counter = self._find_counter(line, bar, n, total)
        if counter is None:
            return now.step, "eval/"
        epoch = line.epoch if line.epoch is not None else self.epochs.now
        epoch = None if epoch is not None and not epoch.is_integer() else epoch
        once = bar and n == total == counter.last and not line.redrawn  # a line for each epoch
        step = counter.at(n, total, epoch, self._notes, line.anew or once)
        if counter.resumed:
            self._places.forget_from(step)
        return step, ""

    def _find_counter(self, line: Line, bar: bool, n: int, total: int) -> Counter | None:
        """The counter of a count; None if it is one of an evaluation."""
        counter = self._counts.get(bar)
        if counter is None:
            counter = self._counts[bar] = self.epochs.first_counter(line, total)
        elif bar and total and self._is_after_epoch(line, counter):
            self._notes.add(f"counts to {total} after an epoch had ended are read as an "
                            "evaluation: eval/NAME")  # fmt: skip
            return None
        elif total and counter.total and total != counter.total:
            near = 0.8 < total / counter.total < 1.25
            known = line.epoch is not None and counter.epoch is not None
            if near or (known and line.epoch > counter.epoch):  # type: ignore[operator]
                return counter
            if total < counter.total and (self.epochs.now is None or counter.epoch is not None):
                self._notes.add(f"counts to {total} inside those to {counter.total} are read as "
                                "an evaluation: eval/NAME")  # fmt: skip
                return None
            counter = self._counts[bar] = Counter()  # the lines before were no training
        elif not total and line.epoch is None and counter.is_inside(n):
            return None
        return counter

    def _is_after_epoch(self, line: Line, counter: Counter) -> bool:
        """Whether a bar is not the bar of the epoch, which has ended: of other length, or printed
        once more at its end."""
        if line.bar is None or line.epoch is not None or not counter.ended:
            return False
        other, once = line.bar[1] != counter.total, line.bar[0] == line.bar[1] and not line.redrawn
        if self.epochs.now is None:
            return other and once
        return self.epochs.now == counter.epoch and (other or once)

    def _heads_evaluation(self, line: Line, n: int) -> bool:
        """Whether a heading has a count of an evaluation: a smaller one than the steps, which count
        from the beginning."""
        now = self.now
        if line.metrics or line.whole or not now.says_whole:
            return False
        return self.phases.evaluates and n < now.step

    def _at_evaluation(self, line: Line, bar: bool, n: int, total: int) -> int | None:
        """The step for a line about held-out data: the training's, or its own."""
        counter, now = self._counts.get(bar), self.now
        if line.whole:
            return n
        if bar or (total and (counter is None or total != counter.total)):
            return now.step if now.finer else None
        if now.finer and n < now.step:
            return now.step  # a loop of its own
        if counter is None or n >= counter.last:
            return n + (counter.before if counter else 0)
        return now.step

    def _count(self, line: Line) -> int:
        """The step of a line without a position."""
        now, epochs = self.now, self.epochs
        if now.finer or (epochs.now is not None and not epochs.in_parts):
            return now.step
        further = not now.values.keys().isdisjoint(line.metrics)
        if epochs.in_parts or (line.epoch is not None and not line.epoch.is_integer()):
            further = epochs.goes_on(line) or further
        self._notes.add("unsure: no step is printed, so the records are counted; see --step")
        return now.step + further
