"""The worker as a process, spoken to over its pipes."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf_files
import pytest
from msgspec.structs import replace

from genui import protocol
from genui.engine import trainer
from genui.engine import worker as engine_worker
from genui.protocol import (
    AddNoise,
    Advance,
    Attend,
    Attention,
    Cancel,
    Close,
    EditAt,
    Failed,
    Fork,
    Frame,
    Hello,
    Idle,
    ImageFrame,
    ImageSettings,
    Layers,
    Loading,
    Nearest,
    Neighbours,
    ReadLayers,
    Ready,
    Reply,
    Request,
    SetSettings,
    Spent,
    Start,
    Started,
    TextFrame,
    TextSettings,
    Warm,
    WriteText,
)
from genui.runs.layout import RunDir
from genui.runs.models import find_model


class Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genui.engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = protocol.replies()
        self._replies: list[Reply] = []

    def send(self, *requests: Request) -> None:
        assert self.process.stdin is not None
        for request in requests:
            self.process.stdin.write(protocol.encode(request))
        self.process.stdin.flush()

    def next(self) -> Reply:
        assert self.process.stdout is not None
        while not self._replies:
            data = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
            assert data, "the worker closed its pipe"
            self._replies.extend(self._reader.feed(data))
        return self._replies.pop(0)

    def until(self, kind: type[Reply]) -> list[Reply]:
        """The replies up to one of that kind, or a Failed; without what the steps have cost."""
        found: list[Reply] = []
        while not (found and isinstance(found[-1], kind | Failed)):
            reply = self.next()
            if kind is Spent or not isinstance(reply, Spent):
                found.append(reply)
        return found

    def frames(self, trace: int, start: int, steps: int) -> list[Frame]:
        """What an Advance gives."""
        self.send(Advance(trace=trace, start=start, steps=steps))
        *frames, idle = self.until(Idle)
        assert isinstance(idle, Idle)
        return [frame for frame in frames if isinstance(frame, Frame)]

    def drain(self) -> None:
        """Read what the last test left unread."""
        self.send(Hello())
        while not isinstance(self.next(), Ready):
            pass

    def close(self) -> int:
        """Close its pipe; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.process.wait()
        finally:
            self.process.kill()
            with self.process:  # closes its pipes and waits for it
                pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GENUI_HOME of all workers of this module."""
    return tmp_path_factory.mktemp("worker")


@pytest.fixture(autouse=True)
def genui_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENUI_HOME", str(home))
    return home


@pytest.fixture(scope="module")
def workers(home: Path) -> Iterator[tuple[Worker, Worker]]:
    """Two that all tests share: each takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENUI_HOME", str(home))
        both = Worker(), Worker()
    yield both
    assert [worker.close() for worker in both] == [0, 0]


@pytest.fixture
def worker(workers: tuple[Worker, Worker]) -> Iterator[Worker]:
    yield workers[0]
    workers[0].drain()


@pytest.fixture
def other(workers: tuple[Worker, Worker]) -> Iterator[Worker]:
    """Another process, which knows nothing of what the first one made."""
    yield workers[1]
    workers[1].drain()


@pytest.fixture
def model(home: Path, plays: Path, tiny_run: Callable[..., RunDir], signals: None) -> str:
    """A run of two steps, trained by the first test that needs it."""
    runs = list((home / "data" / "runs").glob("*"))
    if not runs:
        run = tiny_run(steps="2")
        assert trainer.train(run) == 0
        return run.id
    (run,) = runs
    return run.name


def start(model: str, tokens: int = 20, trace: int = 1) -> Start:
    settings = TextSettings(tokens=tokens)
    return Start(trace=trace, model=model, prompt="to be", seed=4, settings=settings)


def test_a_text_is_written_stepped_back_and_cancelled(worker: Worker, model: str) -> None:
    worker.send(Hello())
    ready = worker.next()
    assert isinstance(ready, Ready)
    assert ready.version == protocol.VERSION

    worker.send(Warm(model), start(model), Advance(trace=1, start=0, steps=5))
    started = worker.next()
    assert isinstance(started, Started)
    assert (started.prompt, started.total_steps, started.medium) == ("to be", 20, "text")
    *frames, idle = worker.until(Idle)
    assert [f.step for f in frames if isinstance(f, TextFrame)] == [1, 2, 3, 4, 5]
    assert isinstance(idle, Idle)
    assert (idle.reason, idle.steps, idle.step) == ("done", 5, 5)

    worker.send(Advance(trace=1, start=2, steps=99))
    *more, end = worker.until(Idle)
    assert more[:3] == frames[2:]
    assert isinstance(end, Idle)
    assert (end.reason, end.step) == ("finished", 20)
    assert idle.energy.joules > 0

    worker.send(start(model, 100_000, trace=2), Advance(trace=2, start=0, steps=100_000))
    spent = worker.until(Spent)[-1]
    assert isinstance(spent, Spent)
    worker.send(Cancel(2))
    cancelled = worker.until(Idle)[-1]
    assert isinstance(cancelled, Idle)
    assert 0 < spent.steps <= cancelled.steps
    assert 0 < spent.energy.joules <= cancelled.energy.joules
    assert cancelled.reason == "cancelled"
    assert cancelled.step < 100_000

    worker.send(Close(2), Advance(trace=2, start=0, steps=1))
    gone = worker.next()
    assert isinstance(gone, Failed)
    assert "start it again" in gone.message


