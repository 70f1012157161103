"""An open model (SmolLM2-135M-Instruct, Q4_1) beside transformers and llama.cpp.

    python -m tests.bench open FILE.gguf --peers PYTHON [--threads 2] [--quick]

`--peers` is an interpreter with torch, transformers, gguf and llama-cpp-python; each is measured in
turns with genui. Compared are the logits of the same tokens, the tokens of texts, what is written
without chance, and the speed of one text with all that a step of genui shows.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, home, machine, report

PROMPTS = (
    "The capital of France is", "Once upon a time", "def fibonacci(n):", "Dear Sir or Madam,",
    "Water boils at", "In 1969,", "The quick brown fox", "Q: What is 2 + 2?\nA:", "List of fruits:",
    "The theory of evolution", "To be, or not to be", "import numpy as np", "Bonjour, je m'appelle",
    "The largest planet", "Roses are red,", "SELECT * FROM", "<html>", "My favourite book is",
    "Step 1: Preheat the oven", "Photosynthesis is",
)  # fmt: skip

TEXTS = (
    *PROMPTS, "", " ", "  two  spaces ", "\n\n\ttabs\t\n", "don't we'll I'VE",
    "1234567890 3.14159 2024-05-17", "naïve café Zürich", "東京 北京 서울", "🙂👩‍👩‍👧 ☕️",
    "<|im_end|> typed by a user", "a" * 60,
    "?!…—„“",
    "http://example.org/a?b=c&d=e#f", "x=y;\r\nz", "\u200b\u00a0", "CamelCaseAndsnake_case",
)  # fmt: skip

TRANSFORMERS = """
import json, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
import numpy as np
job = json.load(open(sys.argv[1]))
torch.set_num_threads(job["threads"])
folder, name = job["file"].rsplit("/", 1)
reply = {}
for dtype in job["dtypes"]:
    begin = time.perf_counter()
    options = dict(gguf_file=name, dtype=getattr(torch, dtype))
    model = AutoModelForCausalLM.from_pretrained(folder, **options)
    model.eval()
    reply["load " + dtype] = time.perf_counter() - begin
    with torch.inference_mode():
        if dtype == "float32":
            logits = [model(torch.tensor([ids])).logits[0].numpy() for ids in job["rows"]]
            np.savez(job["out"], *logits)
        ids = torch.tensor([job["prompt"]])
        options = dict(do_sample=False, min_new_tokens=job["tokens"], max_new_tokens=job["tokens"])
        model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
        begin = time.perf_counter()
        model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        reply[dtype] = job["tokens"] / (time.perf_counter() - begin)
print(json.dumps(reply))
"""

LLAMA_CPP = """
import json, sys, time, llama_cpp
job = json.load(open(sys.argv[1]))
model = llama_cpp.Llama(job["file"], n_ctx=2048, n_threads=job["threads"],
                        n_threads_batch=job["threads"], verbose=False)
ids = [model.tokenize(text.encode(), add_bos=False, special=False) for text in job["texts"]]
def write(count):
    for number, _ in enumerate(model.generate(job["prompt"], temp=0.0), 1):
        if number == count:
            return
