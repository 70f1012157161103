"""Scripts that log through `import genui`, and what they left in their runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from genui.runs.api import Run
from genui.runs.layout import RunDir

ROOT = Path(__file__).parents[2]


def start_script(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", f"import genui, os, signal, sys, time\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def script(code: str) -> tuple[str, str]:
    """(stdout, stderr) of a script that runs to its end, whatever that is."""
    with start_script(code) as process:
        return process.communicate(timeout=300)


def folder(run: Run) -> RunDir:
    return RunDir(Path(run.dir))


def records(run: Run | RunDir) -> list[dict[str, Any]]:
    """Every line of metrics.jsonl, each without its time."""
    path = (folder(run) if isinstance(run, Run) else run).metrics
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert all(abs(record.pop("time") - time.time()) < 60 for record in found)
    return found


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()
