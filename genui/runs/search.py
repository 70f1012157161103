"""The search of a sweep: Optuna proposes settings, and says which trials to prune.

Its record is a journal file in the folder of the sweep, which Optuna's own tools also read. Each
proposal has a sampler with a seed of its own, so a search that was resumed proposes what it would
have proposed without the interruption.
"""

import math
import statistics
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genui.base.errors import GenuiError, install
from genui.base.files import drop_torn_line, writing
from genui.runs.sweep import SEED, Range, Sweep

if TYPE_CHECKING:
    from optuna import Trial

_DIGITS = 4  # significant digits of a number that is tried: the user sees this one
JOURNAL = "optuna.log"


def load_optuna() -> ModuleType:
    """The library, which is optional and takes half a second to import.

    Raises GenuiError with the command that installs it.
    """
    try:
        import optuna
    except ImportError:
        raise GenuiError(f"a search needs Optuna: {install('sweep')}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna


class Search:
    """Proposes settings. A point is the number of a trial of Optuna, which genui trains once for
    each seed."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        """Raises GenuiError if Optuna is not installed or its journal is damaged."""
        self._optuna = optuna = load_optuna()
        self._sweep = sweep
        self._path = folder / JOURNAL
        with writing(self._path):
            drop_torn_line(self._path)  # Optuna refuses what follows it
        # The lock of the sweep keeps others out; Optuna's own is left behind by a kill.
        self._path.with_name(JOURNAL + ".lock").unlink(missing_ok=True)
        lists = {key: values for key, values in sweep.lists.items() if key != SEED}
        self._space: dict[str, Any] = {
            **{
                key: optuna.distributions.CategoricalDistribution(values)
                for key, values in lists.items()
            },
            **{key: _distribution(optuna, one) for key, one in sweep.ranges.items()},
        }
        journal = optuna.storages.journal
        try:
            self._study = optuna.create_study(
                storage=journal.JournalStorage(journal.JournalFileBackend(str(self._path))),
                study_name=sweep.name,
                direction="minimize" if sweep.goal == "min" else "maximize",
                load_if_exists=True,
            )
        except Exception as error:  # any error that a damaged file causes
            raise GenuiError(
                f"{self._path} is damaged ({type(error).__name__}): start another sweep"
            ) from None
        self._study.pruner = optuna.pruners.MedianPruner(
            n_startup_trials=min(5, max(2, sweep.points // 4)),
            n_warmup_steps=self._steps() // 4,
        )
        self._trials: dict[int, Trial] = {}
        self._reported: dict[int, int] = {}  # the last step by point
        for one in self._study.get_trials(deepcopy=False):
            if not one.state.is_finished():
                self._trials[one.number] = optuna.trial.Trial(self._study, one._trial_id)
                self._reported[one.number] = max(one.intermediate_values, default=0)

    def _steps(self) -> int:
        """The steps of the shortest trial."""
        sweep = self._sweep
        if "steps" in sweep.ranges:
            return int(sweep.ranges["steps"].low)
        fixed = str(sweep.settings.get("steps") or sweep.recipe.get("steps", 0))
        return min(int(float(text)) for text in sweep.lists.get("steps", [fixed]))  # "1e3", too

    def ask(self) -> tuple[int, dict[str, str]]:
        """The number and the settings of the next point."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = self._optuna.samplers.TPESampler(
            seed=1000 * self._sweep.seed + number,
            n_startup_trials=min(10, max(3, self._sweep.points // 3)),
            constant_liar=self._sweep.jobs > 1,
        )
        trial = self._study.ask(self._space)
        self._trials[trial.number] = trial
        ranges = self._sweep.ranges
        texts = {key: _text(trial.params[key], ranges.get(key)) for key in self._space}
        return trial.number, texts

    def report(self, point: int, step: int, value: float) -> bool:
        """Record the metric at a step; whether the point should be pruned."""
        trial = self._trials.get(point)
        if trial is None or step <= self._reported.get(point, 0) or not math.isfinite(value):
            return False
        self._reported[point] = step
        trial.report(value, step)
        return trial.should_prune()

    def tell(self, point: int, values: Sequence[float], pruned: bool) -> None:
        """Record the result of a point whose seeds have all ended, unless it is known.

        Without values it counts as failed, and the sampler learns nothing from it.
        """
        trial = self._trials.pop(point, None)
        if trial is None:
            return
        states = self._optuna.trial.TrialState
        if pruned:
            self._study.tell(trial, state=states.PRUNED)
        elif values:
            self._study.tell(trial, statistics.fmean(values))
        else:
            self._study.tell(trial, state=states.FAIL)

    def forget_others(self, points: Collection[int]) -> None:
        """End the points that were proposed, but whose trials were not written down."""
        for point in self._trials.keys() - set(points):
            self.tell(point, (), pruned=False)


def _distribution(optuna: ModuleType, one: Range) -> Any:
    if one.whole:
        return optuna.distributions.IntDistribution(
            int(one.low), int(one.high), log=one.log, step=int(one.step) or 1
        )
    return optuna.distributions.FloatDistribution(
        one.low, one.high, log=one.log, step=one.step or None
    )


def _text(value: Any, within: Range | None) -> str:
    """A value as `--set` takes it: few digits, unless they round it out of its range."""
    if within is None or not isinstance(value, float):
        return str(value)
    value = min(max(value, within.low), within.high)
    texts = (f"{value:.{digits}g}" for digits in range(_DIGITS, 18))
    return next(text for text in texts if within.low <= float(text) <= within.high)
