"""Imports that run when they are first used, and what the blocks of genui name."""

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest

import genui
from genui.base.late import late_imports


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `parts` of two modules."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("NAME = 'one'\n")
    (folder / "two.py").write_text("raise ValueError('two')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in ("parts", "parts.one", "parts.two"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("package")
def test_a_module_of_a_block_is_imported_when_it_is_used() -> None:
    with late_imports():
        from parts import one  # type: ignore[import-not-found]
    assert "parts" not in sys.modules
    assert one.NAME == "one"
    assert "parts.one" in sys.modules


def test_a_name_is_set_and_removed_in_the_module_itself(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "from genui.base.late import late_imports\n"
    (package / "__init__.py").write_text(f"{head}with late_imports():\n    from parts import one\n")
    from parts import one  # type: ignore[import-not-found]

    with monkeypatch.context() as patch:
        patch.setattr(one, "NAME", "other")
        patch.setattr(one, "NEW", "new", raising=False)
        assert (sys.modules["parts.one"].NAME, sys.modules["parts.one"].NEW) == ("other", "new")
    assert sys.modules["parts.one"].NAME == "one"
    assert not hasattr(one, "NEW")


def test_a_module_that_fails_is_tried_again(package: Path) -> None:
    with late_imports():
        from parts import two  # type: ignore[import-not-found]
    with pytest.raises(ValueError, match="two"):
        _ = two.NAME
    (package / "two.py").write_text("NAME = 'mended'\n")
    assert two.NAME == "mended"


@pytest.mark.usefixtures("package")
def test_a_block_is_of_its_thread_alone() -> None:
    def work() -> None:
        from parts import one  # type: ignore[import-not-found]

        names.append(one.NAME)

    names: list[str] = []
    with late_imports():
        other = Thread(target=work)
        other.start()
        other.join()
        assert "parts.one" in sys.modules
    assert names == ["one"]


def test_a_block_takes_modules_of_packages_alone() -> None:
    message = "needs `from PACKAGE import MODULE`, not json"
    with pytest.raises(ImportError, match=message), late_imports():
        import json
    import json.tool  # imports run at once again

    assert json.tool.__name__ in sys.modules


def _named_in_blocks() -> Iterator[tuple[str, str]]:
    """Each file of genui, and what a block of it imports."""
    folder = Path(genui.__file__).parent
    for path in folder.rglob("*.py"):
        source = path.read_text("utf-8")
        for block in ast.walk(ast.parse(source)) if "late_imports" in source else ():
            if isinstance(block, ast.With) and "late_imports" in ast.dump(block.items[0]):
                for line in block.body:
                    assert isinstance(line, ast.ImportFrom)
                    for alias in line.names:
                        yield str(path.relative_to(folder)), f"{line.module}.{alias.name}"


def test_a_package_calls_its_own_modules_by_their_names() -> None:
    """A late module stands in the package under the name of the block."""
    folder = Path(genui.__file__).parent
    for path in folder.rglob("__init__.py"):
        own = {file.stem for file in path.parent.iterdir()}
        package = ".".join(path.relative_to(folder.parent).parts[:-1])
        for block in ast.parse(path.read_text("utf-8")).body:
            if isinstance(block, ast.With):
                for line in block.body:
                    assert isinstance(line, ast.ImportFrom)
                    names = {alias.asname or alias.name: alias.name for alias in line.names}
                    taken = {name for name in names if name in own}
                    assert not taken or line.module == package, (package, taken)


def test_blocks_name_modules_that_there_are() -> None:
    named = set(_named_in_blocks())
    assert named
    assert [(file, module) for file, module in sorted(named) if find_spec(module) is None] == []
