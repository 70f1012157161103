"""The process that generates for the app: `python -m genui.engine.worker`.

Requests come on stdin, replies go to stdout, both as `genui.protocol` frames them. A thread
reads, the main thread computes, so a Cancel takes effect within one step. It exits when its
stdin closes, and may be killed at any moment: everything it knows can be computed again.
"""

import os
import queue
import sys
import threading
import time
from typing import Any, BinaryIO

from genui import protocol
from genui.engine.priority import give_way
from genui.errors import GenuiError
from genui.protocol import Advance, Cancel, Close, Failed, Hello, Idle, Ready, Start, Warm, Warmed

NICE = 5  # after the app, before the trainer


class Inbox:
    """Requests in order, and the cancels among them at once."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._queue: queue.SimpleQueue[protocol.Request | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self.closed = False
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> protocol.Request | None:
        """The next request; None when the app is gone."""
        return self._queue.get()

    def stopped(self, trace: int) -> bool:
        """Whether the present work on a trace should end."""
        return self.closed or trace in self._cancelled

    def begin(self, trace: int) -> None:
        """Cancels before this moment were about earlier work."""
        self._cancelled.discard(trace)

    def _read(self) -> None:
        reader = protocol.requests()
        try:
            while data := self._source.read1(65536):  # type: ignore[attr-defined]
                for request in reader.feed(data):
                    if isinstance(request, Cancel | Close):
                        self._cancelled.add(request.trace)
                    self._queue.put(request)
        except protocol.ProtocolError as error:
            print(f"genui worker: {error}", file=sys.stderr)
        self.closed = True
        self._queue.put(None)


class Worker:
    """Answers requests until the app is gone."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._inbox = Inbox(source)
        self._sink = sink
        self._traces: dict[int, Any] = {}

    def run(self) -> int:
        while (request := self._inbox.next()) is not None:
            trace = getattr(request, "trace", -1)
            try:
                self._answer(request)
            except GenuiError as error:
                self._send(Failed(trace, str(error)))
            except MemoryError:
                self._send(Failed(trace, "out of memory: ask for fewer steps or a smaller model"))
            except BrokenPipeError:
                return 0
            except Exception as error:
                print(f"genui worker: {type(error).__name__}: {error}", file=sys.stderr)
                self._send(Failed(trace, f"the model failed ({type(error).__name__}: {error})"))
        return 0

    def _send(self, message: protocol.Reply) -> None:
        self._sink.write(protocol.encode(message))
        self._sink.flush()

    def _answer(self, request: protocol.Request) -> None:
        match request:
            case Hello(version=version):
                self._hello(version)
            case Start():
                self._start(request)
            case Advance():
                self._advance(request)
            case Warm(model=model):
                self._warm(model)
            case Close(trace=trace):
                self._traces.pop(trace, None)
            case Cancel():
                pass  # the inbox has told the work it is about

    def _hello(self, version: int) -> None:
        if version != protocol.VERSION:
            self._send(
                Failed(
                    -1,
                    f"app and worker speak protocols {version} and {protocol.VERSION}: "
                    "both must come from one installation; install genui again",
                )
            )
            return
        from genui.engine import device

        machine = device.for_generation()
        self._send(
            Ready(
                version=protocol.VERSION,
                device=machine.device,
                precision=machine.precision,
                threads=machine.threads,
                pid=os.getpid(),
            )
        )

    def _warm(self, model: str) -> None:
        from genui.engine.generate.load import find_and_load

        find_and_load(model)
        self._send(Warmed(model))

    def _start(self, request: Start) -> None:
        from genui.engine.generate.load import find_and_load
        from genui.engine.generate.trace import Trace

        self._inbox.begin(request.trace)
        trace = Trace(find_and_load(request.model), request)
        self._traces[request.trace] = trace
        self._send(trace.started)
        if trace.opening is not None:
            self._send(trace.opening)

    def _advance(self, request: Advance) -> None:
        trace = self._traces.get(request.trace)
        if trace is None:
            raise GenuiError("this trace is no longer in the worker: start it again")
        stopped = lambda: self._inbox.stopped(request.trace)  # noqa: E731
        begin, at = time.perf_counter(), request.start
        for frame in trace.advance(request.start, request.steps, stopped):
            self._send(frame)
            at = frame.step
        reason = "cancelled" if stopped() else "finished" if trace.finished_at(at) else "done"
        self._inbox.begin(request.trace)
        self._send(
            Idle(
                trace=request.trace,
                step=at,
                steps=at - request.start,
                seconds=time.perf_counter() - begin,
                reason=reason,
            )
        )


def main() -> int:
    # Whatever a library prints must not land among the messages.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    give_way(NICE)
    return Worker(sys.stdin.buffer, sink).run()


if __name__ == "__main__":
    sys.exit(main())
