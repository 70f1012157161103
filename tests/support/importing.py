"""Packages that take seconds to import are imported by the first test that uses them, and not where
tests are collected: each worker of xdist does that."""

from typing import Any

import pytest


def import_when_used(name: str) -> Any:
    """The module. A test that uses it is skipped where it is not installed."""
    return _Module(name)


class _Module:
    def __init__(self, name: str) -> None:
        self._name = self.__name__ = name

    def __getattr__(self, attribute: str) -> Any:
        # pytest asks each name of a file for some attributes that begin so.
        if attribute.startswith("_") and attribute != "__version__":
            raise AttributeError(attribute)
        return getattr(pytest.importorskip(self._name), attribute)
