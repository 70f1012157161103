"""What the folders of genui/kinds may import: the kinds they build on, torch or Textual."""

import ast
from collections.abc import Iterator
from pathlib import Path

import genui

KINDS = Path(genui.__file__).parent / "kinds"
SHARED = {"text", "image"}
"""The kinds of the core's media, which every other may build on."""
BUILDS_ON = {"open_text_diffusion": {"open_text", "text_diffusion"}, "student": {"latent"}}
"""The kinds that another one needs: it is removed with them."""
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
    mixed = [name for name, both in sides.items() if len(both) > 1]
    assert not mixed, f"a file of a kind is for the engine or for the screen, not for both: {mixed}"


def test_a_kind_is_listed_without_either_side() -> None:
    folders = [_name_of(path) for path in KINDS.glob("*/__init__.py")]
    heavy = [name for name in folders if _side_of(name)]
    assert not heavy, (
        f"__init__.py of a kind names its faces in functions, and imports none: {heavy}"
    )


def test_no_name_of_a_kind_is_that_of_another_file_in_its_folder() -> None:
    """Python gives the name to that file when it is imported, and the kind loses its face."""
    plugins = Path(__file__).parent.glob("plugin_*/*/__init__.py")
    wrong = []
    for path in (*KINDS.glob("*/__init__.py"), *plugins):
        files = {file.stem for file in path.parent.glob("*.py")}
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for one in node.names:
                    own = node.module.endswith(path.parent.name) and one.asname in (None, one.name)
                    if (one.asname or one.name) in files and not own:
                        wrong.append(f"{path.parent.name}: {one.name} as {one.asname or one.name}")
    assert not wrong, f"give the file or the name in __init__.py another name: {wrong}"


def test_kinds_that_can_be_removed_build_on_those_of_the_core_alone() -> None:
    wrong = []
    for name, tree in FILES.items():
        own = name.split(".")[2:3]
        for module in (module for node in ast.walk(tree) for module in _modules(node)):
            parts = module.split(".")
            if parts[:2] == ["genui", "kinds"] and len(parts) > 2:
                other = parts[2]
                allowed = SHARED.union(*(BUILDS_ON.get(one, ()) for one in own))
                if [other] != own and other not in allowed:
                    wrong.append(f"{name} imports {module}")
    assert not wrong, f"a kind that can be removed imports no other one: {wrong}"


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
    assert not wrong, f"what is of one kind is tested in tests/kinds: {wrong}"
