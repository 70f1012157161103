"""A tracker of Hugging Face Accelerate.

    accelerator = Accelerator(log_with=GenuiTracker("digits"))
    accelerator.init_trackers("digits", config={"lr": 3e-4})
    accelerator.log({"loss": loss}, step=step)

https://huggingface.co/docs/accelerate/usage_guides/tracking
"""

from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

import genui


class GenuiTracker(GeneralTracker):
    """Logs what `accelerator.log` is given. `tracker` is the run: ask its `stop_requested`."""

    name = "genui"
    requires_logging_directory = False

    def __init__(self, run_name: str = "", **init: Any) -> None:
        """`init` are further arguments of `genui.init`."""
        super().__init__()
        self._init = {"project": run_name, **init}
        self._run: Any = None

    @property
    def tracker(self) -> genui.Run:
        if self._run is None:
            self._run = genui.init(**self._init)
        return self._run

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.tracker.config.update(values)

    @on_main_process
    def log(
        self, values: dict[str, Any], step: int | None = None, batch: Any = None, **kwargs: Any
    ) -> None:
        """`batch` are the texts or images of the step, for `Run.log_batch`; give them as
        `accelerator.log(values, step, log_kwargs={"genui": {"batch": texts}})`."""
        if batch is not None:
            self.tracker.log_batch(batch)
        self.tracker.log(values, step=step)

    @on_main_process
    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        images = {name: [genui.Image(one) for one in some] for name, some in values.items()}
        self.tracker.log(images, step=step)

    @on_main_process
    def finish(self) -> None:
        self.tracker.finish()