def test_two_traces_take_turns(worker: Worker, model: str) -> None:
    worker.send(start(model, 3000, trace=1), Advance(trace=1, start=0, steps=3000))
    worker.until(TextFrame)
    worker.send(start(model, 4, trace=2), Advance(trace=2, start=0, steps=4))
    idle = worker.until(Idle)[-1]
    assert isinstance(idle, Idle)
    assert idle.trace == 2  # the short one ended while the long one was still writing
    worker.send(Close(1), start(model, 1, trace=3))
    assert isinstance(worker.until(Started)[-1], Started)


def test_a_fork_goes_its_own_way_and_another_worker_goes_the_same(
    worker: Worker, other: Worker, model: str
) -> None:
    worker.send(start(model))
    assert isinstance(worker.next(), Started)
    frames = worker.frames(1, 0, 20)
    write, fewer = WriteText(" not"), SetSettings(TextSettings(tokens=16))
    worker.send(
        Fork(trace=2, parent=1, step=8, edit=write), Fork(trace=3, parent=2, step=12, edit=fewer)
    )
    forked = worker.next()
    assert isinstance(forked, Started)
    assert (forked.trace, forked.step, forked.total_steps) == (2, 8, 20)
    early = worker.next()  # of a step that its parent has not reached
    assert isinstance(early, Failed)
    assert early.trace == 3
    assert "step 12: this trace is at step 8" in early.message
    assert "\n" not in early.message

    branch = worker.frames(2, 0, 20)
    assert [replace(f, trace=1) for f in branch[:8]] == frames[:8]
    assert "".join(f.text for f in branch[8:12] if isinstance(f, TextFrame)) == " not"
    worker.send(Fork(trace=3, parent=2, step=12, edit=fewer))
    again = worker.next()
    assert isinstance(again, Started)
    assert (again.step, again.total_steps) == (12, 16)
    of_branch = worker.frames(3, 0, 99)
    assert len(of_branch) == 16
    assert worker.frames(1, 0, 20) == frames  # the parent is as it was

    edits = (EditAt(step=8, edit=write), EditAt(step=12, edit=fewer))
    other.send(replace(start(model, trace=3), edits=edits))
    assert isinstance(other.next(), Started)
    assert other.frames(3, 0, 99) == of_branch


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp-3m"])  # one draws noise, one remembers steps
def test_images_are_the_same_bits_in_another_worker(
    worker: Worker, other: Worker, sampler: str
) -> None:
    settings = ImageSettings(sampler=sampler, steps=6, eta=0.5)
    begin = Start(trace=1, model="icons", prompt="red heart", seed=4, settings=settings)
    left = bytes(x < 16 for _ in range(32) for x in range(32))
    worker.send(begin)
    assert isinstance(worker.next(), Started)
    opening = worker.next()
    assert isinstance(opening, ImageFrame)
    frames = worker.frames(1, 0, 6)
    assert worker.frames(1, 2, 4) == frames[2:]  # back and forward
    worker.send(Fork(trace=2, parent=1, step=5, edit=AddNoise(to=3, mask=left)))
    assert isinstance(worker.next(), Started)
    edited = worker.next()
    branch = worker.frames(2, 5, 99)

    edits = (EditAt(step=5, edit=AddNoise(to=3, mask=left)),)
    other.send(replace(begin, trace=2, edits=edits))
    assert isinstance(other.next(), Started)
    assert other.next() == replace(opening, trace=2)
    again = other.frames(2, 0, 99)
    assert [replace(frame, trace=1) for frame in again[:4]] == frames[:4]
    assert again[4:] == [edited, *branch]


