"""Rows that come from packages and files outside genui: found lazily, and never fatal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genui.base import plugins
from genui.base.errors import MisuseError
from genui.base.plugins import Table, use_files
from genui.cli.main import main
from genui.protocol import SAMPLERS
from genui.recipes import RECIPES, find_recipe

MINE = """
from genui.recipes import TransformerRecipe

RECIPES = [TransformerRecipe(name="{name}", dataset="shakespeare", summary="a recipe of mine")]
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "")


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def install(folder: Path, name: str, groups: str, module: str) -> None:
    """A distribution as pip leaves it: its module, its metadata, its entry points."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(groups)


def test_a_file_adds_a_recipe_after_the_built_in_ones(tmp_path: Path) -> None:
    use_files([write(tmp_path / "one.py", MINE.format(name="of-a-file"))])
    assert find_recipe("of-a-file").summary == "a recipe of mine"
    assert list(RECIPES)[-1] == "of-a-file"
    assert len(RECIPES) == len(list(RECIPES))


def test_an_entry_point_adds_rows_one_or_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = (
        "from genui.protocol.samplers import Sampler\nE = Sampler(title='E', function=print)\n"
    )
    groups = "[genui.samplers]\neuler-e = two_rows:E\n[genui.recipes]\nall = two_rows:RECIPES\n"
    install(tmp_path, "two_rows", groups, sampler + MINE.format(name="of-a-package"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert SAMPLERS["euler-e"].title == "E"
    assert "of-a-package" in RECIPES
    assert "two_rows" in plugins.list_sources()


def test_a_built_in_name_loads_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "untouched", "[genui.recipes]\nx = untouched:X\n", "X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_recipe("shakespeare").name == "shakespeare"
    assert "untouched" not in sys.modules


def test_help_imports_no_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = "".join(f"[{group}]\nx = unasked:X\n" for group in plugins.GROUPS)
    install(tmp_path, "unasked", groups, "X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["--help"]) == 0
    assert "--plugin FILE" in capsys.readouterr().out
    assert "unasked" not in sys.modules


@pytest.mark.parametrize(
    ("module", "fault"),
    [
        ("import not_there_at_all\n", "No module named 'not_there_at_all'; skipped"),
        ("raise SystemExit(3)\n", "SystemExit: 3; skipped"),
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "has none of KINDS, RECIPES, DATASETS, SAMPLERS, LOGS, CODECS"),
        ("RECIPES = {'a': 5}\n", "a of genui.recipes is a int, and not a Recipe; skipped"),
        ("RECIPES = [5]\n", "a int has no name: give a mapping of names; skipped"),
    ],
)
def test_a_broken_file_is_one_line_and_costs_nothing_else(
    module: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("GENUI_DEBUG", raising=False)
    broken = write(tmp_path / "broken.py", module)
    whole = write(tmp_path / "whole.py", MINE.format(name="whole"))
    assert main(["--plugin", broken, "--plugin", whole, "recipes"]) == 0
    out, err = capsys.readouterr()
    assert "a recipe of mine" in out
    assert err.count("\n") == 1
    assert err.startswith(f"genui: plug-in {broken}: ")
    assert fault in err


def test_a_name_that_is_taken_is_said_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_files([write(tmp_path / "taken.py", MINE.format(name="icons"))])
    assert RECIPES["icons"].family == "diffusion"
    assert list(RECIPES).count("icons") == 1
    assert "taken.py: icons of genui.recipes is built in; skipped" in capsys.readouterr().err


def test_the_doctor_lists_what_was_left_out_of_every_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = "".join(f"{attribute} = {{'five': 5}}\n" for attribute in plugins.GROUPS.values())
    wrong = write(tmp_path / "wrong.py", lists)
    taken = write(tmp_path / "has_icons.py", MINE.format(name="icons"))
    assert main(["--plugin", wrong, "--plugin", taken, "doctor"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out")]
    assert any(f"{taken}: icons of genui.recipes is built in" in line for line in told)
    for group in plugins.GROUPS:
        assert any(f"{wrong}: five of {group} is a int" in line for line in told)
    assert main(["doctor", "--json"]) == 0
    left_out = json.loads(capsys.readouterr().out)["left out"]
    assert [line.removeprefix("left out").strip() for line in told] == left_out


@pytest.mark.parametrize("words", [["--plugin", "mine.py"], ["--plugin=mine.py"]])
def test_a_plugin_named_after_the_command_is_told_where_it_stands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", *words]) == 2
    told = "genui: --plugin must stand before the command: genui --plugin FILE recipes …\n"
    assert capsys.readouterr().err == told


def test_a_plugin_may_look_at_the_table_that_it_adds_to(tmp_path: Path) -> None:
    asks = "from genui.recipes import RECIPES as R\nN = len(R)\n" + MINE.format(name="asks")
    use_files([write(tmp_path / "asks.py", asks)])
    assert "asks" in RECIPES


def test_other_kinds_of_a_group_are_not_of_the_table(tmp_path: Path) -> None:
    use_files([write(tmp_path / "kinds.py", "RECIPES = {'n': 1, 's': 'text'}\n")])
    table = Table("genui.recipes", int, {"own": 0}, base=object)
    assert dict(table) == {"own": 0, "n": 1}
    assert dict(Table("genui.recipes", str, {}, base=object)) == {"s": "text"}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--plugin"], "--plugin: name a Python file"),
        (["--plugin", "/nowhere.py", "recipes"], "plug-in /nowhere.py: no such file; name a"),
    ],
)
def test_a_plugin_that_is_no_file_is_misuse(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"genui: {fault}")


def test_other_processes_have_the_same_plugins_wherever_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "near.py", MINE.format(name="near"))
    monkeypatch.chdir(tmp_path)
    use_files(["near.py"])
    code = "from genui.recipes import find_recipe; print(find_recipe('near').name)"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("near\n", "")


def test_an_unknown_file_raises(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such file"):
        use_files([str(tmp_path)])
