"""Runs and checkpoints made by hand, and a process that holds a run like a trainer does."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genui.recipes import find_recipe
from genui.runs.layout import RunDir, create_run

_HOLDER = """
import sys
from pathlib import Path
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
with RunWriter(RunDir(Path(sys.argv[1]))) as writer:
    writer.update(state="running")
    writer.log(1, loss=2.5)
    print("holding", flush=True)
    sys.stdin.read()
"""


def a_run(name: str = "", **settings: str) -> RunDir:
    return create_run(find_recipe("shakespeare"), settings, name)


@contextmanager
def held(run: RunDir) -> Iterator[subprocess.Popen[str]]:
    """A process that has the run open in a RunWriter, until the block ends or kills it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        try:
            yield process
        finally:
            process.kill()


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A file with that header, as JSON or as raw bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def checkpoint_bytes(step: int = 100, **changes: Any) -> bytes:
    """A whole checkpoint with one 2×3 tensor; `changes` replace fields of its metadata."""
    recipe: Mapping[str, Any] = {
        "name": "shakespeare",
        "family": "transformer",
        "medium": "text",
        "dataset": "shakespeare",
    }
    meta = {"format": 1, "recipe": recipe, "step": step, "dataset": "shakespeare", **changes}
    tensor = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    return safetensors({"__metadata__": {"genui": json.dumps(meta)}, "w": tensor}, bytes(24))


def add_checkpoint(run: RunDir, step: int, data: bytes | None = None) -> Path:
    """Puts a checkpoint of that step into the run, and its training state."""
    path = run.checkpoint(step)
    path.write_bytes(checkpoint_bytes(step) if data is None else data)
    run.checkpoint_state(step).write_bytes(b"")
    return path
