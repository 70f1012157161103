"""Giving way: training yields the processor to whoever is looking at it."""

import contextlib
import os
from pathlib import Path


def give_way(niceness: int) -> None:
    """Lower this process's priority by `niceness` (0 to 19), as far as the system lets it.

    Linux groups processes by session and shares the processor between the groups first,
    so a process in a session of its own, as the trainer is, must lower its group too:
    `nice` alone would change nothing (sched(7), "The autogroup feature").
    """
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(OSError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(niceness))
