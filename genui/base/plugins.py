"""Plug-ins: rows for genui's tables that come from outside the repository.

A plug-in adds kinds of models, recipes, datasets, samplers, readers of logs and codecs. It is

- a package with entry points in the groups of `GROUPS`: each names a row, a sequence of rows, or a
  mapping of names to rows;
- or a Python file, named by `genui --plugin FILE` or in the environment variable GENUI_PLUGINS
  (several are separated as in PATH), with a module attribute of the same kind for each group.

The variable is inherited by the worker and by trainers, so that they have the rows too.

A plug-in is code that you run: it can do whatever you can do. Nothing is loaded until a table is
asked for a name that is not built in, or for all its names. No file that genui reads names a
plug-in, so a model, a trace or a run from somebody else loads none.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, Generic, TypeVar

from genui.base.errors import MisuseError
from genui.base.text import clean_line

GROUPS: Mapping[str, str] = {
    "genui.kinds": "KINDS",
    "genui.recipes": "RECIPES",
    "genui.datasets": "DATASETS",
    "genui.samplers": "SAMPLERS",
    "genui.logs": "LOGS",
    "genui.codecs": "CODECS",
}
"""The group of entry points to the attribute of a file."""

VARIABLE = "GENUI_PLUGINS"

Row = TypeVar("Row")


class Table(Mapping[str, Row], Generic[Row]):
    """Rows by name: the built-in ones in their order, then those of plug-ins.

    Looking up a built-in name loads no plug-in. `built_in` may be a function that is called at the
    first look-up. `also` returns rows that plug-ins add through another table; a table without a
    `group` has only those. Rows of plug-ins must be a `base`, by default `kind`; if the group has
    several tables, each takes the rows of its `kind`.
    """

    def __init__(
        self,
        group: str,
        kind: type[Row],
        built_in: Mapping[str, Row] | Callable[[], Mapping[str, Row]],
        base: type | None = None,
        also: Callable[[], Mapping[str, Row]] = dict,
    ) -> None:
        self._also = also
        self._built_in = built_in
        self._group = group
        self._kind = kind
        self._base = base or kind
        self._last: tuple[Any, dict[str, Row]] | None = None

    @cached_property
    def built_in(self) -> dict[str, Row]:
        return dict(self._built_in() if callable(self._built_in) else self._built_in)

    def __getitem__(self, name: str) -> Row:
        return self.built_in[name] if name in self.built_in else self._added()[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self._added()

    def __len__(self) -> int:
        return len(self.built_in) + len(self._added())

    def _added(self) -> dict[str, Row]:
        """The rows of plug-ins, read again if plug-ins may have changed."""
        if self._last is not None and self._last[0] == _state():
            return self._last[1]
        added = {name: row for name, row in self._also().items() if name not in self.built_in}
        found = _find_rows(self._group, self._base) if self._group else {}
        for name, (source, row) in found.items():
            if isinstance(row, self._kind):
                if name in self.built_in:
                    _report(f"plug-in {source}: {name} of {self._group} is built in; skipped")
                else:
                    added[name] = row
        self._last = _state(), added
        return added


class UnknownNameError(ValueError):
    """A name that no row has: perhaps one of a plug-in that is not here. `thing` says which."""

    def __init__(self, thing: str, hint: str) -> None:
        super().__init__(f"no {thing}: {hint}")
        self.thing = thing


def index_by_name(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows that have a `name` each, as a mapping."""
    return {row.name: row for row in rows}  # type: ignore[attr-defined]


def _find_rows(group: str, kind: type[Row]) -> dict[str, tuple[str, Row]]:
    """The rows of this group by name, each with the plug-in that it is from; files come first.

    A plug-in that cannot be loaded, and a row that is no `kind`, is one line on stderr and left
    out.
    """
    known: dict[str, tuple[str, Row]] = {}
    for source, name, rows in _load_groups(group):
        try:
            named = _name_rows(name, rows)
        except TypeError as error:
            _report(f"plug-in {source}: {error}; skipped")
            continue
        for key, row in named.items():
            if not isinstance(row, kind):
                _report(
                    f"plug-in {source}: {key} of {group} is a {type(row).__name__}, and not a "
                    f"{kind.__name__}; skipped"
                )
            elif known.setdefault(key, (source, row))[1] is not row:
                _report(f"plug-in {source}: another plug-in has a '{key}' already; skipped")
    return known


def use_files(paths: Iterable[str]) -> None:
    """Load these files, and those that the environment names, as plug-ins of this process and of
    those that it starts.

    Raises MisuseError for a path that is no file. One that fails to load is one line on stderr.
    """
    known = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    absolute = [os.path.abspath(os.path.expanduser(path)) for path in (*known, *paths)]
    for path in absolute:
        if not os.path.isfile(path):
            raise MisuseError(
                f"plug-in {path}: no such file; name a Python file (--plugin or {VARIABLE})"
            )
    if absolute:
        os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(absolute))
        for path in absolute:
            _load_file(path)


