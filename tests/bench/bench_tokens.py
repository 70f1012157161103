"""Tokens a second, one at a time, beside transformers with a Llama of the same size.

    python -m tests.bench tokens [MODEL] --peers PYTHON [--threads 1] [--quick]

MODEL is a name of `genui models` or a GGUF file (shakespeare). genui writes in its worker, over the
pipe, with all that a step shows: odds, candidates, entropy, frames. `--peers` is an interpreter
with torch and transformers: `generate` samples with the cache, from a GGUF file or from random
weights with as many parameters, layers and heads. All take turns. The share of the memory's
speed is that of the bytes of all weights, once for each token, beside what this machine reads in
one pass over as many. On a busy machine `--cpu` counts the CPU seconds of each process in place of
the clock's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil
from harness import Figure, home, machine, report

from genui import protocol
from genui.protocol import (
    Advance,
    Close,
    Failed,
    Hello,
    Idle,
    Start,
    Started,
    TextFrame,
    TextSettings,
)  # fmt: skip

TRANSFORMERS = """
import json, resource, sys, time, torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
job = json.loads(sys.stdin.readline())
torch.set_num_threads(job["threads"])
if job["file"]:
    folder, name = job["file"].rsplit("/", 1)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
else:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**job["config"], bos_token_id=0, eos_token_id=None))
model.eval()
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime if job["cpu"] else time.perf_counter()
options = dict(do_sample=True, temperature=0.8, top_k=0, pad_token_id=0)
print(json.dumps(sum(p.numel() for p in model.parameters())), flush=True)
for line in sys.stdin:
    row, tokens = json.loads(line)
    ids = torch.tensor([row])
    with torch.inference_mode():
        begin = seconds()
        model.generate(ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens,
                       max_new_tokens=tokens, **options)
    print(json.dumps(tokens / (seconds() - begin)), flush=True)
