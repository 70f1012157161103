"""The app's end of the pipe to the worker process.

The worker may be killed at any moment. The session then reports it in one line, starts another
worker and sends TraceLost to the owners of traces, which start them again from their recipes.
"""

import asyncio
import contextlib
import itertools
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from msgspec.structs import replace
from textual.message_pump import MessagePump

from genui import protocol
from genui.base.text import clean_line
from genui.ui import messages
from genui.ui.processes import kill
from genui.ui.traces.trees import Ask, Frames, Lost, ShownTrace, TraceReply

Launch = Callable[[], Awaitable[Process]]
"""Starts a worker, which speaks the protocol over its pipes. Raises OSError."""

READ_BYTES = 1 << 16
GATHER = 0.05  # seconds for which frames are collected: each message costs the app a millisecond
GRACE = 0.1  # seconds that the worker has to end by itself


async def launch_process(*argv: str) -> Process:
    """Start a command with pipes to it."""
    return await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE)


async def launch_worker() -> Process:
    """Start the worker of this package."""
    return await launch_process(sys.executable, "-m", "genui.engine.worker")


class Session:
    """One worker process and its traces.

    `app` gets WorkerReady and WorkerDied; the owner of a trace gets the replies about it.
    """

    def __init__(self, app: MessagePump, launch: Launch = launch_worker) -> None:
        self._app = app
        self._launch = launch
        self._process: Process | None = None
        self._ready: protocol.Ready | None = None
        self._queue: list[protocol.Request] = []  # requests from before the worker was ready
        self._owners: dict[int, MessagePump] = {}
        self._ids = itertools.count(1)
        self._stderr: deque[str] = deque(maxlen=20)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._spawning = False

    @property
    def ready(self) -> protocol.Ready | None:
        """The worker's report of its machine; None while no worker is ready."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        return self._process.pid if self._process is not None else None

    # --- Requests -------------------------------------------------------------------

    def start(self, owner: MessagePump, request: protocol.Start) -> int:
        """Start a trace; `owner` gets its replies. Returns the trace's number."""
        trace = self._add_owner(owner)
        self.put(replace(request, trace=trace))
        return trace

    def fork(
        self,
        owner: MessagePump,
        parent: int,
        step: int,
        edit: protocol.Edit,
        then: protocol.Edit | None = None,
    ) -> int:
        """Start a trace that shares the steps of `parent` up to `step`. Returns its number."""
        trace = self._add_owner(owner)
        self.put(protocol.Fork(trace=trace, parent=parent, step=step, edit=edit, then=then))
        return trace

    def ask(self, owner: MessagePump, trace: ShownTrace[Any]) -> Ask | None:
        """Send the next request of a trace, if any, and return it."""
        request = trace.next_request()
        match request:
            case "start":
                trace.id = self.start(owner, trace.start_request())
            case "fork":
                assert trace.parent is not None
                edits = [at.edit for at in trace.request.edits[-trace.fork_edits :]]
                trace.id = self.fork(owner, trace.parent.id, trace.forked_at, *edits)
            case "cancel":
                self.put(protocol.Cancel(trace.id))
            case (start, steps):
                self.put(protocol.Advance(trace=trace.id, start=start, steps=steps))
        return request

    def hand_over(self, trace: int, owner: MessagePump) -> None:
        """Send the replies about a trace to `owner` from now on, if the trace was started."""
        if trace in self._owners:
            self._owners[trace] = owner

    def _add_owner(self, owner: MessagePump) -> int:
        trace = next(self._ids)
        self._owners[trace] = owner
        return trace

    def forget(self, trace: int) -> None:
        """Close a trace, and drop later replies about it."""
        if self._owners.pop(trace, None) is not None:
            self.put(protocol.Close(trace))

    # --- The process ----------------------------------------------------------------

    def open(self) -> None:
        """Start the worker if none runs; WorkerReady or WorkerDied follows."""
        if self._process is None and not self._spawning and not self._closing:
            self._spawning = True
            self._run(self._serve())

    async def close(self) -> None:
        """End the worker: close its stdin, and kill it after `GRACE`."""
        self._closing = True
        if self._process is not None:
            _close_stdin(self._process)
        await self._settle()
        if self._process is not None:
            kill(self._process)
            await self._settle()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self) -> None:
        """Wait up to `GRACE` for the worker to end, so that its pipes are closed in order."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)

    def _run(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def put(self, request: protocol.Request) -> None:
        """Send a request, if need be once the worker is ready."""
        if self._ready is None:
            self._queue.append(request)
            self.open()
        else:
            self._write(request)

    def _write(self, request: protocol.Request) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing():
            return
        # A broken pipe is reported by the reader.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(protocol.encode(request))

    async def _serve(self) -> None:
        """Run one worker from its start to its end."""
        self._stderr.clear()
        try:
            process = await self._launch()
        except OSError as error:
            self._spawning = False
            self._on_end(f"the worker cannot be started: {error}; try genui doctor", False)
            return
        self._process = process
        self._spawning = False
        if self._closing:
            _close_stdin(process)
        stderr = asyncio.create_task(self._drain(process))
        self._write(protocol.Hello())
        fault = await self._read(process)
        if fault:
            kill(process)
        code = await process.wait()
        await stderr
        was_ready = self._ready is not None
        self._process = None
        self._ready = None
        if self._closing:
            return
        self._lose_traces()
        restarted = was_ready and not fault
        if fault:
            line = f"{fault}; reinstall genui so that app and worker are of one version"
        elif not was_ready:
            line = f"the worker did not start: {self._reason(code)}; try genui doctor"
        else:
            line = f"{self._describe_end(code)}; started another — press space to continue"
        self._on_end(line, restarted)
        if restarted:
            self.open()

    async def _read(self, process: Process) -> str:
        """Dispatch replies until the pipe ends. Returns a fault of the protocol, or ""."""
        assert process.stdout is not None
        reader = protocol.replies()
        while data := await process.stdout.read(READ_BYTES):
            try:
                replies = list(reader.feed(data))
            except protocol.ProtocolError as error:
                return f"the worker sent something that is no message ({error})"
            if fault := self._dispatch(replies):
                return fault
            if any(isinstance(reply, protocol.Frame) for reply in replies):
                await asyncio.sleep(GATHER)
        return ""

    async def _drain(self, process: Process) -> None:
        """Keep the last lines of stderr, to explain a failure."""
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line over the stream's limit
            async for line in process.stderr:
                if text := line.decode(errors="replace").strip():
                    self._stderr.append(text)

    # --- Replies --------------------------------------------------------------------

    def _dispatch(self, replies: Sequence[protocol.Reply]) -> str:
        """Post replies to their owners, the frames of a trace together."""
        frames: dict[int, list[protocol.Frame]] = {}
        for reply in replies:
            match reply:
                case protocol.Frame():
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
                    self._app.post_message(messages.ShowStatus(clean_line(reply.message)))
                case protocol.Idle() | protocol.Failed():
                    # Earlier frames must be posted first.
                    self._post_frames(reply.trace, frames.pop(reply.trace, None))
                    self._post(reply)
                case protocol.Answer():
                    self._post(reply)
        for trace, group in frames.items():
            self._post_frames(trace, group)
        return ""

    def _on_ready(self, ready: protocol.Ready) -> None:
        self._ready = ready
        queue, self._queue = self._queue, []
        for request in queue:
            self._write(request)
        self._app.post_message(messages.WorkerReady(ready))

    def _post(self, reply: TraceReply) -> None:
        if not isinstance(reply, Lost) and (owner := self._owners.get(reply.trace)) is not None:
            owner.post_message(messages.Reply(reply))

    def _post_frames(self, trace: int, frames: list[protocol.Frame] | None) -> None:
        if frames:
            self._post(Frames(trace, frames))

    # --- The end of the worker ------------------------------------------------------

    def _lose_traces(self) -> None:
        owners = set(self._owners.values())
        self._owners.clear()
        for owner in owners:
            owner.post_message(messages.Reply(Lost()))

    def _on_end(self, line: str, restarted: bool) -> None:
        self._queue.clear()
        self._app.post_message(messages.WorkerDied(line, restarted))

    def _reason(self, code: int) -> str:
        last = clean_line(self._stderr[-1], 200) if self._stderr else ""
        return last or f"it ended with exit code {code} and no message"

    def _describe_end(self, code: int) -> str:
        if code < 0:
            return f"the worker was killed (signal {-code})"
        return f"the worker ended (exit code {code}): {self._reason(code)}"


def _close_stdin(process: Process) -> None:
    """End the worker, which runs until its stdin is closed."""
    if process.stdin is not None:
        process.stdin.close()
