"""Processes that the app starts for one answer, such as a measurement."""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence


@contextlib.asynccontextmanager
async def running(command: Sequence[str], stderr: int = DEVNULL) -> AsyncIterator[Process]:
    """A process, whose output is read in the block; if it still runs after that, it is killed.

    Raises OSError if it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=stderr
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: Process) -> None:
    """Kill a process, if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
