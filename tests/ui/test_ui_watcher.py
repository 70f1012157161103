"""The thread that reads logs for the app: one that cannot be read costs no other."""

import threading
from pathlib import Path
from typing import Any

import pytest

from genui.logs.find import find_logs
from genui.logs.json_lines import JsonlTail
from genui.ui import messages
from genui.ui.watcher import RunView, Watcher


class Host:
    """Takes the messages that the app would get."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.views: dict[str, RunView] = {}
        self.lists = 0
        self.changed = threading.Condition()

    def post_message(self, message: Any) -> None:
        with self.changed:
            if isinstance(message, messages.ShowStatus):
                self.said.append(message.line)
            elif isinstance(message, messages.RunChanged):
                self.views[message.view.summary.run.path.name] = message.view
            elif isinstance(message, messages.ListsChanged):
                self.lists += 1
            self.changed.notify_all()


@pytest.mark.parametrize("error", [ZeroDivisionError("a\nb"), MemoryError(), RecursionError()])
def test_a_log_whose_reader_fails_is_said_and_the_others_are_read(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.csv"
    bad.write_text('{"step": 1, "loss": 2}\n')
    good.write_text("step,loss\n1,2\n")

    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(JsonlTail, "read", fail)
    host: Any = Host()
    watcher = Watcher(host, runs=lambda: find_logs(tmp_path))
    watcher.watch(*sorted(find_logs(tmp_path), key=lambda one: one.run.path))
    watcher.start()
    try:
        with host.changed:
            assert host.changed.wait_for(lambda: host.said and "good.csv" in host.views, 30)
            assert [str(bad) in line and "\n" not in line for line in host.said] == [True]
        with good.open("a") as file:
            file.write("2,1\n")
        with host.changed:
            assert host.changed.wait_for(
                lambda: len(host.views["good.csv"].series["loss"][0]) == 2 and host.lists, 30
            )
            assert len(host.said) == 1  # once, and not at every look
    finally:
        watcher.stop()