def test_what_a_token_attended_to_is_told_while_the_text_goes_on(
    worker: Worker, model: str
) -> None:
    worker.send(start(model))
    assert isinstance(worker.next(), Started)
    worker.frames(1, 0, 4)
    worker.send(Attend(trace=1, step=3))
    told = worker.next()
    assert isinstance(told, Attention)
    assert (told.trace, told.step, told.layers, told.heads, told.first) == (1, 3, 1, 2, 0)
    assert len(told.texts) == len("to be") + 2
    assert len(told.weights) == 2 * told.heads * len(told.texts)

    worker.send(ReadLayers(trace=1, step=3))
    layers = worker.next()
    assert isinstance(layers, Layers)
    assert (layers.trace, layers.step, len(layers.layers), len(layers.heads[0])) == (1, 3, 2, 2)

    worker.send(Advance(trace=1, start=4, steps=99), Attend(trace=1, step=50))
    failed = worker.until(Failed)[-1]
    assert isinstance(failed, Failed)
    assert "step 50" in failed.message
    idle = worker.until(Idle)[-1]  # a question without an answer ends nothing
    assert isinstance(idle, Idle)
    assert (idle.reason, idle.step) == ("finished", 20)


def test_passages_are_traced_on_a_thread_that_reads_the_data_first(
    worker: Worker, model: str
) -> None:
    worker.send(start(model))
    assert isinstance(worker.next(), Started)
    worker.frames(1, 0, 4)
    for _ in range(2):  # the second time the data are known
        worker.send(Nearest(trace=1, step=4))
        found = worker.next()
        assert isinstance(found, Neighbours)
        assert (found.trace, found.step, found.fault) == (1, 4, "")
        assert "plays.txt" in found.data
    worker.send(Nearest(trace=1, step=99))
    failed = worker.next()
    assert isinstance(failed, Failed)
    assert "step 99" in failed.message


def test_what_cannot_be_done_is_one_line_and_the_worker_goes_on(worker: Worker, model: str) -> None:
    wrong = Start(trace=5, model=model, prompt="to", seed=1, settings=ImageSettings())
    unknown = Start(trace=6, model="shakespeer", prompt="to", seed=1, settings=TextSettings())
    worker.send(Hello(), unknown, wrong, start(model))
    assert isinstance(worker.next(), Ready)
    for trace in (6, 5):
        failed = worker.next()
        assert isinstance(failed, Failed)
        assert failed.trace == trace
        assert "\n" not in failed.message
    assert isinstance(worker.next(), Started)


def test_a_large_model_tells_how_far_it_is_loaded_until_it_is_cancelled(
    worker: Worker, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.gguf"
    gguf_files.write_gguf(file)
    cancelled = Start(
        trace=7, model=str(file), prompt="hello", seed=4, settings=TextSettings(tokens=2)
    )
    worker.send(Cancel(trace=7), cancelled, replace(cancelled, trace=8))
    stopped = worker.next()
    assert isinstance(stopped, Failed)
    assert (stopped.trace, "stopped" in stopped.message) == (7, True)
    *loading, started = worker.until(Started)
    assert isinstance(started, Started)
    assert loading
    assert all(isinstance(each, Loading) and each.trace == 8 for each in loading)
    sizes = {each.size for each in loading if isinstance(each, Loading)}
    assert sizes == {4 * find_model(str(file)).parameters}
    assert loading[0].share == 0  # type: ignore[union-attr]


def test_another_version_is_refused(worker: Worker) -> None:
    worker.send(Hello(version=99))
    failed = worker.next()
    assert isinstance(failed, Failed)
    assert "99" in failed.message


def test_noise_on_the_pipe_ends_the_worker_with_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    noise = io.BytesIO(b"\xff\xff\xff\xff not a message")
    assert engine_worker.Worker(noise, io.BytesIO()).run() == 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error


class Sink(io.BytesIO):
    """Counts what is sent."""

    sent = 0

    def flush(self) -> None:
        self.sent = self.tell()


def test_frames_of_quick_steps_are_sent_together_but_never_kept_while_a_step_is_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_worker, "QUICK", 1e9)
    monkeypatch.setattr(engine_worker, "SEND_EVERY", 1e9)
    sink = Sink()
    worker = engine_worker.Worker(io.BytesIO(), sink)
    frame = TextFrame(trace=1, step=1, token=0, text="a", surprisal=0.0, entropy=0.0, candidates=())
    worker._jobs[1] = engine_worker.Job(iter([frame, frame, None, frame, frame]), 0, 0)
    sent = []
    for _ in range(4):
        worker._step(1)
        sent.append((sink.sent, sink.tell()))
    assert [now == written for now, written in sent] == [False, False, True, False]
    worker._answer(Close(2))  # the answer to a request may take long
    assert sink.sent == sink.tell()
    monkeypatch.setattr(engine_worker, "QUICK", 0.0)
    worker._step(1)
    assert sink.sent == sink.tell()
