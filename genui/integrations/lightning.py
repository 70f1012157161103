"""A logger of Lightning, and a callback that lets genui stop the training.

    logger = GenuiLogger(project="digits")
    trainer = Trainer(logger=logger, callbacks=[GenuiSteering(logger)])

https://lightning.ai/docs/pytorch/stable/extensions/logging.html
"""

import sys
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

import genui

SHARED_EVERY = 10
"""Steps between two looks at what was requested, if several processes must do it together."""


class GenuiLogger(Logger):
    """Logs the metrics and hyperparameters of a LightningModule. `experiment` is the run.

    It is open until the script or `genui.finish` ends it: `trainer.test` logs to it too.
    """

    def __init__(self, **init: Any) -> None:
        """`init` are arguments of `genui.init`."""
        super().__init__()
        self._init = init
        self._run: Any = None

    @property
    @rank_zero_experiment
    def experiment(self) -> genui.Run:
        if self._run is None or self._run.ended:
            self._run = genui.init(**self._init)
        return self._run

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def version(self) -> str:
        return self.experiment.id

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.experiment.config.update(params)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.experiment.log(metrics, step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status not in ("success", "finished"):
            error = sys.exc_info()[1]  # Lightning calls this while it handles what ended it
            self.experiment.fail(error or RuntimeError(status))


class GenuiSteering(Callback):
    """Stops the training, or changes the learning rate, when genui asks for it."""

    def __init__(self, logger: GenuiLogger, batch: Callable[[Any], Any] | None = None) -> None:
        """`batch` makes the texts or images of a batch of the data loader, for `Run.log_batch`."""
        self._logger = logger
        self._batch = batch

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if self._batch is not None and trainer.is_global_zero:
            self._logger.experiment.log_batch(self._batch(batch))

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.world_size > 1 and trainer.global_step % SHARED_EVERY:
            return
        request = None
        if trainer.is_global_zero:
            run = self._logger.experiment
            request = run.stop_requested, run.take_learning_rate()
        stop, learning_rate = trainer.strategy.broadcast(request)
        trainer.should_stop = trainer.should_stop or stop
        if learning_rate:
            # The peak; what a schedule makes of it keeps its shape.
            for optimizer in trainer.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] = learning_rate
            for config in trainer.lr_scheduler_configs:
                if hasattr(config.scheduler, "base_lrs"):
                    count = len(config.scheduler.base_lrs)
                    config.scheduler.base_lrs = [learning_rate] * count
