"""The window that verifies a file: by the process that the shell's command is too."""

import sys
from pathlib import Path

import pytest
from acting import Opener, each_size, fault, home_of, runs_with, seen, until, until_seen

from genui.cli.main import main
from genui.ui.generate.pane import TracePane
from genui.ui.verify import VerifyScreen
from genui.ui.widgets.inputs import LineInput, parse_path


async def test_v_shows_the_lines_of_the_shell_of_the_file_that_was_exported_last(
    shipped: Path, open_app: Opener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "to be.txt"
    path.write_text("to be or not to be")
    assert main(["verify", str(path)]) == 0
    said = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    async with open_app() as pilot:
        home_of(pilot).query_one("#text", TracePane).files.written = str(path)
        await pilot.press("2", "V")
        await until(pilot, lambda: isinstance(pilot.app.screen, VerifyScreen))
        await pilot.press("enter")
        await until_seen(pilot, "(genui config key NAME)")
        async for _ in each_size(pilot):
            shown = " ".join(seen(pilot).replace("│", " ").split())
            for what, says in said:
                assert f"{what} {says.split()[0]}" in shown
                assert says.split()[-1] in shown
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is home_of(pilot))


async def test_a_file_that_is_not_there_is_a_line_and_leaving_ends_the_process(
    shipped: Path, open_app: Opener, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        'import time\nprint(\'{"progress": "step 3/9"}\', flush=True)\ntime.sleep(600)\n'
    )
    async with open_app() as pilot:
        await pilot.press("V", *"missing", "enter")
        await until(pilot, lambda: "missing: cannot be read (no such file" in fault(pilot))
        await pilot.press("escape")
        pilot.app.push_screen(VerifyScreen(str(tmp_path), (sys.executable, str(slow))))
        await until(pilot, lambda: bool(pilot.app.screen.query(LineInput)))
        await pilot.press("enter")
        await until_seen(pilot, "step 3/9")
        await pilot.press("escape")
        await until(pilot, lambda: not runs_with(str(slow)))


def test_a_path_is_taken_as_terminals_paste_it(tmp_path: Path) -> None:
    path = tmp_path / "a 'b'.png"
    path.touch()
    for typed in (str(path), f'"{path}" ', str(path).replace(" ", "\\ ").replace("'", "\\'")):
        assert parse_path(typed) == str(path)
    assert parse_path("~/x") == str(Path.home() / "x")
    assert parse_path("it's") == "it's"
