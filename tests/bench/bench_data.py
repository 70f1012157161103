"""A text larger than memory: how fast it is tokenised, a kill on the way, and the memory of its
training beside that of a training on the text in the package.

`python -m tests.bench data --gb 10` needs about twice that on the disk of the temporary folder.
"""

import argparse
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from harness import Figure, home, machine, report

from genui.engine.data.text import load_text
from genui.recipes import find_recipe
from genui.runs import launch
from genui.runs.layout import RunDir, read_status

PASSAGES = 4096
STEPS = 40


def make(path: Path, size: int) -> None:
    """Write a text of `size` bytes: passages of plays and code in random order, and a new word in
    each."""
    rng = random.Random(0)
    source = "\n".join([*load_text("shakespeare").train, *load_text("python").train])
    passages = [source[at : at + 2000] for at in range(0, len(source) - 2000, 2000)]
    with path.open("w", encoding="utf-8", newline="") as file:
        while file.tell() < size:
            chosen = rng.choices(passages, k=PASSAGES)
            file.write("\n".join(f"{text}\n{rng.getrandbits(40):x}" for text in chosen))


class Part(NamedTuple):
    """What a trainer took until it trained, and at most."""

    wall: float  # s, from the first report of its progress
    cpu: float  # s, with that of the start before
    memory: int  # bytes, at most
    doing: str  # the last report


def share_tokenised(doing: str) -> float:
    """The share in `tokenising large.txt, 18 MB of 2.0 GB, …`; 0 of anything else."""
    sizes = re.findall(r"([\d.,]+) ([kMG]?)B\b", doing)
    if not doing.startswith("tokenising") or len(sizes) < 2:
        return 0.0
    factors = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}
    done, total = (float(number.replace(",", "")) * factors[unit] for number, unit in sizes[:2])
    return done / total


def follow(run: RunDir, kill_at: float = 1.0) -> Part:
    """Follow the trainer of a run to its end, or kill it at that share of the tokens."""
    while (pid := read_status(run).pid) == os.getpid():  # which launched it
        time.sleep(0.02)
    process = psutil.Process(pid)
    begin = wall = cpu = 0.0
    memory, doing = 0, ""
    while True:
        try:
            status = read_status(run)
            memory = max(memory, process.memory_info().rss)
            seconds = process.cpu_times()
        except psutil.Error:
            return Part(wall, cpu, memory, doing)
        if status.doing:
            begin, doing = begin or time.perf_counter(), status.doing
        if status.state == "starting":
            cpu = seconds.user + seconds.system
            wall = time.perf_counter() - begin if begin else 0.0
        if share_tokenised(status.doing) > kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return Part(wall, cpu, memory, doing)
        if status.state in ("finished", "failed", "stopped"):
            return Part(wall, cpu, memory, status.error or doing)
        time.sleep(0.02)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=1.0, metavar="N", help="of the text (1)")
    parser.add_argument("--tokenizer", default="chars", help="chars, bytes or bpe (chars)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    before = machine()
    settings = {
        "steps": str(STEPS),
        "tokenizer": args.tokenizer,
        "layers": "1",
        "width": "64",
        "heads": "2",
        "context": "64",
        "threads": "1",
        **dict.fromkeys(("eval_every", "sample_every", "checkpoint_every"), str(STEPS)),
    }
    recipe = find_recipe("shakespeare")
    with home() as folder:
        text = folder / "large.txt"
        make(text, int(args.gb * 1e9))
        megabytes = text.stat().st_size / 1e6
        say(f"made {megabytes:,.0f} MB")
        small = follow(launch.launch(recipe, settings, "small"))
        say(f"trained on plays: {small}")
        run = launch.launch(recipe, settings | {"data": str(text)}, "large")
        killed = follow(run, kill_at=0.5)
        say(f"killed: {killed}")
        launch.resume(run)
        resumed = follow(run)
        say(f"resumed and trained: {resumed}")
        again = launch.launch(recipe, settings | {"data": str(text)}, "again")
        cached = follow(again)
        wall, cpu = killed.wall + resumed.wall, killed.cpu + resumed.cpu - 2 * small.cpu
        figures = [
            Figure("tokenising, killed once and resumed", megabytes / wall, "MB/s"),
            Figure("tokenising", megabytes / cpu, "MB a CPU second"),
            Figure("memory of a training on plays", small.memory / 1e6, "MB"),
            Figure(
                "memory of tokenising and training, over that",
                (max(killed.memory, resumed.memory) - small.memory) / 1e6,
                "MB",
                limit=500,
            ),
            Figure(
                "memory of a training on what is tokenised, over that",
                (cached.memory - small.memory) / 1e6,
                "MB",
                limit=500,
            ),
            Figure("CPU until the first step, tokenised, over plays", cached.cpu - small.cpu, "s"),
        ]
        report(before, figures, args.json)
        if read_status(run).state != "finished":
            raise SystemExit(f"the resumed run did not finish: {read_status(run).error}")
        os.sync()


if __name__ == "__main__":
    main()
