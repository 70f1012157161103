"""A fake worker in the process of the test, behind what the session knows of a process."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import Callable
from typing import cast

from fake_pipes import Fake

from genui import protocol
from genui.ui.session import Launch


class FakeProcess:
    """Takes the bytes of requests and answers in bytes, as soon as they are written."""

    pid = None  # nothing to kill
    returncode = None

    def __init__(self, fake: Fake) -> None:
        self.stdin = self
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()
        self._fake = fake
        self._requests = protocol.requests()
        self._ended = asyncio.Event()

    def write(self, data: bytes) -> None:
        for request in self._requests.feed(data):
            self._fake.answer(request)
        self.stdout.feed_data(b"".join(map(protocol.encode, self._fake.take_replies())))

    def is_closing(self) -> bool:
        return self._ended.is_set()

    def close(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self.stdout.feed_eof()
            self.stderr.feed_eof()

    kill = close

    async def wait(self) -> int:
        await self._ended.wait()
        return 0


def in_process(make: Callable[[], Fake]) -> Launch:
    """What launches such a worker, made anew each time."""

    async def launch() -> Process:
        return cast(Process, FakeProcess(make()))

    return launch
