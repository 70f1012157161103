"""What the fake workers share: how they answer, and the pipes of one that is a process."""

import os
import selectors
import sys
import time
from collections.abc import Callable
from typing import Literal

from genui import protocol


class Fake:
    """Answers requests one after the other; a Cancel is seen between two steps."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay  # seconds a step
        self.traces: dict[int, protocol.Start] = {}
        self.queue: list[protocol.Request] = []  # read, and not answered yet
        self.replies: list[protocol.Reply] = []
        self.step_sent: Callable[[], None] = lambda: None  # sends replies and reads requests

    def answer(self, request: protocol.Request) -> None:
        raise NotImplementedError

    def frame(self, start: protocol.Start, step: int) -> protocol.Frame:
        raise NotImplementedError

    def send(self, reply: protocol.Reply) -> None:
        self.replies.append(reply)

    def take_replies(self) -> list[protocol.Reply]:
        replies, self.replies = self.replies, []
        return replies

    def step_to(
        self, request: protocol.Advance, end: int
    ) -> tuple[int, Literal["done", "cancelled", "finished"]]:
        """Sends the steps after the request's first up to `end`: where it stands, and why."""
        start = self.traces[request.trace]
        for step in range(request.start + 1, end + 1):
            if self.delay:  # even a sleep of 0 s hands the processor to others
                time.sleep(self.delay)
            self.send(self.frame(start, step))
            self.step_sent()
            if protocol.Cancel(request.trace) in self.queue:
                self.queue.remove(protocol.Cancel(request.trace))
                return step, "cancelled"
        return max(request.start, end), "done"


def serve(fake: Fake) -> None:
    """Answers over the pipes of this process until the app is gone."""
    reader = protocol.requests()
    queue = fake.queue
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)

    def write() -> None:
        for reply in fake.take_replies():
            sys.stdout.buffer.write(protocol.encode(reply))
        sys.stdout.buffer.flush()

    def read(timeout: float | None = 0) -> None:
        if selector.select(timeout):
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                sys.exit(0)
            queue.extend(reader.feed(data))

    def step_sent() -> None:
        write()
        read()

    fake.step_sent = step_sent
    while True:
        read(0 if queue else None)
        if queue:
            fake.answer(queue.pop(0))
            write()
