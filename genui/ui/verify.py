"""The window that verifies a file, with the sentences of `genui verify`."""

import os
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Label, Static

from genui.base.text import clean_line
from genui.ui.lifecycle import is_usable
from genui.ui.processes import read_lines
from genui.ui.widgets.dialogs import Window
from genui.ui.widgets.inputs import Completer, LineInput, complete_path, parse_path

VERIFIER = (sys.executable, "-m", "genui", "verify", "--lines")
"""The command that verifies a file, whose path is added."""

HINT = "any text, image, sound or music, also of others · drop a file here to type its path"


class VerifyScreen(Window[None]):
    """Verifies a file in a process, which is killed when the window closes or for the next."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", show=False)]

    def __init__(self, path: str = "", verifier: Sequence[str] = VERIFIER) -> None:
        super().__init__()
        self._path = path
        self._argv = tuple(verifier)

    def compose(self) -> ComposeResult:
        completer = Completer(complete_path, on_thread=True)
        with Vertical(classes="window verify"):
            with Horizontal(classes="field"):
                yield Label("file")
                yield LineInput(self._path, suggester=completer, compact=True)
            yield Vertical(classes="findings")
            yield Static(HINT, classes="hint", markup=False)
            yield Static(classes="fault", markup=False)

    def on_mount(self) -> None:
        self.set_titles("Verify a file", "⏎ verify · → completes · esc close")
        self.begin_typing()

    @on(LineInput.Submitted)
    def _submitted(self, event: LineInput.Submitted) -> None:
        if event.value.strip():
            self._verify(os.path.abspath(parse_path(event.value)))

    @work(group="verify", exclusive=True, exit_on_error=False)
    async def _verify(self, path: str) -> None:
        self.show_fault("")
        await self.query_one(".findings").remove_children()
        self._say("starting …")
        fault = await read_lines((*self._argv, path), self._take)
        self._say("")
        self.show_fault(clean_line(fault))

    def _take(self, message: dict[str, Any]) -> None:
        """Take a line of the process: a finding, or its progress."""
        if "progress" in message:
            self._say(message["progress"])
        elif isinstance(found := message.get("found"), dict) and is_usable(self):
            style = "what -error" if found["state"] == "changed" else "what"
            name = Static(message["line"], classes="when", markup=False)
            says = Static(clean_line(found["says"]), classes=style, markup=False)
            self.query_one(".findings").mount(Horizontal(name, says, classes="said"))

    def _say(self, line: str) -> None:
        if is_usable(self):
            self.query_one(".hint", Static).update(clean_line(line))
