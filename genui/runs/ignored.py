"""What a script written for wandb may call and genui has nothing for.

`import genui as wandb` must not break a training over `wandb.watch(model)`: each of these
says once that it does nothing, and does nothing.
"""

from types import TracebackType
from typing import Any, Self


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    "AlertLevel Artifact Audio Histogram Html Object3D Plotly Settings Table Video "
    "alert define_metric link_artifact log_artifact log_code log_model login mark_preempting "
    "plot restore save setup teardown unwatch use_artifact use_model util watch"
)
"""Names of wandb's (https://docs.wandb.ai/models/ref/python) that mean nothing here."""

KEYWORDS = _words(
    "allow_val_change anonymous auto_log_cpu auto_log_gpu bucket_id config_exclude_keys "
    "config_include_keys cpu_log_interval dataset_id dir embed entity force fork_from "
    "gpu_log_interval group id job_type monitor_gym notes private resume resume_from save_code "
    "server_url settings space_id sync_tensorboard tags tensorboard webhook_min_level "
    "webhook_url"
)
"""Arguments of wandb.init and trackio.init that mean nothing here."""


class Ignored:
    """Anything that is asked of it gives itself again, and it is false."""

    def __call__(self, *args: Any, **kwargs: Any) -> Self:
        return self

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):  # protocols of Python's own, such as copying
            raise AttributeError(name)
        return self

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None
