"""Every test has its own GENUI_HOME, so none reads or writes the user's files."""

import os
import sys
from pathlib import Path

import pytest

# Where Python is told to write no bytecode, each process that a test starts would compile genui.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def genui_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("GENUI_HOME", str(home))
    monkeypatch.setenv("GENUI_QUIET", "1")  # Home stays still unless a test wants its demo
    return home
