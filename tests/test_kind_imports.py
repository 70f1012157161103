"""What the folders of genui/kinds may import: the kinds they build on, torch or Textual."""

import ast
from collections.abc import Iterator
from pathlib import Path

import genui

KINDS = Path(genui.__file__).parent / "kinds"
SHARED = {"text", "image"}
"""The kinds of the core's media, which every other may build on."""
SIDES = {"torch": "engine", "textual": "screen", "genui.engine": "engine", "genui.ui": "screen"}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a file is imported."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement.test):
            yield from _statements([*statement.body, *statement.orelse])


def _modules(statement: ast.AST) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module:
        yield statement.module
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def _name_of(path: Path) -> str:
    parts = path.relative_to(KINDS.parents[1]).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {_name_of(path): ast.parse(path.read_text("utf-8")) for path in KINDS.rglob("*.py")}
AT_IMPORT = {
    name: {module for each in _statements(tree.body) for module in _modules(each)}
    for name, tree in FILES.items()
}


def _side_of(name: str) -> set[str]:
    """The sides that a file imports, by itself or by other files of kinds."""
    seen, waiting, sides = set(), [name], set()
    while waiting:
        file = waiting.pop()
        for module in AT_IMPORT[file]:
            sides |= {side for top, side in SIDES.items() if f"{module}.".startswith(f"{top}.")}
            if module in FILES and module not in seen:
                seen.add(module)
                waiting.append(module)
    return sides


def test_no_file_is_of_the_engine_and_of_the_screen() -> None:
    """The app starts without torch, and a trainer on a node has no terminal."""
    sides = {name: _side_of(name) for name in FILES}
    assert {"engine"} in sides.values()
    assert {"screen"} in sides.values()
    assert [name for name, both in sides.items() if len(both) > 1] == []


def test_a_kind_is_listed_without_either_side() -> None:
    folders = [_name_of(path) for path in KINDS.glob("*/__init__.py")]
    assert [name for name in folders if _side_of(name)] == []


def test_kinds_that_can_be_removed_build_on_those_of_the_core_alone() -> None:
    wrong = []
    for name, tree in FILES.items():
        own = name.split(".")[2:3]
        for module in (module for node in ast.walk(tree) for module in _modules(node)):
            parts = module.split(".")
            if parts[:2] == ["genui", "kinds"] and len(parts) > 2:
                other = parts[2]
                if [other] != own and other not in SHARED:
                    wrong.append(f"{name} imports {module}")
    assert not wrong


def test_tests_of_the_core_need_no_kind_that_can_be_removed() -> None:
    """So that the core is still tested without it. What `tests/support` has of a kind is imported
    by those who use it."""
    tests, leaves = (
        Path(__file__).parent,
        {path.parent.name for path in KINDS.glob("*/__init__.py")},
    )
    leaves -= SHARED
    wrong = []
    for path in tests.rglob("*.py"):
        if path.relative_to(tests).parts[0] in {"kinds", "support", "bench"}:
            continue
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        for module in (module for node in nodes for module in _modules(node)):
            if module.startswith("genui.kinds.") and module.split(".")[2] in leaves:
                wrong.append(f"{path.relative_to(tests)} imports {module}")
    assert not wrong
