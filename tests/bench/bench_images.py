"""Training images: genui's network beside diffusers' UNet of equal parameters, on the same data.

    python tests/bench/bench_images.py --peers PYTHON             (speed, then loss: 11 minutes)
    python tests/bench/bench_images.py --peers PYTHON --only speed
    python tests/bench/bench_images.py --ablate muon_every=1 'batch=32 canvas_batch=96'

PYTHON is one with diffusers. Both are trained by genui's task for the icons recipe
(image_trainer.py): the same images, EDM loss, noise levels and held-out images. genui's network
has the recipe's own optimisers and bf16, in a trainer's environment. diffusers'
`UNet2DConditionModel` has three sizes of 32×32 pixels and AdamW, in bf16 and in fp32.

Speed: all are trained in turns of some CPU seconds each, first on one thread, then on two. The
images a second, of CPU for one thread and of the clock for two, are medians of the turns. On two
threads a loaded machine says nothing.

Loss: EDM's loss on the held-out images, summed over six noise levels, after `--seconds` of CPU on
one thread each, with a learning rate that falls to zero over them: the better of the averaged and
the raw weights. diffusers' network is trained in bf16, in which it sees more images in that time.
`--ablate` trains genui's recipe with each of these changes instead.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness import ROOT, Figure, home, machine, report

from genui.runs import launch

TRAINER = Path(__file__).with_name("image_trainer.py")
CHANNELS = (48, 96, 112)  # of its network: 4.69 million parameters
TURN = 4.0  # CPU seconds of a thread
PEER = {"muon_rate": "0", "canvas_batch": "0", "learning_rate": "1e-3"}


class Contestant(NamedTuple):
    """A network in a precision, trained by a Python with so many threads."""

    name: str
    python: str
    order: dict[str, Any]


def contestant(name: str, python: str, **order: Any) -> Contestant:
    usual = {"recipe": "icons", "changes": {}, "precision": "bf16", "threads": 1, "budget": 1e9}
    return Contestant(name, python, usual | order)


def contestants(peers: str, **order: Any) -> list[Contestant]:
    """genui first, then diffusers in both precisions."""
    theirs = {"network": "diffusers", "changes": PEER, "channels": CHANNELS, **order}
    return [
        contestant("genui", sys.executable, network="genui", **order),
        contestant("diffusers bf16", peers, **theirs),
        contestant("diffusers fp32", peers, **theirs | {"precision": "fp32"}),
    ]


class Trainer:
    """A training in a process of its own, stopped between two questions."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.parameters = self._answer()["parameters"]

    def ask(self, line: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise SystemExit("bench_images: a trainer ended; its error is above")
        return json.loads(line)


@contextmanager
def training(one: Contestant) -> Iterator[Trainer]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if one.order["network"] == "genui":
        environment = launch.ALLOCATOR | environment
    process = subprocess.Popen(
        [one.python, str(TRAINER), json.dumps(one.order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        yield Trainer(process)
    finally:
        process.kill()
        process.wait()


def speeds(peers: str, threads: int, turns: int) -> list[Figure]:
    """Images a second of each, on so many threads: of CPU for one thread, else of the clock."""
    seconds = "cpu" if threads == 1 else "wall"
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        trainers = {
            one.name: stack.enter_context(training(one))
            for one in contestants(peers, threads=threads)
        }
        for turn in range(turns + 1):
            for name, trainer in trainers.items():
                answer = trainer.ask(TURN * threads)
                if turn:  # the first warms up
                    found.setdefault(name, []).append(answer["images"] / answer[seconds])
        sizes = {name: trainer.parameters for name, trainer in trainers.items()}
    unit = "one thread" if threads == 1 else f"{threads} threads"
    ours, *theirs = (statistics.median(values) for values in found.values())
    return [
        Figure(f"{name}, {sizes[name]:,} parameters, {unit}", value, "im/s", peer, title)
        for name, value, peer, title in zip(
            found, (ours, *theirs), (max(theirs), None, None), ("diffusers", "", ""), strict=True
        )
    ]


def losses(all_of: Sequence[Contestant], seconds: float) -> list[Figure]:
    """What each reaches in so many CPU seconds, one after another."""
    figures: list[Figure] = []
    for one in all_of:
        with training(one) as trainer:
            images = trainer.ask(seconds)["images"]
            answer = trainer.ask("evaluate")
        print(f"{one.name}: {images:,} images, {answer}", file=sys.stderr, flush=True)
        loss = min(answer["val_loss"], answer["raw_val_loss"])
        figures.append(Figure(f"{one.name}, held-out loss in {answer['cpu']:.0f} s", loss, ""))
    return figures


def measure(args: argparse.Namespace) -> list[Figure]:
    if args.ablate:
        variants = [
            contestant(
                changes,
                sys.executable,
                network="genui",
                budget=args.seconds,
                changes=dict(change.split("=", 1) for change in changes.split()),
            )
            for changes in args.ablate
        ]
        return losses(variants, args.seconds)
    figures: list[Figure] = []
    if args.only != "loss":
        for threads in (1, 2):
            figures += speeds(args.peers, threads, args.turns)
    if args.only != "speed":
        figures += losses(contestants(args.peers, budget=args.seconds)[:2], args.seconds)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="image training beside diffusers")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with diffusers")
    parser.add_argument("--only", choices=("speed", "loss"), help="one of the two parts")
    parser.add_argument(
        "--ablate", nargs="+", metavar="CHANGES", help="'NAME=VALUE …' of the recipe"
    )
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="of each, for speed (5)")
    parser.add_argument(
        "--seconds", type=float, default=150, metavar="N", help="of each, for loss (150)"
    )
    args = parser.parse_args()
    if not (args.peers or args.ablate):
        parser.error("--peers PYTHON: name a Python with diffusers")
    before = machine()
    with home():
        figures = measure(args)
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
