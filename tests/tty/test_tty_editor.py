"""A prompt that is edited in $EDITOR, which has the terminal meanwhile."""

from pathlib import Path

import pytest
from terminal import ALONE, Terminal

pytestmark = pytest.mark.timeout(300)

SEEN = "this is the editor"


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that shows a line, waits for Enter, and adds a line to its file."""
    path = tmp_path / "my editor.sh"
    path.write_text(f'#!/bin/sh\necho {SEEN}; read line; printf "%s\\n" "$line" >> "$1"\n')
    path.chmod(0o755)
    return path


def open_prompt(terminal: Terminal) -> None:
    terminal.until(lambda text: "─ Text  " in text)  # a model is offered
    terminal.press("\t\t")
    terminal.until(lambda text: "→ token" in text.splitlines()[-1])
    terminal.press("e")
    terminal.until(lambda text: "$EDITOR" in text.splitlines()[-1])


def test_what_is_saved_in_the_editor_is_the_prompt(editor: Path) -> None:
    env = {"EDITOR": f"'{editor}'", "VISUAL": "", "GENUI_QUIET": "on"}
    with Terminal(ALONE, size=(120, 40), env=env) as terminal:
        open_prompt(terminal)
        terminal.press("\x0f")  # Ctrl+O
        terminal.until(lambda text: SEEN in text)
        assert terminal.cooked
        terminal.press("Enter GHOST\r")
        terminal.until(lambda text: "\\nEnter GHOST" in text and "─ Text  " in text)
        assert not terminal.cooked
        terminal.press("\x1b")
        terminal.until(lambda text: "→ token" in text.splitlines()[-1])
        terminal.press("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("false", "false ended with exit code 1"),
        ("no-such-editor", "no-such-editor cannot be started (No such file"),
        ("'", "No closing quotation"),
        ("", "no editor is set"),
    ],
)
def test_an_editor_that_fails_or_is_missing_is_one_line(command: str, line: str) -> None:
    env = {"VISUAL": command, "EDITOR": "", "GENUI_QUIET": "on"}
    with Terminal(ALONE, size=(120, 40), env=env) as terminal:
        open_prompt(terminal)
        terminal.press("abc\x0f")
        terminal.until(lambda text: line in text)
        assert "abc" in terminal.text
        terminal.press("\x1b")
        terminal.until(lambda text: "→ token" in text.splitlines()[-1])
        terminal.press("q")
        assert terminal.wait() == 0
