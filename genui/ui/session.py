"""The app's side of the pipe to the worker: the only place that talks to it.

A worker may be killed at any moment. The session says so in one line, starts another,
and tells the owners of traces that theirs are lost; they start them again from their
recipe when the user goes on.
"""

import asyncio
import contextlib
import itertools
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from msgspec.structs import replace
from textual.message_pump import MessagePump

from genui import protocol
from genui.base.text import clean_line
from genui.ui import messages
from genui.ui.traces.trees import Ask, Frames, Lost, Trace, TraceReply

WORKER = (sys.executable, "-m", "genui.engine.worker")
READ_BYTES = 1 << 16
GATHER = 0.05  # seconds in which frames gather: each message costs the app a millisecond
GRACE = 0.1  # seconds a worker, which holds nothing worth saving, has to leave by itself


class Session:
    """One worker process and the traces that live in it.

    `app` is told of WorkerReady and WorkerDied; the owner given to `start` gets its
    trace's messages.
    """

    def __init__(self, app: MessagePump, argv: Sequence[str] = WORKER) -> None:
        self._app = app
        self._argv = tuple(argv)
        self._process: Process | None = None
        self._ready: protocol.Ready | None = None
        self._waiting: list[protocol.Request] = []  # asked before the worker was ready
        self._owners: dict[int, MessagePump] = {}
        self._ids = itertools.count(1)
        self._stderr: deque[str] = deque(maxlen=20)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._spawning = False

    @property
    def ready(self) -> protocol.Ready | None:
        """What the worker said of its machine, while it lives."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it lives."""
        return self._process.pid if self._process is not None else None

    # --- what panes ask -------------------------------------------------------------

    def start(self, owner: MessagePump, request: protocol.Start) -> int:
        """Begin a trace; `owner` gets its messages. Returns the trace's number."""
        trace = self._adopt(owner)
        self._send(replace(request, trace=trace))
        return trace

    def fork(
        self,
        owner: MessagePump,
        parent: int,
        step: int,
        edit: protocol.Edit,
        then: protocol.Edit | None = None,
    ) -> int:
        """Begin a trace that shares another's steps up to `step`. Returns its number."""
        trace = self._adopt(owner)
        self._send(protocol.Fork(trace=trace, parent=parent, step=step, edit=edit, then=then))
        return trace

    def ask(self, owner: MessagePump, trace: Trace[Any]) -> Ask | None:
        """Ask for what a trace needs next, if anything. Returns what was asked."""
        asked = trace.next_request()
        match asked:
            case "start":
                trace.id = self.start(owner, trace.request)
            case "fork":
                assert trace.parent is not None
                edits = [at.edit for at in trace.request.edits[-trace.made_by :]]
                trace.id = self.fork(owner, trace.parent.id, trace.forked_at, *edits)
            case "cancel":
                self.cancel(trace.id)
            case (start, steps):
                self.advance(trace.id, start, steps)
        return asked

    def hand_over(self, trace: int, owner: MessagePump) -> None:
        """From now on `owner` gets the trace's messages; nothing where it is not begun."""
        if trace in self._owners:
            self._owners[trace] = owner

    def attend(self, trace: int, step: int) -> None:
        """Ask what the token of `step` attended to."""
        self._send(protocol.Attend(trace=trace, step=step))

    def label(self, trace: int, step: int, model: str) -> None:
        """Ask what a classifier says of a step."""
        self._send(protocol.Label(trace=trace, step=step, model=model))

    def nearest(self, trace: int, step: int) -> None:
        """Ask what of the training data is most like a step."""
        self._send(protocol.Nearest(trace=trace, step=step))

    def look(self, trace: int, step: int, noise: float, paths: bool = False) -> None:
        """Ask what a network of the Lab makes of the plane after `step` steps."""
        self._send(protocol.Look(trace=trace, step=step, noise=noise, paths=paths))

    def _adopt(self, owner: MessagePump) -> int:
        trace = next(self._ids)
        self._owners[trace] = owner
        return trace

    def advance(self, trace: int, start: int, steps: int) -> None:
        """Take `steps` steps from step `start`."""
        self._send(protocol.Advance(trace=trace, start=start, steps=steps))

    def cancel(self, trace: int) -> None:
        """Stop advancing, within one step."""
        self._send(protocol.Cancel(trace))

    def forget(self, trace: int) -> None:
        """Drop a trace; late messages about it go nowhere."""
        if self._owners.pop(trace, None) is not None:
            self._send(protocol.Close(trace))

    def warm(self, model: str) -> None:
        """Load a model before it is asked for."""
        self._send(protocol.Warm(model))

    # --- the process ----------------------------------------------------------------

    def open(self) -> None:
        """Start the worker if none runs; WorkerReady or WorkerDied tells what came of it."""
        if self._process is None and not self._spawning and not self._closing:
            self._spawning = True
            self._run(self._serve())

    async def close(self) -> None:
        """End the worker: close its stdin, and kill it if it stays for `GRACE`."""
        self._closing = True
        if self._process is not None:
            _hang_up(self._process)
        await self._settle()
        if self._process is not None:
            _kill(self._process)
            await self._settle()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self) -> None:
        """Lets the worker's life end by itself, so that its pipes are closed in order."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)

    def _run(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, request: protocol.Request) -> None:
        if self._ready is None:
            self._waiting.append(request)
            self.open()
        else:
            self._write(request)

    def _write(self, request: protocol.Request) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        # A broken pipe is noticed, and told, by the reader.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(protocol.encode(request))

    async def _serve(self) -> None:
        """One worker's life, from spawn to death."""
        self._stderr.clear()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
        except OSError as error:
            self._spawning = False
            self._died(f"the worker cannot be started: {error}; try genui doctor", False)
            return
        self._process = process
        self._spawning = False
        if self._closing:
            _hang_up(process)
        stderr = asyncio.create_task(self._drain(process))
        self._write(protocol.Hello())
        fault = await self._read(process)
        if fault:
            _kill(process)
        code = await process.wait()
        await stderr
        was_ready = self._ready is not None
        self._process = None
        self._ready = None
        if self._closing:
            return
        self._lose_traces()
        if fault:
            self._died(f"{fault}; reinstall genui so that app and worker are of one version", False)
        elif not was_ready:
            self._died(f"the worker does not start: {self._reason(code)}; try genui doctor", False)
        else:
            self._died(f"{self._obituary(code)}; started another — press space to go on", True)
            self.open()

    async def _read(self, process: Process) -> str:
        """Hands on every reply until the pipe ends. Returns a fault of the protocol, or ""."""
        assert process.stdout is not None
        reader = protocol.replies()
        while data := await process.stdout.read(READ_BYTES):
            try:
                replies = list(reader.feed(data))
            except protocol.ProtocolError as error:
                return f"the worker sent something else than messages ({error})"
            if fault := self._dispatch(replies):
                return fault
            if any(isinstance(reply, protocol.Frame) for reply in replies):
                await asyncio.sleep(GATHER)
        return ""

    async def _drain(self, process: Process) -> None:
        """Keeps the last lines of stderr, so that a death can be explained."""
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line over the stream's limit
            async for line in process.stderr:
                if text := line.decode(errors="replace").strip():
                    self._stderr.append(text)

    # --- replies --------------------------------------------------------------------

    def _dispatch(self, replies: Sequence[protocol.Reply]) -> str:
        """Posts replies to their owners, the frames of one trace together."""
        frames: dict[int, list[protocol.Frame]] = {}
        for reply in replies:
            match reply:
                case protocol.TextFrame() | protocol.ImageFrame() | protocol.PointsFrame():
                    frames.setdefault(reply.trace, []).append(reply)
                    continue
                case protocol.Ready():
                    if reply.version != protocol.VERSION:
                        return (
                            f"the worker speaks protocol {reply.version}, this app "
                            f"{protocol.VERSION}"
                        )
                    self._on_ready(reply)
                case protocol.Failed() if reply.trace < 0:  # of no trace
                    self._app.post_message(messages.Say(clean_line(reply.message)))
                case protocol.Warmed():
                    pass
                case protocol.Idle() | protocol.Failed():
                    # Frames that came before it must arrive before it.
                    self._post_frames(reply.trace, frames.pop(reply.trace, None))
                    self._post(reply)
                case _:
                    self._post(reply)
        for trace, group in frames.items():
            self._post_frames(trace, group)
        return ""

    def _on_ready(self, ready: protocol.Ready) -> None:
        self._ready = ready
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._write(request)
        self._app.post_message(messages.WorkerReady(ready))

    def _post(self, reply: TraceReply) -> None:
        if not isinstance(reply, Lost) and (owner := self._owners.get(reply.trace)) is not None:
            owner.post_message(messages.Reply(reply))

    def _post_frames(self, trace: int, frames: list[protocol.Frame] | None) -> None:
        if frames:
            self._post(Frames(trace, frames))

    # --- death ----------------------------------------------------------------------

    def _lose_traces(self) -> None:
        owners = set(self._owners.values())
        self._owners.clear()
        self._waiting.clear()
        for owner in owners:
            owner.post_message(messages.Reply(Lost()))

    def _died(self, line: str, restarted: bool) -> None:
        self._waiting.clear()
        self._app.post_message(messages.WorkerDied(line, restarted))

    def _reason(self, code: int) -> str:
        last = clean_line(self._stderr[-1], 200) if self._stderr else ""
        return last or f"it ended with exit code {code} and said nothing"

    def _obituary(self, code: int) -> str:
        if code < 0:
            return f"the worker was killed (signal {-code})"
        return f"the worker ended (exit code {code}): {self._reason(code)}"


def _hang_up(process: Process) -> None:
    """A worker leaves when its stdin ends."""
    if process.stdin is not None:
        process.stdin.close()


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
