"""How loading a model is reported, and ended, by the loaders and by the worker."""

import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gguf_files import write_gguf
from hf_tokenizers import byte_level_tokenizer
from networks import random_network

from genui import protocol
from genui.engine import load, loaders
from genui.engine import worker as engine_worker
from genui.engine.device import Machine
from genui.engine.loading import LoadingStoppedError, LoadProgress
from genui.engine.sample import reader
from genui.engine.sample.inside import parts_of
from genui.hub import formats
from genui.hub.formats import ModelFormat, OpenModel
from genui.protocol import (
    Cancel,
    Close,
    Failed,
    Hello,
    Loading,
    Ready,
    Reply,
    Request,
    Start,
    Started,
    TextSettings,
)
from genui.runs import models

SECONDS = 60  # for which a thread may be silent

# --- A format whose models load until they are told to be done --------------------------------


class Slow:
    """What its loader does, seen from a test."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.loads = 0

    def describe(self, path: Path) -> OpenModel:
        return OpenModel(path=path, format="slow", name=path.stem, parameters=1000)

    def load(self, model: OpenModel, machine: Machine, progress: LoadProgress) -> Any:
        self.loads += 1
        progress.announce(1000)
        for done in range(10):
            progress.advance(done, 10)
        while not self.go.wait(0.001):
            progress.advance(10, 10)
        return Silent()


class Silent:
    """A generator of nothing."""

    def begin(self, request: Start) -> tuple[None, Started]:
        return None, Started(
            trace=request.trace,
            model=request.model,
            family="pretrained",
            medium="text",
            prompt="",
            total_steps=1,
        )

    def frame(self, state: None) -> None:
        return None


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow()
    row = ModelFormat(
        title="a slow one",
        recognise=lambda path: path.suffix == ".slow",
        describe=slow.describe,
    )
    for module in (formats, models):
        monkeypatch.setattr(module, "FORMATS", {"slow": row})
    monkeypatch.setattr(load, "find_loader", lambda format: loaders.Loader(slow.load))
    monkeypatch.setattr(models, "describe", slow.describe)
    # One instant: the second message about a loading would come too soon.
    clock = SimpleNamespace(monotonic=lambda: 1000.0, perf_counter=lambda: 0.0)
    monkeypatch.setattr(engine_worker, "time", clock)
    yield slow
    slow.go.set()
    load.forget_models()


def test_every_format_has_a_loader() -> None:
    for name in formats.FORMATS:
        assert callable(load.find_loader(name).load), name


class InThread:
    """A worker in a thread of this process, spoken to over pipes."""

    def __init__(self) -> None:
        (requests, self._requests), (self._replies, replies) = os.pipe(), os.pipe()
        self._source, self._sink = os.fdopen(requests, "rb"), os.fdopen(replies, "wb")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._reader = protocol.replies()
        self._waiting: list[Reply] = []

    def _run(self) -> None:
        engine_worker.Worker(self._source, self._sink).run()

    def send(self, *requests: Request) -> None:
        os.write(self._requests, b"".join(map(protocol.encode, requests)))

    def next(self) -> Reply:
        while not self._waiting:
            assert select.select([self._replies], [], [], SECONDS)[0], "the worker is silent"
            self._waiting += self._reader.feed(os.read(self._replies, 65536))
        return self._waiting.pop(0)

    def close(self) -> None:
        """End it, whatever it does."""
        os.close(self._requests)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self._source.close()
        self._sink.close()
        os.close(self._replies)


@pytest.fixture
def worker(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> Iterator[InThread]:
    monkeypatch.setattr(engine_worker.gc, "freeze", lambda: None)
    worker = InThread()
    yield worker
    worker.close()


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "big.slow"
    path.write_bytes(b"weights")
    return str(path)


def start(trace: int, model: str) -> Start:
    return Start(trace=trace, model=model, prompt="", seed=1, settings=TextSettings())


def test_the_worker_reports_and_then_starts(slow: Slow, worker: InThread, model: str) -> None:
    worker.send(start(1, model), Hello())
    assert worker.next() == Loading(trace=1, share=0.0, size=1000)
    slow.go.set()
    assert isinstance(worker.next(), Started)  # and not a message for each report
    assert isinstance(worker.next(), Ready)  # what came meanwhile is answered


def test_a_cancelled_loading_ends_and_others_that_wait_load_the_model(
    slow: Slow, worker: InThread, model: str
) -> None:
    worker.send(start(1, model), start(2, model), start(3, model))
    assert isinstance(worker.next(), Loading)
    worker.send(Close(2), Cancel(1))
    failed = worker.next()
    assert isinstance(failed, Failed)
    assert (failed.trace, "stopped" in failed.message) == (1, True)
    replies = [worker.next()]
    while not isinstance(replies[-1], Loading) or replies[-1].trace != 3:
        replies.append(worker.next())
    assert not any(isinstance(reply, Started) for reply in replies)
    slow.go.set()
    started = worker.next()
    assert isinstance(started, Started)
    assert started.trace == 3
    assert slow.loads == 3  # the second ended at its first report


# --- The loaders ------------------------------------------------------------------------------


def tiny_gguf(path: Path) -> str:
    write_gguf(path / "tiny.gguf")
    return "tiny.gguf"


def tiny_folder(path: Path, architecture: str) -> str:
    transformers = pytest.importorskip("transformers")
    tokenizer = byte_level_tokenizer()
    size = tokenizer.get_vocab_size()
    if architecture == "gpt2":
        config = transformers.GPT2Config(vocab_size=size, n_embd=16, n_layer=2, n_head=2)
        network = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=size,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
        network = transformers.LlamaForCausalLM(config)
    network.save_pretrained(path / architecture)
    tokenizer.save(str(path / architecture / "tokenizer.json"))
    return architecture


LOADERS: Mapping[str, Callable[[Path], str]] = {
    "gguf": tiny_gguf,
    "llama": lambda path: tiny_folder(path, "llama"),
    "transformers": lambda path: tiny_folder(path, "gpt2"),
}


def test_a_long_prompt_is_reported_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONG_PROMPT", 8)
    model, machine = random_network("transformer", 28), Machine("cpu", "fp32", 1)
    row, reports = np.arange(10)[None], []
    with reader.reporting_prompt(model, lambda *report: reports.append(report)):
        reader.read(model, machine, row, model.new_state(1))
        reader.read(model, machine, row[:, :7], model.new_state(1))
    reader.read(model, machine, row, model.new_state(1))
    layers = len(parts_of(model))
    assert reports == [(done / layers, 10) for done in range(1, layers + 1)]


@pytest.mark.parametrize("name", list(LOADERS))
def test_a_loader_reports_each_tensor_and_ends_when_it_is_told(name: str, tmp_path: Path) -> None:
    path = tmp_path / LOADERS[name](tmp_path)
    format = formats.format_of(path)
    shares: list[float] = []
    progress = LoadProgress(lambda share, size: shares.append(share))
    load.load_open(path, format, progress=progress)
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] < 1  # what is left is said before it is read
    assert len(set(shares)) > 9

    count = 0

    def stop(share: float, size: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise LoadingStoppedError

    with pytest.raises(LoadingStoppedError):
        load.load_open(path, format, progress=LoadProgress(stop))
    assert count == 3
    load.load_open(path, format)  # without anyone who follows
