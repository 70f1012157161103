"""Every test has its own GENUI_HOME, so none reads or writes the user's files."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where icons and emoji, once drawn, are kept for all tests: it takes a second each time."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pictures"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def genui_home(tmp_path: Path, drawn_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "pictures").symlink_to(drawn_once)
    monkeypatch.setenv("GENUI_HOME", str(home))
    monkeypatch.setenv("GENUI_QUIET", "1")  # Home stays still unless a test wants its demo
    return home
