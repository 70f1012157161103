"""The load of the machine, and of the process that trains, in system.jsonl.

Every two seconds a record is appended. psutil (https://psutil.readthedocs.io) measures the process,
the memory and the disks, `genui.runs.gpus` the GPUs. psutil is imported by the first sample, so a
very short run does not import it.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from genui.base.errors import GenuiError
from genui.base.files import append_line
from genui.runs.gpus import Gpus, metrics_of, missing_library, visible
from genui.runs.layout import RunDir

EVERY = 2.0
"""Seconds between two records."""

TRAINER_NICE = 10
"""The amount by which the priority of a trainer is lowered: the app and its worker come first."""

STEPS_PER_SECOND = 10
"""The step of a record is its unix time in tenths of a second."""

_GB = 1e9
_MB = 1e6


class SystemLog:
    """Appends records to system.jsonl, from one thread. Never raises: what cannot be measured or
    written is left out."""

    def __init__(
        self, run: RunDir, say: Callable[[str], None] = lambda line: None, pid: int | None = 0
    ) -> None:
        """`say` is called with what to install if there are GPUs that cannot be measured. The load
        is measured for this process; with `pid` for that process and its children; with None for no
        process."""
        self._run, self._print_line, self._pid = run, say, pid
        self._sampler: SystemSampler | None = None
        self._due = 0.0  # on the monotonic clock

    def beat(self) -> None:
        """Writes a record if one is due; the first call only starts the measurement."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY
        if self._sampler is None:
            self._sampler = SystemSampler(self._run.path, self._pid)
            if line := "" if self._sampler.gpus else missing_library():
                with suppress(Exception):
                    self._print_line(line)
        elif values := self._sampler.sample():
            moment = time.time()
            step = int(moment * STEPS_PER_SECOND)
            with suppress(GenuiError):
                append_line(self._run.system, {"step": step, "time": round(moment, 3), **values})


class SystemSampler:
    """Measures a process and the machine it runs on. Rates are averages since the last sample,
    or since the sampler was made. Never raises."""

    def __init__(self, folder: Path, pid: int | None = 0) -> None:
        """`folder` is on the disk whose free space is measured. The process is this one, with `pid`
        that one and its children, with None it is none."""
        self._folder = folder
        self._parts: list[Callable[[float], dict[str, float]]] = [self._free]
        trees = [] if pid is None else [lambda: ProcessTree(pid)]
        for part in (*trees, _Machine):
            with suppress(Exception):  # the process has ended, or there is no /proc
                self._parts.append(part().sample)
        self.gpus = Gpus()
        self._last = time.monotonic()

    def sample(self) -> dict[str, float]:
        """The measurements by name and unit, such as "cpu cores", "memory GB", "gpu0 %"."""
        now = time.monotonic()
        seconds, self._last = max(now - self._last, 1e-3), now
        values: dict[str, float] = {}
        for part in self._parts:
            with suppress(Exception):
                values |= part(seconds)
        for state in visible(self.gpus.read()):  # a script may set CUDA_VISIBLE_DEVICES late
            values |= metrics_of(state)
        return {name: round(value, 4) for name, value in values.items()}

    def _free(self, seconds: float) -> dict[str, float]:
        return {"disk free GB": shutil.disk_usage(self._folder).free / _GB}


