"""Where tests find what they share."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent


def _imported(path: Path) -> Iterator[str]:
    """The modules of tests that a file imports, by their file's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            first, _, rest = name.partition(".")
            of_tests = first == "tests" or (TESTS / first).is_dir()
            yield rest.rpartition(".")[2] if rest and of_tests else first


def _room_of(path: Path) -> tuple[str, ...]:
    """Its folder of tests; each kind has its own."""
    parts = path.relative_to(TESTS).parts[:-1]
    return parts[:2] if parts[:1] == ("kinds",) else parts[:1]


def test_no_file_imports_from_the_tests_of_another_room() -> None:
    """What several rooms need lies in tests/support, so that each can be moved or deleted. The
    programs in tests/bench use one another."""
    files = {path.stem: path for path in TESTS.rglob("*.py") if path.stem != "conftest"}
    wrong = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in TESTS.rglob("*.py")
        for name in _imported(path)
        if (found := files.get(name)) and _room_of(found) not in (("support",), _room_of(path))
    ]
    assert not wrong, f"what several rooms need belongs in tests/support: {wrong}"
