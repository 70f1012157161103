"""Diffusion against GAN on the same data: `genui probes` in one call.

    python tests/bench/bench_compare.py [--models fashion fashion-gan] [-n 2000]

Every figure is measured in the features of the shipped `fashion-labels`, on this machine; the
first row is that of as many real training images. Prints the table in Markdown.
"""

import argparse
import sys
import time
from dataclasses import asdict

from harness import machine

from genui.engine.metrics.table import rows
from genui.render.table import HEADS, format_row


def main() -> int:
    parser = argparse.ArgumentParser(description="models of the same data, as a table")
    parser.add_argument("--models", nargs="+", default=["fashion", "fashion-gan"])
    parser.add_argument("-n", dest="count", type=int, default=2000, help="samples of each")
    args = parser.parse_args()
    begin = time.perf_counter()

    def tell(model: str, done: int, of: int) -> None:
        print(f"\r{model}: {done}/{of}   ", end="", file=sys.stderr, flush=True)

    print("| " + " | ".join(HEADS) + " |")
    print("|---" * 2 + "|--:" * (len(HEADS) - 2) + "|")
    for row in rows(args.models, args.count, tell):
        print("| " + " | ".join(format_row(asdict(row))) + " |", flush=True)
        if row.fault:
            print(row.fault, file=sys.stderr)
    seconds = time.perf_counter() - begin
    print(f"\n{args.count:,} samples of each, {seconds:.0f} s")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
