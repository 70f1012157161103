"""`genui top`: the machine now, its GPUs, and the runs that train on it."""

import argparse
import sys
import time

from genui.base.late import late_imports
from genui.cli import output
from genui.cli.parser import add_json

with late_imports():
    from genui.cli import machine

MIN_SECONDS, MAX_SECONDS = 0.2, 3600.0  # between two readings


def configure_top(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "It needs no run. NVIDIA GPUs are read by NVML (package nvidia-ml-py).\n\n"
        "examples:\n  genui top\n  genui top --once\n  genui top --json"
    )
    parser.add_argument("--once", action="store_true", help="print it once, as without a terminal")
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between two readings (2)"
    )
    add_json(parser, "one JSON object")


def run_top(args: argparse.Namespace) -> int:
    reader = machine.Reader()
    once = args.once or args.json or not sys.stdout.isatty()
    if once:  # rates need two readings
        reader.read()
        time.sleep(0.3)
    if args.json:
        output.print_json(reader.read())
    elif once:
        machine.print_once(reader)
    else:
        machine.follow(reader, min(max(MIN_SECONDS, args.every), MAX_SECONDS))
    return 0
