"""Functions of wandb that scripts call and genui does not have: one warning, once, and no error.

`import genui as wandb` must not break a training because of `wandb.plot_table`. A name of wandb
(https://docs.wandb.ai/models/ref/python) that genui lacks is an object that accepts everything.
"""

import os
from enum import StrEnum
from typing import Any, Self


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMES = _words(
    "Api Artifact ArtifactTTL Classes EvalTable Graph Html JoinedTable Molecule Object3D Plotly "
    "Settings agent agents analytics apis attach automations catboost controller data_types docker "
    "ensemble ensure_configured env errors finish_artifact gym integration join jupyter keras "
    "lightgbm link_artifact link_model log_artifact log_code log_model login mark_preempting "
    "pin_config_keys plot plot_table profiler proto require restore sacred save sdk setup sklearn "
    "status sweep teardown tensorboard tensorflow termerror termlog termsetup termwarn unwatch "
    "upsert_artifact use_artifact use_model util visualize wandb_agent wandb_lib wandb_sdk xgboost"
)
"""Functions, classes and modules of wandb that do nothing here."""

RUN_NAMES = NAMES | _words(
    "disabled entity get_project_url get_url group job_type offline path project_name project_url "
    "settings starting_step sweep_id sweep_url sync_dir"
)
"""The same of its runs."""


class Error(Exception):
    """wandb.Error, and every other error of wandb's. genui never raises it; scripts catch it."""


class AlertLevel(StrEnum):
    """The level of an alert."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Ignored:
    """Replaces an object of wandb: every call and attribute returns itself; it is false and empty.

    As a path it is the null device, as a text "", as a class it has no instances. As a decorator
    it returns the function.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        decorates = len(args) == 1 and not kwargs and hasattr(args[0], "__code__")
        return args[0] if decorates else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # protocols of Python's own, such as copying
            raise AttributeError(name)
        return Error if name.endswith("Error") else self

    def __setattr__(self, name: str, value: object) -> None:
        pass

    def __getitem__(self, key: object) -> Self:
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, value: object) -> bool:
        return False

    def __str__(self) -> str:
        return ""

    def __fspath__(self) -> str:
        return os.devnull

    def __add__(self, other: Any) -> Any:
        return other

    __radd__ = __add__

    def __truediv__(self, other: object) -> Self:
        return self

    __or__ = __ror__ = __truediv__  # in the type of an argument

    def __lt__(self, other: object) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__

    def __instancecheck__(self, value: object) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        return None
