"""The process that generates for the app: `python -m genui.engine.worker`."""

import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Literal

import torch
from msgspec.structs import replace

from genui import protocol
from genui.base.energy import Energy
from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.engine import device
from genui.engine.loading import LoadingStoppedError, LoadProgress
from genui.engine.sample.lens import attention, read_layers, read_tokens
from genui.engine.sample.tokens import TokenGenerator, read_ahead
from genui.engine.sample.trace import Trace
from genui.protocol import (
    Advance,
    Agreement,
    Attend,
    Attention,
    Cancel,
    Close,
    Failed,
    Fork,
    Hello,
    Idle,
    Label,
    Layers,
    Loading,
    Nearest,
    Question,
    ReadLayers,
    ReadTokens,
    Ready,
    Start,
    Warm,
)
from genui.runs.energy import EnergyMeter
from genui.runs.system import give_way

with late_imports():
    from genui.engine import load
    from genui.engine.metrics import classifiers, copying

# --- The process ------------------------------------------------------------------------------
# Requests come on stdin, replies go to stdout, both in the format of `genui.protocol.pipe`. A
# thread reads; the main thread computes and checks for requests between steps, so a Cancel takes
# effect within one step and several traces can advance. The worker exits when stdin is closed. It
# may be killed at any time, since all its state can be computed again.

NICE = 10  # the app has priority

REPORT_EVERY = 0.2  # seconds between two reports of a loading

QUICK = 0.004  # seconds of a step; the frames of quicker ones are sent together
METER_EVERY = 1.0  # seconds between two readings of the energy

SEND_EVERY = 0.008  # seconds between two sendings of such frames, half of a frame of the screen


