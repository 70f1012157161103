"""A writer and a callback of Stable-Baselines3.

    run = genui.init(project="cartpole")
    model.set_logger(Logger(None, [GenuiWriter(run), HumanOutputFormat(sys.stdout)]))
    model.learn(100_000, callback=GenuiCallback(run))

https://stable-baselines3.readthedocs.io/en/master/common/logger.html
"""

from typing import Any

from stable_baselines3.common import logger
from stable_baselines3.common.callbacks import BaseCallback

import genui


class GenuiWriter(logger.KVWriter):
    """Logs what the logger records, at the number of timesteps."""

    def __init__(self, run: genui.Run) -> None:
        self._run = run

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        values = logger.filter_excluded_keys(key_values, key_excluded, "genui")
        self._run.log({name: _convert(value) for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._run.finish()


def _convert(value: Any) -> Any:
    if isinstance(value, logger.Image):
        return genui.Image(value.image)
    if isinstance(value, logger.Video):
        return genui.Video(value.frames, fps=int(value.fps))
    return value.metric_dict if isinstance(value, logger.HParam) else value


class GenuiCallback(BaseCallback):
    """Stops the training, or changes the learning rate, when genui asks for it."""

    def __init__(self, run: genui.Run) -> None:
        super().__init__()
        self._run = run

    def _on_step(self) -> bool:
        if learning_rate := self._run.take_learning_rate():
            self.model.learning_rate = learning_rate
            self.model._setup_lr_schedule()
        return not self._run.stop_requested
