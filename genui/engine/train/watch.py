"""`genui.watch`: the norms by layer of a model that a script trains."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from genui.base.numbers import size
from genui.engine.train.norms import NormRecorder
from genui.runs.api import Run, current
from genui.runs.media import Notes
from genui.runs.writer import one_line

Log = Literal["gradients", "parameters", "all"]

_KINDS = {
    "gradients": ("gradients",),
    "parameters": ("weights", "updates"),
    "all": ("gradients", "weights", "updates", "activations"),
}
_notes = Notes()


def watch(
    models: nn.Module | Sequence[nn.Module],
    criterion: Any = None,
    log: Log | None = "all",
    log_freq: int | None = None,
    **ignored: Any,
) -> None:
    """Measure the norms by layer of a model in the run that `init` started: see `NormMeter`.

    Args:
        models: one or several.
        criterion: not used; an argument of wandb.
        log: "gradients", "parameters" (and their updates), or "all" (and activations).
        log_freq: steps of the optimiser between two measurements; by default as few as take at most
            2 % of the time.

    Never raises. Ranks other than 0 measure nothing.
    """
    run = current()
    if run is None:
        _notes.note("early", "watch() without init(): nothing is measured")
        return
    try:
        if run.dir and log is not None:
            model = models if isinstance(models, nn.Module) else nn.ModuleList(models)
            _ModelWatch(run, model, _KINDS[log], max(0, int(log_freq or 0)))
    except Exception as error:
        _notes.note("watch", f"watch() measures nothing: {one_line(error)}")


class _ModelWatch:
    """Measures a model by the hooks that all optimisers call.

    A step begins with the first optimiser that has parameters of the model, and ends with the last
    one. Its norms are written with the step of the next record that the script logs, and until
    then no others are measured.
    """

    def __init__(self, run: Run, model: nn.Module, kinds: Sequence[str], every: int) -> None:
        self._run, self._kinds = run, kinds
        self._parameters = {id(parameter) for parameter in model.parameters()}
        self._stepped: list[int] = []  # the optimisers of this step
        self._last = 0  # the last optimiser of the step before
        self._count, self._begun = 0, time.perf_counter()
        norms = NormRecorder(
            {"": model}, every, self._write, run.write_line, activations="activations" in kinds
        )
        self._norms: NormRecorder | None = norms  # None: nothing is measured any more
        copies = size(norms.copied_bytes)
        run.write_line(f"norms by layer: a measured step copies {copies} of weights")
        register_optimizer_step_pre_hook(self._before_step)
        register_optimizer_step_post_hook(self._after_step)

    def _write(self, step: int, norms: dict[str, float]) -> None:
        self._run.add_norms(
            {name: one for name, one in norms.items() if name.partition("/")[0] in self._kinds}
        )

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if id(optimizer) in self._stepped:
            self._last, self._stepped = self._stepped[-1], []
        if self._norms is None or not self._has_model(optimizer):
            return
        if not self._stepped:
            self._safely(lambda norms: norms.before_update(""))
        self._stepped.append(id(optimizer))

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if id(optimizer) == self._last:
            self._safely(self._finish)

    def _finish(self, norms: NormRecorder) -> None:
        norms.after_update("")
        self._count += 1
        now = time.perf_counter()
        norms.finish(self._count, now - self._begun)
        self._begun = time.perf_counter()
        if not self._run.has_norms:
            norms.begin(self._count + 1)

    def _has_model(self, optimizer: Optimizer) -> bool:
        """Whether an optimiser trains parameters of the model."""
        groups = optimizer.param_groups
        return any(id(one) in self._parameters for group in groups for one in group["params"])

    def _safely(self, act: Callable[[NormRecorder], object]) -> None:
        """Act; measure no more if that fails, or the run has ended. The hooks stay, since torch
        calls this in a loop over all of them."""
        if self._norms is None:
            return
        try:
            if not self._run.ended:
                act(self._norms)
                return
        except Exception as error:
            _notes.note("norms", f"norms by layer are measured no more: {one_line(error)}")
        self._norms.remove()
        self._norms = None