class Inbox:
    """A queue of requests, filled by a thread.

    `unwanted` has the traces that were cancelled or closed, also while the main thread loads.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._queue: queue.SimpleQueue[protocol.Request | None] = queue.SimpleQueue()
        self.unwanted: set[int] = set()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self, wait: bool) -> protocol.Request | None:
        """The next request, or None at the end. Without `wait` raises queue.Empty if there is none
        yet."""
        return self._queue.get(block=wait)

    def put(self, request: protocol.Request) -> None:
        """Add a request as if it had arrived now."""
        self._queue.put(request)

    def _read(self) -> None:
        reader = protocol.requests()
        try:
            while data := self._source.read1(65536):  # type: ignore[attr-defined]
                for request in reader.feed(data):
                    if isinstance(request, Cancel | Close):
                        self.unwanted.add(request.trace)
                    self._queue.put(request)
        except protocol.ProtocolError as error:
            print(f"genui worker: {error}", file=sys.stderr)
        self._queue.put(None)


@dataclass
class Job:
    """An Advance in progress."""

    frames: Iterator[protocol.Frame | None]  # None: the step is awaited
    start: int
    at: int
    seconds: float = 0.0  # compute time
    unpaid: float = 0.0  # of it, since the energy was read last
    energy: Energy = field(default_factory=Energy)


class Worker:
    """Answers requests until stdin is closed; advancing traces alternate step by step.

    Methods import what a request needs, so that the worker is ready sooner.
    """

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._inbox = Inbox(source)
        self._sink = sink
        self._traces: dict[int, Trace] = {}
        self._jobs: dict[int, Job] = {}
        self._sent = 0.0  # when replies were sent last, in seconds
        self._prepared: dict[Nearest, Agreement | None] = {}  # what a thread has prepared
        self._meter: EnergyMeter | None = None
        self._metered = 0.0  # when it was read last, in seconds

    def run(self) -> int:
        while True:
            try:
                request = self._inbox.next(wait=not self._jobs)
                if request is None:
                    return 0
                self._guarded(getattr(request, "trace", -1), lambda r=request: self._answer(r))
            except queue.Empty:
                if len(self._jobs) > 1:
                    with suppress(Exception):  # a step meets the same fault, and reports it
                        read_ahead((self._traces[t], job.at) for t, job in self._jobs.items())
                for trace in list(self._jobs):
                    if not self._guarded(trace, lambda t=trace: self._step(t)):
                        self._jobs.pop(trace, None)
            except BrokenPipeError:
                return 0

    def _guarded(self, trace: int, work: Callable[[], None]) -> bool:
        """Do the work; whether it succeeded. An error is sent to the app as one line."""
        try:
            work()
            return True
        except GenuiError as error:
            line = str(error)
        except LoadingStoppedError:
            line = "loading was stopped: space starts it again"
        except MemoryError:
            line = "out of memory: ask for fewer steps or a smaller model"
        except BrokenPipeError:
            raise
        except Exception as error:
            line = f"the model failed ({type(error).__name__}: {error})"
            print(f"genui worker: {line}", file=sys.stderr)
        self._send(Failed(trace, " ".join(line.split())))
        device.return_memory()  # of a model that is not loaded after all
        return False

    def _send(self, message: protocol.Reply) -> None:
        self._sink.write(protocol.encode(message))
        self._flush()

    def _flush(self) -> None:
        self._sink.flush()
        self._sent = time.perf_counter()

    def _answer(self, request: protocol.Request) -> None:
        self._flush()  # the answer may take long
        match request:
            case Hello(version=version):
                self._hello(version)
            case Start():
                self._start(request)
            case Fork():
                self._fork(request)
            case Advance():
                self._advance(request)
            case Attend():
                self._look(request, attention, Attention)
            case ReadLayers():
                self._look(request, partial(read_layers, over=request.over), Layers)
            case ReadTokens(trace=trace, step=step):
                self._send(read_tokens(self._trace(trace), step))
            case Nearest():
                self._nearest(request)
            case Label():
                self._label(request)
            case Question():
                self._send(self._trace(request.trace).answer(request))
            case Warm(model=model):
                load.find_and_load(model)
            case Cancel(trace=trace):
                if trace in self._jobs:
                    self._idle(trace, "cancelled")
            case Close(trace=trace):
                self._jobs.pop(trace, None)
                self._traces.pop(trace, None)

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
        machine = device.for_generation()
        self._send(
            Ready(
                version=protocol.VERSION,
                device=machine.device,
                precision=machine.precision,
                threads=machine.threads,
                pid=os.getpid(),
                torch=str(torch.__version__),
                processor=device.processor_name(),
            )
        )

        self._meter = device.start_meter()

    def _start(self, request: Start) -> None:
        sent = 0.0

        def report(share: float, size: int, prompt: int = 0) -> None:
            nonlocal sent
            if request.trace in self._inbox.unwanted:
                raise LoadingStoppedError
            if not sent or time.monotonic() - sent >= REPORT_EVERY:
                sent = time.monotonic()
                self._send(Loading(trace=request.trace, share=share, size=size, prompt=prompt))

        progress = LoadProgress(report, lambda share, tokens: report(share, 0, tokens))
        self._open(load.open_trace(request, progress))

    def _open(self, trace: Trace) -> None:
        """Store the trace and send its start."""
        gc.freeze()  # collecting torch and the models would take as long as five steps
        self._traces[trace.request.trace] = trace
        self._send(trace.started)
        if trace.opening is not None:
            self._send(trace.opening)

    def _trace(self, number: int) -> Trace:
        trace = self._traces.get(number)
        if trace is None:
            raise GenuiError("this trace is no longer in the worker: start it again")
        return trace

    def _fork(self, request: Fork) -> None:
        branch = self._trace(request.parent).fork(request.trace, request.step, request.edit)
        if request.then is not None:
            branch = branch.fork(request.trace, request.step, request.then)
        self._open(branch)

    def _label(self, request: Label) -> None:
        self._send(classifiers.labels(self._trace(request.trace), request.step, request.model))

    def _nearest(self, request: Nearest) -> None:
        """Answer once a thread has prepared the comparison, which then asks again."""
        trace = self._trace(request.trace)
        if request in self._prepared:
            agreement = self._prepared.pop(request)
            found = copying.nearest(trace, request.step, request.count)
            self._send(replace(found, agreement=agreement))
            return

        def prepare() -> None:
            agreement = None
            with suppress(Exception):  # the answer meets the same fault, and reports it
                agreement = copying.prepare(trace, request.step)
            self._prepared[request] = agreement
            self._inbox.put(request)

        threading.Thread(target=prepare, name="nearest", daemon=True).start()

    def _look(
        self,
        request: Attend | ReadLayers,
        read: Callable[[Trace, int], Attention | Layers],
        reply: type[Attention] | type[Layers],
    ) -> None:
        """Look inside the network; of a model that does not run here only the odds are known."""
        trace = self._trace(request.trace)
        if isinstance(trace.generator, TokenGenerator):
            self._send(read(trace, request.step))
        else:
            fault = "This model does not run on this machine: only its odds are known"
            self._send(reply(trace=request.trace, step=request.step, fault=fault))

    def _advance(self, request: Advance) -> None:
        trace = self._trace(request.trace)
        if request.trace in self._jobs:
            self._idle(request.trace, "cancelled")
        self._read_energy()  # else its steps would pay for what was before
        frames = trace.advance_or_wait(request.start, request.steps)
        self._jobs[request.trace] = Job(frames, request.start, request.start)

    def _step(self, trace: int) -> None:
        job = self._jobs[trace]
        begin = time.perf_counter()
        try:
            frame = next(job.frames)
        except StopIteration:
            self._idle(trace, "finished" if self._traces[trace].finished_at(job.at) else "done")
            return
        finally:
            now = time.perf_counter()
            job.seconds += now - begin
            job.unpaid += now - begin
        if frame is not None:
            job.at = frame.step
            self._sink.write(protocol.encode(frame))
        # The next step of an only trace, its Idle or the answer to a request follows at once.
        awaited = frame is None or len(self._jobs) > 1
        if awaited or now - begin > QUICK or now - self._sent > SEND_EVERY:
            self._flush()
        if self._meter is not None and now - self._metered > METER_EVERY:
            self._read_energy()
            for number, each in self._jobs.items():
                steps = each.at - each.start
                self._send(protocol.Spent(trace=number, steps=steps, energy=each.energy))

    def _read_energy(self) -> None:
        """Share out what the jobs have cost since the last reading, by their compute time."""
        self._metered = time.perf_counter()
        spent = self._meter.take() if self._meter is not None else Energy()
        seconds = sum(job.unpaid for job in self._jobs.values())
        for job in self._jobs.values():
            if job.unpaid:
                job.energy = job.energy.plus(spent.times(job.unpaid / seconds))
                job.unpaid = 0.0

    def _idle(self, trace: int, reason: Literal["done", "finished", "cancelled"]) -> None:
        self._read_energy()
        job = self._jobs.pop(trace)
        self._send(
            Idle(
                trace=trace,
                step=job.at,
                steps=job.at - job.start,
                seconds=job.seconds,
                total=self._traces[trace].total_at(job.at),
                energy=job.energy,
                reason=reason,
            )
        )


def main() -> int:
    # What libraries print must not get into the messages.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    give_way(NICE)
    return Worker(sys.stdin.buffer, sink).run()


if __name__ == "__main__":
    sys.exit(main())
