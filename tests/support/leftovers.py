"""Processes that tests have left running."""

from contextlib import suppress
from pathlib import Path

import psutil

SHARED = "SHARED_BY_TESTS"
"""Environment variable of processes that tests of several files use in turn."""


def end(folder: Path) -> list[str]:
    """End the children of this process, and whatever else has its GENUI_HOME in the folder, unless
    they end by themselves within a minute. Returns the command of each that did not."""
    _, left = psutil.wait_procs(_find(folder), timeout=60)
    commands = []
    for process in left:
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                commands.append(f"{process.pid} {' '.join(process.cmdline())}")
                process.kill()
    return commands


def _find(folder: Path) -> list[psutil.Process]:
    own = psutil.Process()
    found = set(own.children(recursive=True))
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            env = process.environ()
            if env.get("GENUI_HOME", "").startswith(f"{folder}/"):
                found.add(process)
            if SHARED in env:
                found.discard(process)
    return [process for process in found if process != own]
