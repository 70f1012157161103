"""Which private part of Textual has changed, and that all that genui uses stand in one file.

If one of these fails, Textual has another release: what the part was needed for is to be done in
another way, in `genui/ui/textual_parts.py`, before `pyproject.toml` allows that release.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import private_textual
import pytest
from textual._styles_cache import StylesCache
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.command import CommandPalette
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

import genui
from genui.ui import textual_parts

PACKAGE = Path(genui.__file__).parent
TESTS = Path(__file__).parents[1]


class Part(NamedTuple):
    owner: type
    name: str
    purpose: str
    used_by: Any = None  # a function of Textual that has to use the part


HANDLE = MessagePump._process_messages_loop
STYLE_PARTS = Stylesheet._process_component_classes
PARTS = [
    Part(App, "_exit", "to know that the app ends"),
    Part(App, "_handle_exception", "to ignore errors of an app that ends", HANDLE),
    Part(App, "_driver", "to write to the terminal and count bytes"),
    Part(MessagePump, "_closing", "to know that a widget is being removed"),
    Part(DOMNode, "_pruning", "to know that a widget is being removed"),
    Part(MessagePump, "_dispatch_message", "to ignore late messages", HANDLE),
    Part(MessagePump, "_get_message", "to leave out tasks that wait for nothing", HANDLE),
    Part(Timer, "_run", "to leave out tasks that wait for nothing"),
    Part(CommandPalette, "_watch__show_busy", "to close the palette during a search"),
    Part(DOMNode, "_bindings", "to run the keys of a line at once"),
    Part(StylesCache, "get_inner_outer", "to free the lines of widgets that are removed"),
    Part(Widget, "_border_title", "to change a title without a repaint of the widget"),
    Part(Widget, "_border_subtitle", "to change a subtitle without a repaint of the widget"),
    Part(DOMNode, "_selector_names", "to remember styles", Stylesheet.apply),
    Part(Widget, "_has_hover_style", "to remember styles", Stylesheet.apply),
    Part(Widget, "_has_focus_within", "to remember styles", Stylesheet.apply),
    Part(Widget, "_has_order_style", "to remember styles", Stylesheet.apply),
    Part(Widget, "_has_odd_or_even", "to remember styles", Stylesheet.apply),
    Part(Widget, "_component_styles", "to style component classes", STYLE_PARTS),
    Part(DOMNode, "_get_component_classes", "to style component classes", STYLE_PARTS),
    Part(Stylesheet, "_process_component_classes", "to style component classes", Stylesheet.apply),
    Part(LinuxDriver, "_writer_thread", "to send only cells that changed", LinuxDriver.write),
    Part(WriterThread, "_file", "to write to the terminal"),
    Part(WriterThread, "stop", "to send only cells that changed", LinuxDriver.close),
    Part(XTermParser, "feed", "to read keys", LinuxDriver.run_input_thread),
    Part(XTermParser, "tick", "to read keys", LinuxDriver.run_input_thread),
    Part(Screen, "_compositor", "to read a screen, in tests"),
    Part(Screen, "_compositor_refresh", "to paint once, in tests", Screen._on_timer_update),
    Part(Screen, "_on_timer_update", "to paint without waiting for it, in tests"),
    Part(App, "_update_mouse_over", "to paint later, in tests", Screen._compositor_refresh),
]


def has(owner: type, name: str) -> bool:
    """Whether a class has an attribute or sets it as an instance is made."""
    return hasattr(owner, name) or any(
        name in vars(cls)["__init__"].__code__.co_names
        for cls in owner.__mro__
        if "__init__" in vars(cls) and hasattr(vars(cls)["__init__"], "__code__")
    )


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.owner.__name__}.{part.name}")
def test_textual_has_the_part(part: Part) -> None:
    label = f"{part.owner.__name__}.{part.name}, which genui needs {part.purpose}"
    assert has(part.owner, part.name), f"Textual has no more {label}"
    if part.used_by is not None:
        uses = inspect.unwrap(part.used_by).__code__.co_names
        assert part.name in uses, f"{part.used_by.__qualname__} uses no more {label}"


@pytest.mark.parametrize("module", [textual_parts, private_textual])
def test_all_parts_are_in_the_table(module: ModuleType) -> None:
    assert module.__file__
    missing = set(private_names(Path(module.__file__))) - {part.name for part in PARTS}
    assert not missing, f"PARTS of this file has no row for {missing}"


def private_names(file: Path) -> Iterator[str]:
    """The private attributes that a file uses of anything."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr


def is_private(name: str) -> bool:
    tuples = ("_replace", "_asdict", "_fields", "_make")
    return name.startswith("_") and not name.startswith("__") and name not in tuples


def files_with_textual(*folders: Path) -> list[Path]:
    """Of genui, or of these folders, but for the two that may use private parts."""
    found = (file for folder in folders or [PACKAGE] for file in sorted(folder.rglob("*.py")))
    own = (textual_parts.__file__, private_textual.__file__, __file__)
    return [file for file in found if "textual" in file.read_text() and str(file) not in own]


def names_made(tree: ast.AST) -> Iterator[str]:
    """The names that a file gives to functions, classes, values and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_no_other_file_imports_a_private_module_of_textual() -> None:
    for file in files_with_textual(PACKAGE, TESTS):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert not (name.startswith("textual.") and "._" in name), (file, name)


def test_no_other_file_reads_a_private_attribute_that_is_not_genuis_own() -> None:
    files = files_with_textual()
    own = {name for file in files for name in names_made(ast.parse(file.read_text()))}
    of_textual = {part.name for part in PARTS if is_private(part.name)}
    for file in files:
        used = set(private_names(file))
        if not used & of_textual and used <= own:
            continue
        made_here = set(names_made(ast.parse(file.read_text())))
        foreign = (used - own) | (used & of_textual - made_here)
        assert not foreign, f"{file} uses {foreign}, which belong in textual_parts.py"


def test_no_test_reads_a_private_part_of_a_screen_or_an_app() -> None:
    screens = {part.name for part in PARTS if part.owner in (App, Screen)} | {"_exception"}
    for file in files_with_textual(TESTS):
        foreign = set(private_names(file)) & screens
        assert not foreign, f"{file} uses {foreign}, which belong in private_textual.py"


def test_no_class_of_another_file_overrides_a_private_method_of_textual() -> None:
    for cls in classes_of_the_ui():
        bases = [base for base in cls.__mro__ if base.__module__.startswith("textual.")]
        for name, value in vars(cls).items():
            if is_private(name) and inspect.isfunction(value):
                taken = any(name in vars(base) for base in bases)
                allowed = value.__module__ == textual_parts.__name__
                assert allowed or not taken, f"{cls.__qualname__} overrides {name}"


def classes_of_the_ui() -> Iterator[type]:
    for found in pkgutil.walk_packages(genui.ui.__path__, "genui.ui."):
        module = importlib.import_module(found.name)
        yield from (
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == found.name
        )
