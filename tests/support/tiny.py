"""Very small runs, made from the shell by the real trainer in a few seconds."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from terminal import GENUI, PATIENCE, ROOT, environment

from genui.runs.layout import RunDir
from genui.runs.listing import summarise

ICONS = (
    "layers=1 width=32 heads=1 batch=4 canvas_batch=0 caption_width=16 eval_batches=1 "
    "sample_captions=cat"
)
TEXT = (
    "layers=1 width=32 heads=2 context=32 batch=4 eval_batches=1 sample_tokens=8 sample_prompt=to"
)
ENDLESS = "steps=1000000 eval_every=1000000 sample_every=1000000 checkpoint_every=1000000"
LINE = "to be or not to be that is the question\n"


def genui(home: Path, *words: str) -> str:
    """One command from the shell, to its end; returns what it printed on stdout.

    Raises CalledProcessError where it fails.
    """
    done = subprocess.run(
        [*GENUI, *words],
        cwd=ROOT,
        env=environment({"GENUI_HOME": str(home)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    return done.stdout


def settings(text: str) -> list[str]:
    """`"width=32 heads=1"` as options of `genui train`."""
    return [word for pair in text.split() for word in ("--set", pair)]


def train_icons(home: Path) -> RunDir:
    """A finished run of the icons recipe: its images are noise in colour."""
    words = settings(f"{ICONS} steps=2 device=cpu threads=1")
    return _run(home, genui(home, "train", "icons", "--foreground", "--name", "tiny", *words))


def start_training(home: Path, changes: str = "") -> RunDir:
    """A detached training on a text of our own that goes on until it is ended."""
    plays = home / "plays.txt"
    plays.parent.mkdir(parents=True, exist_ok=True)
    plays.write_text(LINE * 120)
    words = settings(f"{TEXT} {ENDLESS} {changes}")
    command = ["train", "shakespeare", "--data", str(plays), "--name", "live", *words]
    return _run(home, genui(home, *command))


def end_training(run: RunDir) -> None:
    """Kill the run's trainer, if it is there."""
    summary = summarise(run)
    if summary.alive and summary.status.pid > 0:  # the id of one that ended may be another's now
        with suppress(ProcessLookupError):
            os.kill(summary.status.pid, signal.SIGKILL)


def _run(home: Path, printed: str) -> RunDir:
    return RunDir(home / "data" / "runs" / printed.strip())