def list_faults() -> list[str]:
    """A line for each plug-in or row that was left out so far in this process."""
    return list(_reported)


def list_sources() -> list[str]:
    """Names of the distributions and paths of the files of all plug-ins. Loads nothing."""
    files = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    return [*files, *dict.fromkeys(source for source, *_ in _entry_points())]


# --- Files and entry points -------------------------------------------------------------------

_modules: dict[str, ModuleType | None] = {}
"""Files loaded so far by path; None for one that failed, or is being loaded."""
_objects: dict[tuple[str, str, str], Any] = {}
"""Objects of entry points by source, group and name; None as above."""
_reported: dict[str, None] = {}
"""Lines about the rows that were left out, in order."""
_attempts = 0


def _state() -> tuple[Any, ...]:
    """A key that changes when the rows of plug-ins may change."""
    return _attempts, os.environ.get(VARIABLE), tuple(sys.path)


def _load_groups(group: str) -> Iterator[tuple[str, str, Any]]:
    """(plug-in, name, rows for the group) of every plug-in that can be loaded."""
    for path in os.environ.get(VARIABLE, "").split(os.pathsep):
        module = _load_file(path) if path else None
        rows = getattr(module, GROUPS[group], None)
        if rows is not None:
            yield path, _stem(path), rows
    for source, of, name, entry_point in _entry_points():
        if of == group:
            key = source, of, name
            if key not in _objects:
                _objects[key] = None  # a plug-in that asks for its own group finds it empty
                _objects[key] = _attempt(source, entry_point.load)
            if _objects[key] is not None:
                yield source, name, _objects[key]


def _name_rows(name: str, rows: Any) -> dict[str, Any]:
    """A row, a sequence of rows or a mapping, as a mapping."""
    if isinstance(rows, Mapping):
        return dict(rows)
    if isinstance(rows, list | tuple) and not hasattr(rows, "_fields"):
        unnamed = next((row for row in rows if not hasattr(row, "name")), None)
        if unnamed is not None:
            raise TypeError(f"a {type(unnamed).__name__} has no name: give a mapping of names")
        return index_by_name(rows)
    return {getattr(rows, "name", name): rows}


def _load_file(path: str) -> ModuleType | None:
    if path not in _modules:
        _modules[path] = None
        _modules[path] = _attempt(path, lambda: _run_file(path))
    return _modules[path]


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _run_file(path: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"genui_plugin_{len(_modules)}_{_stem(path)}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("is not a Python file: its name must end in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    if not any(hasattr(module, attribute) for attribute in GROUPS.values()):
        raise ImportError(f"has none of {', '.join(GROUPS.values())}")
    return module


def _attempt(source: str, load: Callable[[], Any]) -> Any:
    """The result of `load`, or None if it fails, which is reported."""
    global _attempts
    try:
        return load()
    except (Exception, SystemExit) as error:
        if os.environ.get("GENUI_DEBUG"):
            raise
        _report(f"plug-in {source}: {type(error).__name__}: {error}; skipped")
        return None
    finally:
        _attempts += 1


def _report(line: str) -> None:
    line = clean_line(line)
    if line not in _reported:
        _reported[line] = None
        print(f"genui: {line}", file=sys.stderr)


_scanned: dict[tuple[str, ...], list[tuple[str, str, str, Any]]] = {}


def _entry_points() -> list[tuple[str, str, str, Any]]:
    """(distribution, group, name, entry point) of every installed plug-in.

    The files are searched here first: `importlib.metadata` takes 50 ms to import, and most users
    have no plug-in.
    """
    places = tuple(sys.path)
    if places not in _scanned:
        _scanned[places] = [
            (distribution.metadata["Name"], point.group, point.name, point)
            for path in dict.fromkeys(_plugin_folders(places))
            for distribution in [_distribution(path)]
            for point in distribution.entry_points
            if point.group in GROUPS
        ]
    return _scanned[places]


def _distribution(path: str) -> Any:
    from importlib.metadata import Distribution

    return Distribution.at(path)


def _plugin_folders(places: Iterable[str]) -> Iterator[str]:
    """Folders of installed distributions with entry points of genui."""
    for place in places:
        try:
            with os.scandir(place or ".") as entries:
                folders = [e.path for e in entries if e.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for folder in sorted(folders):
            try:
                with open(os.path.join(folder, "entry_points.txt"), "rb") as file:
                    if b"[genui." in file.read():
                        yield folder
            except OSError:
                continue
