"""Processes that the app starts for one answer, such as a measurement."""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

LONGEST_LINE = 16 << 20
"""Bytes of a line that a process may print: one with the images of a batch."""


@contextlib.asynccontextmanager
async def running(command: Sequence[str], stderr: int = DEVNULL) -> AsyncIterator[Process]:
    """A process, whose output is read in the block; if it still runs after that, it is killed.

    Raises OSError if it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=stderr, limit=LONGEST_LINE
    )
    try:
        yield process
    finally:
        kill(process)


async def read_lines(command: Sequence[str], take: Callable[[dict[str, Any]], object]) -> str:
    """Run a command of genui, and `take` each line of JSON that it prints. Returns the line that
    it failed with, or ""."""
    try:
        async with running(command, stderr=PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            async for line in process.stdout:
                with contextlib.suppress(msgspec.DecodeError):
                    take(msgspec.json.decode(line, type=dict[str, Any]))
            errors = (await process.stderr.read()).decode(errors="replace").splitlines()
            code = await process.wait()
    except OSError as error:
        return f"cannot be started: {error}"
    if code and errors:
        return errors[-1].removeprefix("genui: ")
    return f"it ended with exit code {code}" if code not in (0, 1) else ""


def kill(process: Process) -> None:
    """Kill a process, if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
