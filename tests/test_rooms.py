"""Where tests find what they share."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.rpartition(".")[2]
            if not node.module.startswith("genui"):
                yield from (alias.name for alias in node.names)


def test_no_file_imports_from_the_tests_of_another_room() -> None:
    """What several rooms need lies in tests/support, so that each can be moved or deleted. The
    programs in tests/bench use one another."""
    files = {path.stem: path for path in TESTS.rglob("*.py") if path.stem != "conftest"}
    wrong = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in TESTS.rglob("*.py")
        for name in _imported(path)
        if (found := files.get(name))
        and found.parent.name != "support"
        and not path.is_relative_to(TESTS / found.relative_to(TESTS).parts[0])
    ]
    assert not wrong
