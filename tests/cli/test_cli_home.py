"""`genui` alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from genui.cli import home
from genui.cli.main import main


def test_without_a_terminal_it_lists_models_and_runs(
    bare_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "plays" in out
    assert "no runs yet: `genui train shakespeare-quick` starts one" in out
    assert "run `genui` in one" in out


def test_with_a_terminal_it_opens_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bool] = []
    monkeypatch.setattr("genui.ui.app.run", lambda: opened.append(True) or 0)
    monkeypatch.setattr(home, "has_terminal", lambda: True)
    assert main([]) == 0
    assert opened == [True]


def test_it_reaches_the_app_with_nothing_else_imported() -> None:
    code = """
import sys, types
app = types.ModuleType("genui.ui.app")
app.run = lambda: 0
sys.modules["genui.ui.app"] = app
from genui.cli import home, main
home.has_terminal = lambda: True
assert main.main([]) == 0
heavy = {"torch", "textual", "numpy", "rich", "argparse", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("command", ["models", "recipes", "runs"])
def test_a_listing_imports_no_torch(command: str) -> None:
    code = f"""
import sys
from genui.cli.main import main
assert main(["{command}"]) == 0
assert "torch" not in sys.modules and "textual" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_tour_opens_the_app_or_names_what_to_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tour"]) == 2
    assert "genui help start" in capsys.readouterr().err
    opened: list[bool] = []
    monkeypatch.setattr("genui.ui.app.run", lambda tour: opened.append(tour) or 0)
    monkeypatch.setattr(home, "has_terminal", lambda: True)
    assert main(["tour"]) == 0
    assert opened == [True]
