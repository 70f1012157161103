"""What every command shares: exit codes, one-line faults, help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genui.cli import output, recipes
from genui.cli.main import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS.summaries())
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  genui {command}" in text.partition("example")[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in COMMANDS.summaries())


@pytest.mark.parametrize("command", ["", *COMMANDS.summaries()])
def test_help_wraps_all_but_examples(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert main([*([command] if command else []), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    wide = [line for line in lines if len(line) > 72]
    assert all(" genui " in line and ("'" in line or "   " not in line) for line in wide)
    text = " ".join(" ".join(lines).split())
    epilog = (COMMANDS.overall_parser() if not command else COMMANDS.parser(command)).epilog or ""
    assert all(word in text for word in epilog.split())


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["trian"], "no command 'trian': did you mean 'train'?"),
        (["train"], "train: RECIPE is missing; see genui train --help"),
        (["models", "--jsno"], "models: unknown option '--jsno'; see genui models --help"),
        (["--nonsense"], "--nonsense"),
        (["frobnicate"], "no command 'frobnicate': genui --help lists them\n"),
        (["gen"], "no command 'gen': did you mean 'generate'?"),
        (
            ["generate", "x", "-n", "many"],
            "genui: -n: expected a whole number, not 'many'; see genui generate --help",
        ),
        (["generate", "x", "--rate", "fast"], "--rate: expected a number, not 'fast'"),
        (["inspect", "nope"], "no run, file or folder 'nope': there are no runs in "),
        (["recipes", "shakespear"], "did you mean 'shakespeare'?"),
        (["\x1b[31mred"], "no command 'red'"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("genui: ")
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert fault in err


@pytest.mark.parametrize(
    ("error", "code", "fault"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device", "/x/y"), 1, "/x/y: No space left on device"),
        (RuntimeError("two\nlines"), 1, "unexpected RuntimeError: two lines; this is a bug"),
    ],
)
def test_no_fault_shows_a_traceback(
    error: BaseException,
    code: int,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.delenv("GENUI_DEBUG", raising=False)
    monkeypatch.setattr(recipes, "run_recipes", fail)
    assert main(["recipes"]) == code
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == (1 if fault else 0)


def test_debug_shows_where_a_defect_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise RuntimeError("here")

    monkeypatch.setenv("GENUI_DEBUG", "1")
    monkeypatch.setattr(recipes, "run_recipes", fail)
    with pytest.raises(RuntimeError, match="here"):
        main(["recipes"])


def test_a_reader_that_leaves_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "genui", "recipes"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_locale_without_our_signs_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genui"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert b"120?40" in done.stdout
    assert done.stderr == b""


def test_a_closed_stdout_ends_nothing() -> None:
    command = f"{sys.executable} -m genui recipes >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "genui", "recipes"], stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr == b"genui: standard output: No space left on device\n"


def test_progress_takes_one_row_of_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    output.ProgressLine().show("measuring a few steps, about 20 seconds left")
    assert capsys.readouterr().err == "\r\x1b[Kmeasuring a few steps, about "


def test_json_has_any_file_name_and_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(os.fsdecode(b"caf\xe9 \x1b[31m"))
    output.print_json({"path": path, "loss": float("nan"), "steps": [1, 0.5]}, indent=False)
    line = capsys.readouterr().out
    assert line.isascii()
    assert "\x1b" not in line
    assert json.loads(line) == {"path": str(path), "loss": None, "steps": [1, 0.5]}


def test_the_last_column_wraps_below_itself_beside_wide_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.print_table(("NAME", "NOTE"), [("文字", "twice the width")])
    assert capsys.readouterr().out == "NAME  NOTE\n文字  twice the width\n"
    monkeypatch.setenv("COLUMNS", "18")
    output.print_table(("NAME", "NOTE"), [("文字", "twice the width")])
    assert capsys.readouterr().out == "NAME  NOTE\n文字  twice the\n      width\n"
