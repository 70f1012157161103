"""What the app shows in terminals of several sizes, and without one."""

import subprocess

from terminal import ALONE, GENUI, ROOT, Terminal, environment


def test_a_large_terminal_shows_four_panes() -> None:
    with Terminal(ALONE, size=(120, 40)) as terminal:
        terminal.until(lambda text: "new run ─╯" in text)
        for title in ("─ Models ", "─ Training ", "─ Text ", "─ Canvas "):
            assert title in terminal.text
        assert {1049, 1006} <= terminal.modes  # the alternate screen, and the mouse
        assert 25 not in terminal.modes  # no cursor
        assert not terminal.cooked


def test_the_classic_terminal_shows_one_pane_and_tabs() -> None:
    with Terminal(ALONE, size=(80, 24)) as terminal:
        terminal.until(lambda text: "─ Models " in text)
        tabs = terminal.screen.display[0]
        assert all(word in tabs for word in ("Models", "Text", "Canvas", "Training"))
        assert "─ Text " not in terminal.text
        terminal.press("\t")
        terminal.until(lambda text: "─ Text " in text and "─ Models " not in text)


def test_a_terminal_too_small_says_what_it_needs() -> None:
    with Terminal(ALONE, size=(40, 10)) as terminal:
        terminal.until(lambda text: "this terminal has 40×10" in text)
        assert "genui needs 60×16 cells" in terminal.text
        assert "─ Models " not in terminal.text
        terminal.press("q")
        assert terminal.wait() == 0


def test_in_a_pipe_it_prints_plain_text() -> None:
    done = subprocess.run(
        GENUI,
        cwd=ROOT,
        env=environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    text = done.stdout.decode()
    assert "MODELS" in text
    assert "RUNS" in text
    assert "This is not a terminal" in text
