"""Where a command writes a model of its own: `--out FILE`, and `--force` to replace one."""

import argparse
import os
from pathlib import Path

from genui.commands.export import check_file
from genui.commands.parser import Parser
from genui.errors import MisuseError

SUFFIX = ".safetensors"


def add_out(parser: Parser) -> None:
    """`--out` and `--force`."""
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=f"where to write it: {SUFFIX}"
    )
    parser.add_argument("--force", action="store_true", help="replace what is there")


def check_out(args: argparse.Namespace) -> None:
    """Raises MisuseError or GenuiError where the file cannot be written, or is there."""
    check_file(args.out, "--out", (SUFFIX,), "a model")
    if os.path.lexists(args.out) and not args.force:
        raise MisuseError(f"--out {args.out}: is there already; --force replaces it")
