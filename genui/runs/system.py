"""What the machine does while a run trains: a record every other second in system.jsonl.

psutil (https://psutil.readthedocs.io) tells of the process, the memory and the disks, NVML
(https://docs.nvidia.com/deploy/nvml-api) of NVIDIA's GPUs where `pynvml` is installed. Both
are imported by the first sample, so a run that ends at once never pays for them.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.runs.disk import append_whole
from genui.runs.layout import RunDir

EVERY = 2.0
"""Seconds between two records."""

STEPS_PER_SECOND = 10
"""Records are told apart by step, which here is a tenth of a second of unix time."""

_GB = 1e9
_MB = 1e6


class SystemLog:
    """Appends records to system.jsonl. Nothing here raises: what cannot be measured or
    written is left out. Belongs to one thread."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._sampler: SystemSampler | None = None
        self._due = 0.0  # on the monotonic clock

    def beat(self) -> None:
        """Writes a record if one is due; the first call only begins to measure."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY
        if self._sampler is None:
            self._sampler = SystemSampler(self._run.path)
        elif values := self._sampler.sample():
            moment = time.time()
            step = int(moment * STEPS_PER_SECOND)
            self._append({"step": step, "time": round(moment, 3), **values})

    def _append(self, record: dict[str, float]) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with suppress(OSError):
            fd = os.open(self._run.system, flags, 0o644)
            try:
                append_whole(fd, msgspec.json.encode(record) + b"\n")
            finally:
                os.close(fd)


class SystemSampler:
    """Measures this process and the machine it runs on. Rates are of the time since the last
    sample, or since the sampler was made. Never raises."""

    def __init__(self, folder: Path) -> None:
        """`folder` is on the disk whose free space is told."""
        self._folder = folder
        self._parts: list[Callable[[float], dict[str, float]]] = [self._free]
        for part in (_Process, _Machine, _Gpus):
            with suppress(Exception):  # not installed, no GPU, no /proc
                self._parts.append(part().sample)
        self._last = time.monotonic()

    def sample(self) -> dict[str, float]:
        """What is measured by name and unit, such as "cpu cores", "memory GB", "gpu0 %"."""
        now = time.monotonic()
        seconds, self._last = max(now - self._last, 1e-3), now
        values: dict[str, float] = {}
        for part in self._parts:
            with suppress(Exception):
                values |= part(seconds)
        return {name: round(value, 4) for name, value in values.items()}

    def _free(self, seconds: float) -> dict[str, float]:
        return {"disk free GB": shutil.disk_usage(self._folder).free / _GB}


class _Process:
    """This process, and the processor time of its children."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()
        self._told = os.path.exists("/proc/thread-self/children")
        self._busy = self._seconds()

    def sample(self, seconds: float) -> dict[str, float]:
        before, self._busy = self._busy, self._seconds()
        return {
            # A child that ends unwaited takes its seconds with it.
            "cpu cores": max(0.0, self._busy - before) / seconds,
            "memory GB": self._process.memory_info().rss / _GB,
        }

    def _seconds(self) -> float:
        """Of processor time so far: our own, that of children waited for, and of living ones."""
        spent = os.times()
        total = spent.user + spent.system + spent.children_user + spent.children_system
        for child in self._descendants():
            with suppress(self._psutil.Error):  # it has ended since
                total += sum(self._psutil.Process(child).cpu_times()[:4])
        return total

    def _descendants(self) -> list[int]:
        """Process ids. psutil asks every process of the machine for its parent, 30 µs each;
        Linux tells the children of a thread (proc_pid_children(5))."""
        if not self._told:  # macOS, and kernels built without it
            return [child.pid for child in self._process.children(recursive=True)]
        found = [self._process.pid]
        for pid in found:  # grows as it goes
            with suppress(OSError):  # it has ended since
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                        found += map(int, file.read().split())
        return found[1:]


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
        """Read and written since the machine started; None where it has no disk of its own."""
        found = self._psutil.disk_io_counters()
        return (found.read_bytes, found.write_bytes) if found else None


class _Gpus:
    """Every NVIDIA GPU, by NVML. Making one raises where there is none."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        if not self._handles:
            raise LookupError("no NVIDIA GPU")

    def sample(self, seconds: float) -> dict[str, float]:
        values: dict[str, float] = {}
        for index, handle in enumerate(self._handles):
            for unit, measure in _GPU_MEASURES.items():
                # Not every GPU tells everything, nor has every version of NVML every function.
                with suppress(self._nvml.NVMLError, AttributeError):
                    values[f"gpu{index} {unit}"] = measure(self._nvml, handle)
        return values


_GPU_MEASURES: dict[str, Callable[[Any, Any], float]] = {
    "%": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "memory GB": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GB,
    "power W": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "°C": lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
}
"""Unit to what NVML says in it."""