class ProcessTree:
    """A process, this one by default, and the processor time of its children.

    For another process the memory of its children counts too. Raises psutil.Error if it has ended.
    """

    def __init__(self, pid: int = 0) -> None:
        import psutil

        self._psutil = psutil
        self._own = pid in (0, os.getpid())
        self._process = psutil.Process(pid or None)
        self._has_children_files = os.path.exists("/proc/thread-self/children")
        self._busy = self.processor_seconds()

    def sample(self, seconds: float) -> dict[str, float]:
        before, self._busy = self._busy, self.processor_seconds()
        octets = self._process.memory_info().rss
        if not self._own:
            for child in self._descendants():
                with suppress(self._psutil.Error):
                    octets += self._psutil.Process(child).memory_info().rss
        return {
            # Negative if a child ended that nobody waited for.
            "cpu cores": max(0.0, self._busy - before) / seconds,
            "memory GB": octets / _GB,
        }

    def processor_seconds(self) -> float:
        """Processor time so far: of the process, of ended children and of living ones."""
        times = self._process.cpu_times()
        # The system counts another process's time in hundredths of a second.
        own = time.process_time() if self._own else times.user + times.system
        total = own + sum(times[2:4])
        for child in self._descendants():
            with suppress(self._psutil.Error):  # it has ended since
                total += sum(self._psutil.Process(child).cpu_times()[:4])
        return total

    def _descendants(self) -> list[int]:
        """Their process ids, on Linux by proc_pid_children(5): psutil asks every process of the
        machine for its parent, 30 µs each."""
        if not self._has_children_files:  # macOS, and kernels built without it
            return [child.pid for child in self._process.children(recursive=True)]
        pids = [self._process.pid]
        for pid in pids:  # grows as it goes
            with suppress(OSError):  # it has ended since
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                        pids += map(int, file.read().split())
        return pids[1:]


class _Machine:
    """All processors, all memory, all disks."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._cores = psutil.cpu_count() or 1
        psutil.cpu_percent()  # the first call only begins to measure
        self._disk = self._bytes()

    def sample(self, seconds: float) -> dict[str, float]:
        memory = self._psutil.virtual_memory()
        values = {
            "machine cpu cores": self._psutil.cpu_percent() / 100 * self._cores,
            "machine memory GB": (memory.total - memory.available) / _GB,
        }
        before, self._disk = self._disk, self._bytes()
        if before and self._disk:
            for name, old, new in zip(("read", "write"), before, self._disk, strict=True):
                values[f"disk {name} MB/s"] = max(0, new - old) / _MB / seconds
        return values

    def _bytes(self) -> tuple[int, int] | None:
        """Bytes read and written since the machine started; None if it has no disk."""
        counters = self._psutil.disk_io_counters()
        return (counters.read_bytes, counters.write_bytes) if counters else None


def machine_seconds() -> float:
    """Processor time of all that ran on this machine since it started."""
    import psutil

    times = psutil.cpu_times()
    return sum(times[:3]) + sum(times[5:7])  # user, nice, system, interrupts


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The processor's name, if the system reports one."""
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# --- The share of a core that a trainer gets ----------------------------------------------------


def give_way(niceness: int, pid: int = 0) -> None:
    """Lower the priority of this process, or of another one of the user's, by `niceness` (0 to 19),
    if the system allows it.

    Linux first divides the processor between sessions. A process with its own session, such as the
    trainer, must lower the priority of the session's group too; the process's alone has no effect
    (sched(7), "The autogroup feature").
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + niceness)
    with suppress(OSError):
        if os.getsid(pid) == (pid or os.getpid()):
            Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(niceness))


def own_share() -> float:
    """The share of a core, up to 1, that this process got since it began."""
    import psutil

    used = max(1e-3, time.process_time())
    return used / max(used, time.time() - psutil.Process().create_time())


_COMPUTE = """
import sys, time
sys.stdin.read()
begin, used = time.perf_counter(), time.process_time()
while time.process_time() - used < 0.1 and time.perf_counter() - begin < 3: pass
print((time.process_time() - used) / (time.perf_counter() - begin))
"""


def measure_share() -> float:
    """Measure the share of a core, up to 1, that a trainer gets beside the other processes.

    A process computes with the session and the priority of a trainer, for a tenth of a second or on
    a busy machine for three. Other processes would not show it: beside 16 busy processes on two
    cores, one in the session of the shell got 0.10 of a core and one like a trainer 0.014. Returns
    1 if it cannot be measured.
    """
    command = (sys.executable, "-ISc", _COMPUTE)
    with suppress(OSError, ValueError):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            give_way(TRAINER_NICE, process.pid)
            share = float(process.communicate()[0])
        return min(1.0, max(share, 1e-4))
    return 1.0
