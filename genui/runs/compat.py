"""What scripts written for wandb call and genui does not have: it answers and does nothing.

`import genui as wandb` must not break a training because of `wandb.watch(model)`. A function,
class or module of wandb (https://docs.wandb.ai/models/ref/python) that genui lacks is replaced by
one that accepts everything, as wandb's own runs do in its mode "disabled".
"""

import os
import random
import string
from typing import Any, Self


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    "agent alert attach controller define_metric ensure_configured finish_artifact join "
    "link_artifact link_model log_artifact log_code log_model login mark_preempting "
    "pin_config_keys plot_table require restore save setup status sweep teardown termerror termlog "
    "termsetup termwarn unwatch upsert_artifact use_artifact use_model visualize watch"
)
CLASSES = _words(
    "AlertLevel Api Artifact ArtifactTTL Classes EvalTable Graph Html JoinedTable Molecule "
    "Object3D Plotly Settings"
)
MODULES = _words(
    "agents analytics apis automations catboost data_types docker ensemble env errors gym "
    "integration jupyter keras lightgbm plot profiler proto sacred sdk sklearn tensorboard "
    "tensorflow util wandb_agent wandb_lib wandb_sdk xgboost"
)
NAMES = FUNCTIONS | CLASSES | MODULES
"""Names of wandb that do nothing here."""

KEYWORDS = _words(
    "allow_val_change anonymous auto_log_cpu auto_log_gpu bucket_id config_exclude_keys "
    "config_include_keys cpu_log_interval dataset_id dir embed entity force fork_from "
    "gpu_log_interval job_type group monitor_gym private resume_from save_code "
    "server_url settings space_id tensorboard webhook_min_level "
    "webhook_url"
)
"""Arguments of wandb.init and trackio.init that do nothing here."""


class _Lenient(type):
    """The type of the classes that do nothing: every attribute of theirs exists."""

    def __getattr__(cls, name: str) -> "Ignored":
        if name.startswith("__"):
            raise AttributeError(name)
        return Ignored()


class Ignored(metaclass=_Lenient):
    """Replaces an object of wandb: every call and attribute returns itself; it is false and empty.

    As a path it is the null device, as a text "", as a class it has no instances. As a decorator
    it returns the function.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        decorates = len(args) == 1 and not kwargs and hasattr(args[0], "__code__")
        return args[0] if decorates else self

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):  # protocols of Python's own, such as copying
            raise AttributeError(name)
        return self

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

    def __bool__(self) -> bool:
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

    def __lt__(self, other: object) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__

    def __instancecheck__(self, value: object) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        return None


# --- What can be answered ---------------------------------------------------------------------


class Error(Exception):
    """wandb.Error. genui never raises it; scripts catch it."""


class CommError(Error):
    """wandb.errors.CommError; never raised."""


class UsageError(Error):
    """wandb.errors.UsageError; never raised."""


class _Errors(Ignored):
    """The module wandb.errors."""

    Error, CommError, UsageError = Error, CommError, UsageError
    AuthenticationError = type("AuthenticationError", (CommError,), {})
    UnsupportedError = type("UnsupportedError", (UsageError,), {})


def new_id(length: int = 8) -> str:
    """A random id of small letters and digits."""
    letters = string.ascii_lowercase + string.digits
    return "".join(random.SystemRandom().choices(letters, k=length))


class _Util(Ignored):
    """The module wandb.util."""

    generate_id = staticmethod(new_id)


def _sweep(*args: Any, **kwargs: Any) -> str:
    """wandb.sweep: the id of a sweep that nobody serves."""
    return new_id()


_ANSWERS: dict[str, Any] = {"errors": _Errors(), "util": _Util(), "sweep": _sweep}
ANSWERED = frozenset({"errors", "util"})
"""Names whose use is not noted: they are in every script."""

_ANSWERS |= {name: _Lenient(name, (Ignored,), {}) for name in sorted(CLASSES)}


def stand_in(name: str) -> Any:
    """What replaces `wandb.NAME`, for one of NAMES; the same object at every call."""
    return _ANSWERS.setdefault(name, Ignored())


RUN_VALUES: dict[str, Any] = {
    "disabled": False,
    "entity": "",
    "group": "",
    "job_type": "",
    "offline": True,
    "path": "",
    "project_url": None,
    "settings": Ignored(),
    "starting_step": 0,
    "sweep_id": None,
    "sweep_url": None,
    "sync_dir": "",
}
"""Attributes of wandb.Run that have one value here."""
