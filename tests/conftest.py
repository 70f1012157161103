"""Every test has its own GENUI_HOME, so none reads or writes the user's files."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def genui_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("GENUI_HOME", str(home))
    monkeypatch.setenv("GENUI_QUIET", "1")  # Home stays still unless a test wants its demo
    return home
