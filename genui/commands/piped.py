"""`--out -`: the file on standard output, for what reads it at the other end of a pipe."""

import argparse
import os
import sys
from pathlib import Path

from genui.errors import GenuiError, MisuseError
from genui.kinds import Kind

DASH = Path("-")


def target(out: Path, kind: Kind) -> Path:
    """A name with the suffix of what is written: of `-` a WAV where there is a sound to hear, else
    what a model of that kind usually writes."""
    if out != DASH:
        return out
    return Path(f"-{'.wav' if '.wav' in kind.files else kind.files[0]}")


def check(args: argparse.Namespace, kind: Kind) -> None:
    """Raises MisuseError where standard output is a screen, or asked for twice."""
    if args.json or args.every_step:
        raise MisuseError("--out -: standard output is for the file; leave out --json")
    if sys.stdout.isatty():
        suffix = target(DASH, kind).suffix
        reader = "aplay" if suffix == ".wav" else f"cat > sample{suffix}"
        raise MisuseError(f"--out -: would fill the screen with bytes; pipe it, as in | {reader}")


def write(data: bytes) -> None:
    """All of it, at once. Raises GenuiError where what reads it has gone."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nothing is left for the interpreter to flush as it ends, which would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise GenuiError("--out -: what was to read it ended first; look at its message") from None