write(8)
begin = time.perf_counter()
write(job["tokens"])
print(json.dumps({"speed": job["tokens"] / (time.perf_counter() - begin), "ids": ids}))
model.close()
"""


def ask(python: str, script: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a script of a peer prints as JSON for a job."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        done = subprocess.run(
            [python, "-c", script, file.name], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"{python}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def write(file: str, prompt: str, tokens: int) -> tuple[list[int], float]:
    """The tokens that genui writes without chance, and tokens a second with all frames."""
    from genui.engine.load import stream
    from genui.protocol import Start, TextFrame, TextSettings

    settings = TextSettings(temperature=0.0, tokens=tokens)
    frames = stream(Start(trace=1, model=file, prompt=prompt, seed=0, settings=settings))
    next(frames)  # Started: the prompt was read
    begin = time.perf_counter()
    written = [frame.token for frame in frames if isinstance(frame, TextFrame)]
    return written, len(written) / (time.perf_counter() - begin)


def compare_greedy(rows: Sequence[list[int]], prompts: Sequence[int], logits: Any) -> list[float]:
    """For each token that genui wrote, how much less likely it is by transformers' logits than its
    likeliest, in nats."""
    gaps: list[float] = []
    for row, prompt, scores in zip(rows, prompts, logits, strict=True):
        for at in range(prompt, len(row)):
            gaps.append(float(scores[at - 1].max() - scores[at - 1, row[at]]))
    return gaps


def lens_seconds(file: str) -> list[float]:
    """Seconds to look at all layers of a token, of 10 tokens."""
    from genui.engine.load import open_trace
    from genui.engine.sample.lens import read_layers
    from genui.protocol import Start, TextSettings

    settings = TextSettings(temperature=0.0, tokens=24)
    trace = open_trace(Start(trace=1, model=file, prompt=PROMPTS[0], seed=0, settings=settings))
    for _ in trace.advance(0, 24):
        continue
    seconds = []
    for step in range(1, 12):
        begin = time.perf_counter()
        read_layers(trace, step)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description="an open model beside its peers")
    parser.add_argument("file", type=Path, metavar="FILE.gguf")
    parser.add_argument("--peers", required=True, metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--quick", action="store_true", help="4 prompts and 30 tokens")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    before, figures = machine(), []
    file, tokens = str(args.file.resolve()), 30 if args.quick else 200
    prompts = PROMPTS[:4] if args.quick else PROMPTS
    os.environ["GENUI_THREADS"] = str(args.threads)
    with home() as folder:
        import torch

        from genui.engine.load import find_and_load
        from genui.engine.sample.text import TextGenerator

        begin = time.perf_counter()
        generator = find_and_load(file)
        loading = time.perf_counter() - begin
        assert isinstance(generator, TextGenerator)
        encode = generator.tokenizer.encode
        lengths = [len(encode(prompt)) for prompt in prompts]
        rows = [encode(prompt) + write(file, prompt, tokens)[0] for prompt in prompts]
        job = {
            "file": file,
            "threads": args.threads,
            "rows": rows,
            "prompt": encode(PROMPTS[1]),
            "tokens": 100,
            "texts": TEXTS,
            "dtypes": ["float32", "bfloat16"],
            "out": str(folder / "logits.npz"),
        }
        speeds: dict[str, list[float]] = {}
        theirs: dict[str, Any] = {}
        llama: dict[str, Any] = {}
        for _ in range(1 if args.quick else 3):
            speeds.setdefault("genui", []).append(write(file, PROMPTS[1], 100)[1])
            theirs = ask(args.peers, TRANSFORMERS, job)
            llama = ask(args.peers, LLAMA_CPP, job)
            for name in ("float32", "bfloat16"):
                speeds.setdefault(name, []).append(theirs[name])
            speeds.setdefault("llama.cpp", []).append(llama["speed"])
        logits = list(np.load(job["out"]).values())
        with torch.inference_mode():
            ours = [generator.model(torch.tensor([row]))[0].numpy() for row in rows]
        difference = max(float(np.abs(a - b).max()) for a, b in zip(ours, logits, strict=True))
        figures.append(Figure("logits, largest difference", difference, "", limit=1e-4))
        gaps = compare_greedy(rows, lengths, logits)
        other = sum(gap > 0 for gap in gaps)
        figures.append(Figure(f"greedy tokens that differ, of {len(gaps):,}", other, "", limit=0))
        same = sum(encode(t) == ids for t, ids in zip(TEXTS, llama["ids"], strict=True))
        figures.append(Figure(f"texts with llama.cpp's tokens, of {len(TEXTS)}", same, ""))
        speed = {name: statistics.median(values) for name, values in speeds.items()}
        for name, label in (
            ("float32", "transformers fp32"),
            ("bfloat16", "transformers bf16"),
            ("llama.cpp", "llama.cpp Q4_1"),
        ):
            figures.append(Figure("tokens/s with frames", speed["genui"], "", speed[name], label))
        figures.append(Figure("loading", loading, "s", theirs["load float32"], "transformers"))
        figures.append(Figure("layers of a token", statistics.median(lens_seconds(file)), "s",
                              limit=0.1))  # fmt: skip
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
