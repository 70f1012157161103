"""How soon each shipped model is ready to generate, once a worker is started.

    python tests/bench/bench_ready.py

For each model a worker of its own, as the app starts it: from exec until it answers, from then
until a trace of the model has begun, and until its first step has come. Beside them a process
that imports torch and nothing else, in turns: what no worker can be quicker than.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, Any

from harness import arguments, home, import_torch, machine, report, seconds

from genui import protocol
from genui.protocol.kinds import KINDS, find_kind
from genui.runs.models import ModelInfo, list_models

WORKER = (sys.executable, "-m", "genui.engine.worker")


def ready(model: ModelInfo) -> dict[str, float]:
    """Seconds from exec to the worker's answer, and from there to a trace and its first step."""
    begin = time.perf_counter()
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            replies = _replies(worker.stdout)
            _send(worker.stdin, protocol.Hello())
            _until(replies, protocol.Ready)
            up = time.perf_counter()
            settings = find_kind(model.family, model.medium, model.ref).defaults
            start = protocol.Start(trace=1, model=model.ref, prompt="", seed=1, settings=settings)
            _send(worker.stdin, start)
            _until(replies, protocol.Started)
            begun = time.perf_counter()
            _send(worker.stdin, protocol.Advance(trace=1, start=0, steps=1))
            _until(replies, protocol.Idle)
            stepped = time.perf_counter()
        finally:
            worker.kill()
    return {"up": up - begin, "begun": begun - up, "stepped": stepped - up}


def _send(pipe: IO[bytes], request: protocol.Request) -> None:
    pipe.write(protocol.encode(request))
    pipe.flush()


def _replies(pipe: IO[bytes]) -> Iterator[protocol.Reply]:
    reader = protocol.replies()
    while data := pipe.read1(1 << 16):  # type: ignore[attr-defined]
        yield from reader.feed(data)


def _until(replies: Iterator[protocol.Reply], kind: type[Any]) -> None:
    for reply in replies:
        if isinstance(reply, protocol.Failed):
            raise AssertionError(reply.message)
        if isinstance(reply, kind):
            return
    raise AssertionError(f"the worker ended before {kind.__name__}")


def main() -> None:
    args = arguments("how soon each shipped model is ready to generate", repeats=3)
    before = machine()
    with home():
        models = [
            model
            for model in list_models()
            if model.source == "shipped" and KINDS[model.family, model.medium].generates
        ]
        found: dict[str, list[dict[str, float]]] = {}
        bare = []
        for _ in range(args.repeats):
            bare.append(import_torch())
            for model in models:
                found.setdefault(model.ref, []).append(ready(model))
    ups = [each["up"] for runs in found.values() for each in runs]
    figures = [seconds("worker up", ups, bare, "import torch")]
    for ref, runs in found.items():
        figures.append(
            seconds(f"{ref} begun after that", [each["begun"] for each in runs], limit=1.0)
        )
        figures.append(seconds(f"{ref} first step after that", [each["stepped"] for each in runs]))
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
