"""What it costs to keep the exit status of a run, and to say why it has ended.

python -m tests.bench ending
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from genui.runs import why
from genui.runs.layout import RunDir
from genui.runs.processes import keep_exit

LOGS = Path(__file__).parents[1] / "runs" / "printed"


def processor_ms(work: Callable[[], object], times: int = 100) -> float:
    """Milliseconds of processor time of one call, with those of the processes that it starts."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    begin = used()
    for _ in range(times):
        work()
    return 1000 * (used() - begin) / times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        alone = processor_ms(lambda: subprocess.run(["true"], check=True))
        kept = processor_ms(lambda: subprocess.run(keep_exit(run, ["true"]), check=True))
        python = processor_ms(
            lambda: subprocess.run([sys.executable, "-S", "-c", ""], check=True), 20
        )
    print(f"a process alone                {alone:6.2f} ms of processor time")
    print(f"with the shell that waits      {kept:6.2f} ms ({kept - alone:+.2f})")
    print(f"a bare interpreter of Python   {python:6.2f} ms ({python - alone:+.2f})")
    logs = [path for path in LOGS.glob("*.txt") if path.stat().st_size]
    each = processor_ms(lambda: [why.find_ending_of(path) for path in logs], 3) / len(logs)
    print(f"the ending of a log            {each:6.2f} ms, {len(logs)} logs")


if __name__ == "__main__":
    main()
