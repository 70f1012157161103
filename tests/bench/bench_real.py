"""What detectors call generated, and how samples differ from their data: `genui probes --probe`.

    python -m tests.bench real [--texts 100] [--images 300] [--shares 300] [--model GGUF]

Prints each table with its notes and the seconds that it took. Images need Fashion-MNIST. With
`--model` an open model of text judges too, and is judged.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from harness import machine

from genui.cli.measure import PROBES
from genui.render.shares import draw_shares

WIDTH = 110


def show(probe: str, models: Sequence[str], count: int) -> None:
    begin = time.perf_counter()

    def tell(what: str, done: int, of: int) -> None:
        print(f"\r{what}: {done}/{of}   ", end="", file=sys.stderr, flush=True)

    table = PROBES[probe].measure(models, count, tell)
    print(f"\n{table.title}")
    for line in (*draw_shares(table, WIDTH), *table.notes):
        print(line)
    print(f"n {count}, {time.perf_counter() - begin:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="detectors and shares, as tables")
    for name, usual in (("texts", 100), ("images", 300), ("shares", 300)):
        parser.add_argument(
            f"--{name}", type=int, default=usual, help=f"samples ({usual}); 0: none"
        )
    parser.add_argument("--model", help="an open model of text, as a name or a file")
    args = parser.parse_args()
    plays = ["shakespeare"]
    runs = [("real", plays, args.texts), ("real", ["fashion", "fashion-gan"], args.images)]
    if args.model:
        runs += [
            ("real", [args.model, *plays], args.texts),
            ("real", [*plays, args.model], args.texts),
        ]
    named = ("shakespeare", "fashion", "fashion-gan", "icons")
    runs += [("shares", [model], args.shares) for model in named]
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for probe, models, count in runs:
        if count:
            show(probe, models, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
