"""Rules about classes, asked over the whole tree.

Behaviour is put together from parts: a class with many of ours above it can only be read with all
of them open. The messages of the protocol are data, and the readers of
logs are files of one contract: both are left out.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import genui

ROOT = Path(genui.__file__).parent
MOST_ABOVE = 2
LEFT_OUT = ("protocol", "logs")
"""Rooms whose classes are not counted, neither as classes nor above others."""


@cache
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text()) for file in sorted(ROOT.rglob("*.py"))}


@cache
def bases_of_classes() -> dict[str, set[str]]:
    """The names of the bases of each class of a counted room; a name stands for one class."""
    found: dict[str, set[str]] = {}
    for file, tree in trees().items():
        if file.relative_to(ROOT).parts[0] in LEFT_OUT:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(map(name_of, node.bases))
    return found


def name_of(base: ast.expr) -> str:
    """`Window` of `Window[None]` and of `dialogs.Window`."""
    if isinstance(base, ast.Subscript):
        return name_of(base.value)
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def above(name: str) -> set[str]:
    """All classes of ours above that of this name."""
    own = {base for base in bases_of_classes().get(name, ()) if base in bases_of_classes()}
    return own.union(*map(above, own - {name})) - {name}


def test_no_class_has_more_than_two_of_ours_above_it() -> None:
    deep = {name: sorted(above(name)) for name in bases_of_classes()}
    deep = {name: found for name, found in deep.items() if len(found) > MOST_ABOVE}
    assert not deep, (
        f"at most {MOST_ABOVE} classes of genui may be above another: give it what it needs as an "
        f"attribute, or write a function. {deep}"
    )


def handlers_that_call_super() -> Iterator[str]:
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = f"super().{node.name}("
                if node.name.startswith("on_") and calls in ast.unparse(node):
                    yield f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_no_handler_calls_that_of_its_base_which_textual_calls_itself() -> None:
    twice = [found for found in handlers_that_call_super() if not found.endswith("on_event")]
    assert not twice, f"Textual calls `on_X` of every class, so leave `super().on_X()` out: {twice}"
