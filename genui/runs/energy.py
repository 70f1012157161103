"""Meters of energy: counters of processors and GPUs, or else processor time at stated watts.

RAPL (https://docs.kernel.org/power/powercap/powercap.html) counts what a processor package takes,
NVML what a GPU takes, for all that runs there. A process has a share of a package: its processor
time over that of all processes. A GPU counts whole.
"""

import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from genui.base.config import load_config
from genui.base.energy import Energy, EnergyPart
from genui.runs.gpus import Gpus, visible
from genui.runs.system import ProcessTree, machine_seconds

POWERCAP = Path("/sys/class/powercap")


class RaplCounter:
    """The counter of a folder of sysfs. Raises OSError or ValueError if it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._counter = folder / "energy_uj"
        self.name = (folder / "name").read_text().strip()
        self._range = int((folder / "max_energy_range_uj").read_text())
        self._last = int(self._counter.read_text())

    def take(self) -> float:
        """Joules since the last call, in which it wraps around once at most."""
        before, self._last = self._last, int(self._counter.read_text())
        return (self._last - before) % self._range / 1e6


def find_packages(folder: Path) -> tuple[list[RaplCounter], str]:
    """The counters of all processor packages; or none, and why if they are there."""
    counters: list[RaplCounter] = []
    for path in sorted(folder.glob("intel-rapl:*")):  # AMD's have this name too
        if path.name.count(":") > 1:  # a part of a package
            continue
        try:
            counter = RaplCounter(path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no number"
            return [], f", as {path.name} of RAPL cannot be read: {why}"
        if counter.name.startswith("package"):  # not "psys", which includes them
            counters.append(counter)
    return counters, ""


class EnergyMeter:
    """Measures this process and its children."""

    def __init__(
        self, gpus: Collection[int] = (), host: str = "", powercap: Path = POWERCAP
    ) -> None:
        """`gpus` are the places of those that it uses among the visible ones; `host` is named if
        there are several."""
        self._guard = threading.Lock()
        self._tree = ProcessTree()
        self._packages, self._unread = find_packages(powercap)
        self._watts = load_config().core_watts
        self._nvml, self._gpus = Gpus(), gpus
        self._gpu_joules: dict[int, float] = {}
        self._where = f"{host} " if host else ""
        self._last, self._own, self._busy = 0.0, 0.0, 0.0
        self.take()

    def take(self) -> Energy:
        """The energy since the last call, by any thread, or since the meter was made."""
        with self._guard:
            now, own = time.monotonic(), self._tree.processor_seconds()
            seconds, used = now - self._last, max(0.0, own - self._own)
            self._last, self._own = now, own
            return Energy((*self._processor_parts(used), *self._gpu_parts(seconds)))

    def _processor_parts(self, used: float) -> Iterator[EnergyPart]:
        """The packages, or the estimate, for `used` seconds of processor time."""
        if not self._packages:
            yield EnergyPart(
                device=f"{self._where}the processor",
                method=f"its time × {self._watts:g} W a core{self._unread}",
                joules=used * self._watts,
                is_estimate=True,
            )
            return
        before, self._busy = self._busy, machine_seconds()
        share = min(1.0, used / max(self._busy - before, used, 1e-9))
        for package in self._packages:
            whole, name = package.take(), f"{self._where}{package.name}"
            yield EnergyPart(device=name, method="RAPL", joules=share * whole, whole=whole)

    def _gpu_parts(self, seconds: float) -> Iterator[EnergyPart]:
        """The GPUs of this process, each with all that it took."""
        states = visible(self._nvml.read("uuid", "energy_j", "power_w")) if self._gpus else []
        for gpu in (state for place, state in enumerate(states) if place in self._gpus):
            if gpu.energy_j is not None:
                before = self._gpu_joules.get(gpu.index, gpu.energy_j)
                self._gpu_joules[gpu.index] = gpu.energy_j
                whole, method = max(0.0, gpu.energy_j - before), "NVML's counter"
            else:
                whole, method = (gpu.power_w or 0.0) * seconds, "NVML's power × time"
            name = f"{self._where}GPU {gpu.index}"
            yield EnergyPart(device=name, method=method, joules=whole, whole=whole)
