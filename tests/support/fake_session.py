"""The app's session with the fake worker in the same process, and a listener that takes notes."""

from typing import Any, Literal

from fake_worker import FakeWorker
from textual.message import Message

from genui import protocol
from genui.ui import messages
from genui.ui.session import Session
from genui.ui.traces.controller import TraceController


class Listener:
    """Keeps what it is told; what the session replies goes on to the controller."""

    def __init__(self) -> None:
        self.controller: TraceController[Any, Any] | None = None
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.moves = self.acts = self.news = self.asks = 0

    def repaint(self) -> None:
        self.moves += 1

    def repaint_soon(self) -> None:
        self.news += 1

    def clear_line(self) -> None:
        self.acts += 1

    def ask_prompt(self) -> None:
        self.asks += 1

    def forget_questions(self) -> None:
        """It asks none."""

    def say(self, line: str, kind: Literal["error", "note"] = "note") -> None:
        (self.errors if kind == "error" else self.lines).append(line)

    def post_message(self, message: Message) -> bool:
        if isinstance(message, messages.Reply) and self.controller is not None:
            self.controller.handle(message.reply)
        return True


class FakeSession(Session):
    """What is asked is answered at once, and arrives with `deliver`."""

    def __init__(self, listener: Listener, worker: FakeWorker | None = None) -> None:
        super().__init__(listener)  # type: ignore[arg-type]
        self._ready = protocol.Ready(
            version=protocol.VERSION, device="cpu", precision="bf16", threads=1, pid=1
        )
        self.worker = worker or FakeWorker()
        self.asked: list[protocol.Request] = []

    def _write(self, request: protocol.Request) -> None:
        self.asked.append(request)
        self.worker.answer(request)

    def deliver(self, most: int = 1 << 30) -> None:
        """All replies arrive, and those to what is asked because of them; or so many at most."""
        while self.worker.replies and most > 0:
            now, self.worker.replies = self.worker.replies[:most], self.worker.replies[most:]
            most -= len(now)
            assert not self._dispatch(now)

    def die(self) -> None:
        """The worker ends, and another has started."""
        self.worker = FakeWorker()
        self._lose_traces()
