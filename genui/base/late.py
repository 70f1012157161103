"""Imports that run when they are first used: a command loads only modules that it uses.

    with late_imports():
        from genui.engine import load, replay

A type checker, a rename and the import contracts read these lines as any import. They import
nothing, though: `load.open_trace` imports `genui.engine.load`, and torch with it, as a line in the
function would. A block names modules; a name of a module is looked up where it is used. Python 3.15
has `lazy from genui.engine import load` for it (PEP 810).
"""

import builtins
import sys
from _thread import RLock, get_ident
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

_BLOCK = RLock()
"""Held by the thread whose block is being run. Nothing is imported meanwhile."""


class _LateModule:
    """A stand-in for a module, which is imported when a name in it is first looked up.

    A package that names its own modules in a late block holds the stand-ins as attributes, so
    modules that import them from the package get them too.
    """

    __slots__ = ("_is_imported", "_path")

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_is_imported", False)

    def __getattr__(self, name: str) -> Any:
        return getattr(_import(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_import(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_import(self), name)


def _import(late: _LateModule) -> ModuleType:
    module = sys.modules.get(late._path) if late._is_imported else None
    if module is None:
        module = import_module(late._path)  # waits until another thread has imported it
        object.__setattr__(late, "_is_imported", True)
    return module


@contextmanager
def late_imports() -> Iterator[None]:
    """Make the imports of the block, each `from PACKAGE import MODULE`, late.

    Raises ImportError for another form.
    """
    with _BLOCK:
        import_now, here = builtins.__import__, get_ident()

        def import_late(
            name: str,
            globals: Mapping[str, object] | None = None,
            locals: Mapping[str, object] | None = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> Any:
            if get_ident() != here:
                return import_now(name, globals, locals, fromlist or (), level)
            if not fromlist or level:
                raise ImportError(f"late_imports needs `from PACKAGE import MODULE`, not {name}")
            return SimpleNamespace(
                **{module: _LateModule(f"{name}.{module}") for module in fromlist}
            )

        builtins.__import__ = import_late
        try:
            yield
        finally:
            builtins.__import__ = import_now