"""


class Worker:
    """The app's worker."""

    def __init__(self, model: str, prompt: str, cpu: bool) -> None:
        command = [sys.executable, "-m", "genui.engine.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = protocol.replies()
        self.used = psutil.Process(self.process.pid).cpu_times if cpu else None
        self.model, self.prompt, self.number = model, prompt, 0
        self.send(Hello(version=protocol.VERSION))
        self.until(protocol.Ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def send(self, *requests: protocol.Request) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(map(protocol.encode, requests)))
        self.process.stdin.flush()

    def until(self, kind: type[Any]) -> Any:
        """The next reply of a kind; the others are read, as the app reads them."""
        assert self.process.stdout is not None
        while data := self.process.stdout.read1(65536):  # type: ignore[attr-defined]
            for reply in self.reader.feed(data):
                if isinstance(reply, Failed):
                    raise SystemExit(reply.message)
                if isinstance(reply, kind):
                    return reply
        raise SystemExit("the worker ended")

    def seconds(self) -> float:
        if self.used is None:
            return time.perf_counter()
        return self.used().user + self.used().system

    def write(self, tokens: int) -> tuple[float, Started]:
        """Tokens a second of a new text, from the request of its steps to its last frame."""
        self.number += 1
        settings = TextSettings(tokens=tokens)
        self.send(
            Start(
                trace=self.number, model=self.model, prompt=self.prompt, seed=self.number,
                settings=settings,
            )
        )  # fmt: skip
        started = self.until(Started)
        begin = self.seconds()
        self.send(Advance(trace=self.number, start=0, steps=tokens))
        steps = self.until(Idle).steps
        seconds = self.seconds() - begin
        self.send(Close(self.number))
        return steps / seconds, started


class Peer:
    """`transformers.generate` in a process of its own."""

    def __init__(self, python: str, job: dict[str, Any], row: list[int]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [python, "-c", TRANSFORMERS], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        self.row = row
        self.parameters = int(self.ask(job))

    def ask(self, message: object) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(message), file=self.process.stdin, flush=True)
        if not (line := self.process.stdout.readline()):
            raise SystemExit(self.process.communicate()[1][-2000:])
        return json.loads(line)

    def write(self, tokens: int) -> float:
        return self.ask([self.row, tokens])


class Own:
    """The model in this process: its decoder alone, and several texts."""

    def __init__(self, model: str, prompt: str, cpu: bool) -> None:
        import numpy as np
        import torch

        from genui.engine.load import find_and_load
        from genui.engine.sample.text import TextGenerator

        self.seconds = time.process_time if cpu else time.perf_counter
        generator = find_and_load(model)
        assert isinstance(generator, TextGenerator)
        self.generator, self.model, self.prompt, self.seed = generator, model, prompt, 0
        self.row = generator.start(
            Start(trace=1, model=model, prompt=prompt, seed=0, settings=TextSettings())
        ).token_ids.since(0).tolist()  # fmt: skip
        parameters: list[torch.Tensor] = list(generator.model.parameters())  # type: ignore[attr-defined]
        self.bytes = sum(p.nbytes for p in parameters)
        self.parameters = sum(p.numel() for p in parameters)
        self.numbers = np.ones(self.bytes // 4, np.float32)

    def read_gb(self) -> float:
        """GB/s of one pass over as many bytes as the weights have."""
        begin = self.seconds()
        for _ in range(3):
            self.numbers.dot(self.numbers)
        return 3 * self.bytes / 1e9 / (self.seconds() - begin)

    def decode(self, tokens: int) -> float:
        """Tokens a second of the decoder alone."""
        import torch

        decoder, model = self.generator._reader.decoder, self.generator.model
        assert decoder is not None
        with torch.inference_mode():
            state = model.new_state(1)
            model.prefill(torch.tensor([self.row]), state)
            begin = self.seconds()
            for _ in range(tokens):
                decoder(self.row[-1], state)
            return tokens / (self.seconds() - begin)

    def together(self, texts: int, tokens: int) -> float:
        """Tokens a second of new texts that advance together, with odds and frames, as of `-n`.
        A text that was read before is found again and not read together with others."""
        from genui.engine.load import Streams

        settings = TextSettings(tokens=tokens)
        starts = [
            Start(trace=seed, model=self.model, prompt=self.prompt, seed=seed, settings=settings)
            for seed in range(self.seed, self.seed + texts)
        ]
        self.seed += texts
        begin = self.seconds()
        frames = sum(isinstance(one, TextFrame) for each in Streams(starts) for one in each)
        return frames / (self.seconds() - begin)


def llama_config(own: Own) -> dict[str, Any]:
    """A Llama with as many parameters, layers and heads as our Transformer. The gated feed-forward
    has three matrices, ours two."""
    config = own.generator.model.config  # type: ignore[attr-defined]
    return {
        "vocab_size": config.vocab_size, "hidden_size": config.width,
        "num_hidden_layers": config.layers, "num_attention_heads": config.heads,
        "intermediate_size": round(config.width * 8 / 3),
        "max_position_embeddings": config.context, "tie_word_embeddings": False,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="tokens a second, one at a time")
    parser.add_argument("model", nargs="?", default="shakespeare", metavar="MODEL")
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--tokens", type=int, default=200, metavar="N")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--quick", action="store_true", help="3 times 60 tokens")
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds")
    parser.add_argument("--prompt", default="ROMEO:\n", metavar="TEXT")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    before = machine()
    tokens, repeats = (60, 3) if args.quick else (args.tokens, args.repeats)
    file = str(Path(args.model).resolve()) if Path(args.model).is_file() else ""
    model = file or args.model
    os.environ["GENUI_THREADS"] = str(args.threads)
    with home(), Worker(model, args.prompt, args.cpu) as worker:
        own = Own(model, args.prompt, args.cpu)
        ways: dict[str, Callable[[], float]] = {
            "in the worker, with odds and frames": lambda: worker.write(tokens)[0],
            "the decoder alone": lambda: own.decode(tokens),
            "16 texts together, with odds and frames": lambda: own.together(16, tokens),
        }
        if args.peers:
            config = {} if file else llama_config(own)
            job = {"threads": args.threads, "file": file, "config": config, "cpu": args.cpu}
            peer = Peer(args.peers, job, own.row)
            before["parameters"] = f"{own.parameters:,}, of the peer {peer.parameters:,}"
            ways["transformers.generate"] = lambda: peer.write(tokens)
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        reads = []
        for turn in range(repeats + 1):  # the first warms up
            for name, write in ways.items():
                value = write()
                if turn:
                    speeds[name].append(value)
            reads.append(own.read_gb())
        before["computed"] = worker.write(8)[1].precision
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    theirs = medians.get("transformers.generate")
    figures = []
    for name, values in speeds.items():
        span = f"{name} ({min(values):.4g} to {max(values):.4g})"
        other = None if name == "transformers.generate" else theirs
        figures.append(Figure(span, medians[name], "/s", other, "transformers.generate"))
    speed = statistics.median(reads)
    figures.append(Figure("the memory reads as many bytes at", speed, "GB/s"))
    for name in list(ways)[:2]:
        share = 100 * medians[name] * own.bytes / 1e9 / speed
        figures.append(Figure(f"share of it: {name}", share, "%"))
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
