"""A callback of Keras 3, with any backend.

    model.fit(x, y, callbacks=[GenuiCallback(project="digits")])

https://keras.io/api/callbacks/base_callback
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras

import genui


class GenuiCallback(keras.callbacks.Callback):
    """Logs each epoch's metrics at the number of batches so far. It takes stop, and a new learning
    rate unless the optimizer has a schedule."""

    def __init__(
        self,
        every: int = 0,
        sample: Callable[[Any], Mapping[str, Any]] | None = None,
        **init: Any,
    ) -> None:
        """`every` so many batches the metrics so far of the epoch are logged too; 0 is never.
        `sample` makes texts or images of the model, by name, after each epoch; `init` are arguments
        of `genui.init`."""
        super().__init__()
        self._every, self._sample, self._init = every, sample, init
        self._run: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._run = genui.init(**self._init)
        self._batches = 0
        self._run.config.update({key: self.params[key] for key in ("epochs", "steps")})
        self._takes_lr = isinstance(self.model.optimizer.learning_rate, keras.Variable)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self._every and self._batches % self._every == 0:
            batch_logs = {f"batch/{name}": value for name, value in (logs or {}).items()}
            self._run.log(batch_logs, step=self._batches)
        if self._run.stop_requested:
            self.model.stop_training = True
        if self._takes_lr and (learning_rate := self._run.take_learning_rate()):
            self.model.optimizer.learning_rate = learning_rate

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        samples = self._sample(self.model) if self._sample else {}
        self._run.log({"epoch": epoch, **(logs or {}), **samples}, step=self._batches)

    def on_train_end(self, logs: Any = None) -> None:
        self._run.finish()
