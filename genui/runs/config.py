"""`run.config` and `run.summary`: dicts with attribute access that say when they change."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from genui.runs.disk import SMALL

_DEEPEST = 16
_LONGEST_TEXT = 10_000
_MISSING: Any = object()


class Config(dict[str, Any]):
    """A dict whose keys are attributes too, unless a dict has a method of that name.

    `changed` is called after every change made by the script; it may not raise.
    """

    def __init__(self, values: Mapping[str, Any], changed: Callable[[], None]) -> None:
        super().__init__(values)
        object.__setattr__(self, "_changed", changed)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no '{name}' in the run's config") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"no '{name}' in the run's config")
        del self[name]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed()

    def __ior__(self, other: Any) -> "Config":
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # a copy in another process changes no run

    def update(self, values: Any = (), /, allow_val_change: Any = None, **more: Any) -> None:
        """Takes over a dict, a Namespace or a dataclass.

        `allow_val_change` is for scripts written for wandb: here every value may change.
        """
        super().update(fields_of(values), **more)
        self._changed()

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        value = super().pop(key) if default is _MISSING else super().pop(key, default)
        self._changed()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = super().popitem()
        self._changed()
        return item

    def clear(self) -> None:
        super().clear()
        self._changed()


def fields_of(values: Any) -> dict[str, Any]:
    """The hyperparameters in whatever a script keeps them in.

    A mapping, pairs, a dataclass, a pydantic model or an argparse Namespace. Raises TypeError or
    ValueError for anything else, as `dict` does.
    """
    if values is None:
        return {}
    if _is_dataclass(values):
        # Not asdict, which copies every value deeply and fails where one cannot be.
        return {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    if hasattr(values, "model_dump"):
        return dict(values.model_dump())
    if not isinstance(values, Mapping) and hasattr(values, "__dict__"):
        return dict(vars(values))
    return dict(values)


def small_data(values: Mapping[str, Any], say: Callable[[str, str], None]) -> dict[str, Any]:
    """As JSON data, and none at all where the file would be too long for a reader.

    `say` is then told, as (about, line). Never raises.
    """
    found = plain_data(dict(values))
    if len(msgspec.json.encode(found)) < SMALL // 2:
        return found
    say("size", f"a config or summary over {SMALL // 2048} KiB is left out")
    return {}


def plain_data(value: Any, depth: int = 0) -> Any:
    """`value` as JSON data; what JSON has no word for becomes its text. Never raises."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else _text(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str) or depth >= _DEEPEST:
        return _text(value)
    try:
        if isinstance(value, Mapping):
            return {_text(k): plain_data(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain_data(v, depth + 1) for v in value]
        if _is_dataclass(value):
            return plain_data(fields_of(value), depth + 1)
        if hasattr(value, "item"):  # a numpy scalar, a tensor of one number
            return plain_data(value.item(), depth + 1)
    except Exception:
        return _text(value)
    return _text(value)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text[:_LONGEST_TEXT].encode(errors="replace").decode()
