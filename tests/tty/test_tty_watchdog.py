"""What is recorded of an app that does not answer."""

import re
import sys
from pathlib import Path

from terminal import WITHOUT_WORKER, Terminal
from waiting import wait_for

APP = f"""{WITHOUT_WORKER}
import asyncio, time
from genui.ui import watchdog

watchdog.PATIENCE = float(sys.argv[1])

class Held(app.GenuiApp):
    async def on_event(self, event):
        key = getattr(event, "key", "")
        if key == "x":
            hold_the_loop()
        await super().on_event(event)
        if key == "y":
            await wait_in_vain()

    def on_unmount(self):
        watchdog.PATIENCE = 0.0
        self._driver.watchdog.look()  # records a key that it takes for one that waits

def hold_the_loop():
    time.sleep(4)

async def wait_in_vain():
    await asyncio.sleep(4)

app.GenuiApp = Held
sys.exit(app.run())
"""


def play(home: Path, *keys: str, patience: float = 1.5) -> None:
    """Press these keys in the app once it records, and then `q`."""
    program = [sys.executable, "-c", APP, str(patience)]
    with Terminal(program, env={"GENUI_HOME": str(home)}) as terminal:
        terminal.until(lambda text: "─ Models " in text)
        wait_for(lambda: record(home) is not None)
        for key in keys:
            terminal.press(key)
        terminal.press("q")
        assert terminal.wait() == 0


def record(home: Path) -> str | None:
    path = home / "data" / "stalls.txt"
    return path.read_text() if path.exists() else None


def test_a_loop_that_is_held_is_recorded_with_the_stack_that_holds_it(tmp_path: Path) -> None:
    play(tmp_path, "x")
    text = record(tmp_path) or ""
    assert "in hold_the_loop" in text
    assert "the event loop did not run for" in text


def test_a_key_that_waits_is_recorded_with_the_handler_that_waits(tmp_path: Path) -> None:
    play(tmp_path, "y", "z")
    text = record(tmp_path) or ""
    assert re.search(r"\b(1 key has|([2-9]|\d\d+) keys have) waited for", text)
    assert "HomeScreen" in text
    assert "wait_in_vain" in text


def test_an_app_that_answers_leaves_no_record(tmp_path: Path) -> None:
    play(tmp_path, "z", "j", "2", "z", patience=600)
    assert record(tmp_path) is None
