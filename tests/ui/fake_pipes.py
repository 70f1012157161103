"""What the fake workers share: the pipes that they answer over, and how a trace goes on."""

import os
import selectors
import sys
import time
from typing import Literal

from genui import protocol


class FakePipes:
    """Answers requests one after the other, as they came; a Cancel is seen between two steps."""

    def __init__(self, delay: float) -> None:
        self.delay = delay  # seconds a step
        self.traces: dict[int, protocol.Start] = {}
        self.reader = protocol.requests()
        self.queue: list[protocol.Request] = []
        self.cancelled: set[int] = set()
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)

    def answer(self, request: protocol.Request) -> None:
        raise NotImplementedError

    def frame(self, start: protocol.Start, step: int) -> protocol.Frame:
        raise NotImplementedError

    def send(self, reply: protocol.Reply) -> None:
        sys.stdout.buffer.write(protocol.encode(reply))
        sys.stdout.buffer.flush()

    def read(self, timeout: float | None) -> None:
        """Takes what has arrived; leaves when the app is gone."""
        if self.selector.select(timeout):
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                sys.exit(0)
            for request in self.reader.feed(data):
                if isinstance(request, protocol.Cancel):
                    self.cancelled.add(request.trace)
                else:
                    self.queue.append(request)

    def run(self) -> None:
        while True:
            self.read(None if not self.queue else 0)
            if self.queue:
                self.answer(self.queue.pop(0))

    def step_to(
        self, request: protocol.Advance, end: int
    ) -> tuple[int, Literal["done", "cancelled"]]:
        """Sends the steps after the request's first up to `end`: where it stands, and why."""
        start = self.traces[request.trace]
        self.cancelled.discard(request.trace)
        for step in range(request.start + 1, end + 1):
            time.sleep(self.delay)
            self.send(self.frame(start, step))
            self.read(0)
            if request.trace in self.cancelled:
                return step, "cancelled"
        return max(request.start, end), "done"
