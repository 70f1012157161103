"""The progress of a training along its schedule, the time that its parts take, and the number of
steps that fit into a budget of time (`Recipe.minutes`).

A recipe's schedules (learning rate, contexts, evaluations, samples, checkpoints) are written for
its number of steps. If the number changes while it runs, what is left of the schedule is spread
evenly over the steps that are left. So the result of a step depends on the step and on the changes
before it, which are recorded in the run's events.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
import psutil

from genui.recipes import Recipe
from genui.runs.plan import Load, Speed, counted_start, read_speed
from genui.runs.system import own_share

SMALLEST_CHANGE = 0.05, 0.01  # of the time that is left, and of the whole budget
PLAN_AFTER = 0.25  # of the time, or of the steps, that are left


class Schedule:
    """Where in the schedule of its recipe each step of a training is."""

    def __init__(self, recipe: Recipe) -> None:
        self.steps = recipe.steps
        self._whole = recipe.steps
        self._parts = [(0, 0.0, 1.0)]  # from this step on: its place, and how far a step goes

    @property
    def changed(self) -> int:
        """The step of the last change; 0 if there was none."""
        return self._parts[-1][0]

    def change(self, step: int, steps: int) -> None:
        """From `step` on, spread the rest of the schedule over the steps up to `steps`."""
        place = self.place(step)
        self._parts.append((step, place, (self._whole - place) / (steps - step)))
        self.steps = steps

    def place(self, step: int) -> float:
        """The place of a step, from 0 to the steps of the recipe."""
        first, place, pace = next(part for part in reversed(self._parts) if part[0] <= step)
        return place + (step - first) * pace

    def step_at(self, place: float) -> int:
        """The first step at a place or beyond."""
        step = 0
        for first, begin, pace in self._parts:
            if begin <= place:
                step = first + math.ceil((place - begin) / pace)
        return step

    def passes(self, step: int, every: int) -> bool:
        """Whether a multiple of `every` comes with this step."""
        return self.place(step) // every > self.place(step - 1) // every


class Timing:
    """The time that the parts of a training take now."""

    WINDOW_S = 60.0
    """Seconds over which the time of a step is averaged; with a budget a sixth of it at most."""

    def __init__(self, recipe: Recipe) -> None:
        self._window = min(self.WINDOW_S, 60 * recipe.minutes / 6 or self.WINDOW_S)
        self._whole = 1.0  # how many times as long an evaluation of all held-out data takes
        self._count, self._steps, self._seconds = 0, 0.0, 0.0
        self.speed = Speed(start=0.0, step=0.0)
        self.spent: Mapping[str, float] = {}
        """Seconds of all of each part so far, as `Status.spent` names them."""
        kept = read_speed(recipe)
        if kept is not None:  # at the share of a core that this process got while it started
            self.speed = kept.slowed(Load(training=1 / own_share()))
            if kept.thorough and kept.evaluation > 0:
                self._whole = kept.whole / kept.evaluation

    def add_step(self, seconds: float, data: float) -> None:
        """Count a step, the first one only until there are others: it also allocates memory.

        `data` are the seconds of it in which the batch was made.
        """
        self._add("data", data)
        self._add("steps", seconds - data)
        self._count += 1
        fading = 0.0 if self._count == 2 else math.exp(-seconds / self._window)
        self._steps = fading * self._steps + 1
        self._seconds = fading * self._seconds + seconds
        self.speed = msgspec.structs.replace(self.speed, step=self._seconds / self._steps)

    @contextmanager
    def measuring(self, part: str) -> Iterator[None]:
        """Measure the block: an evaluation, a sample or a checkpoint, by its name in Speed."""
        begin = time.perf_counter()
        yield
        taken = {part: time.perf_counter() - begin}
        self._add({"whole": "evaluation"}.get(part, part), taken[part])
        if part == "evaluation":
            taken["whole"] = self._whole * taken[part]
        self.speed = msgspec.structs.replace(self.speed, **taken)

    def _add(self, part: str, seconds: float) -> None:
        self.spent = {**self.spent, part: self.spent.get(part, 0.0) + seconds}


class Budget:
    """The time of a training with `Recipe.minutes`. Times are on the monotonic clock."""

    def __init__(self, recipe: Recipe, schedule: Schedule, step: int) -> None:
        """The time from now on, at `step`: of a resumed run as much as of its schedule is left."""
        seconds = 60 * recipe.minutes * (1 - schedule.place(step) / recipe.steps)
        age = max(0.0, time.time() - psutil.Process().create_time())
        self.end = time.monotonic() + seconds - counted_start(seconds, age)
        self._due = time.monotonic() + PLAN_AFTER * self.left
        self._due_step = step + PLAN_AFTER * (schedule.steps - step)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    def plan(self, recipe: Recipe, schedule: Schedule, step: int, speed: Speed) -> int:
        """The number of steps with which the training ends in time, if it is time to plan and the
        number changes; else 0."""
        left, now = self.left, time.monotonic()
        if (now < self._due and step < self._due_step) or not speed.step:
            return 0
        self._due = now + max(1.0, PLAN_AFTER * left)
        free = max(left / 2, left - speed.pauses(recipe, schedule.place(step)))
        steps = step + max(1, int(free / speed.step))
        times = (schedule.steps - step) * speed.step, 60 * recipe.minutes
        least = max(share * part for share, part in zip(SMALLEST_CHANGE, times, strict=True))
        steps = steps if abs(steps - schedule.steps) * speed.step > least else 0
        self._due_step = step + PLAN_AFTER * ((steps or schedule.steps) - step)
        return steps
