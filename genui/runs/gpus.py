"""The NVIDIA GPUs of this machine and what they do, by NVML (https://docs.nvidia.com/deploy/nvml-api).

Its package is the extra `gpu`. A GPU, or a measurement, that refuses hides no other.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genui.base.errors import install

_GB = 1e9
_THROTTLES = {  # nvmlClocksEventReason…; idle and chosen clocks hold nothing down
    4: "power cap",
    8: "hardware slowdown",
    32: "heat",
    64: "heat",
    128: "power brake",
}


@dataclass(frozen=True)
class GpuProcess:
    """A process that has memory on a GPU."""

    pid: int
    memory_gb: float  # NaN if the driver does not report it


@dataclass(frozen=True)
class GpuState:
    """The present load of one GPU. A measurement that it lacks is None, a text ""."""

    index: int
    name: str = ""
    uuid: str = ""
    busy: float | None = None  # per cent of the last sampling period
    memory_gb: float | None = None
    memory_total_gb: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    energy_j: float | None = None  # since its driver was loaded
    celsius: float | None = None
    clock_mhz: float | None = None  # of the multiprocessors
    throttled: str = ""  # why its clock is held down
    processes: tuple[GpuProcess, ...] = ()


class Gpus:
    """The GPUs that are here as it is made: none without the package, a driver or a GPU."""

    def __init__(self) -> None:
        self._handles: dict[int, Any] = {}
        with suppress(Exception):
            import pynvml

            self._nvml: Any = pynvml
            pynvml.nvmlInit()
            for index in range(pynvml.nvmlDeviceGetCount()):
                with suppress(Exception):  # one that has fallen off the bus
                    self._handles[index] = pynvml.nvmlDeviceGetHandleByIndex(index)

    def __bool__(self) -> bool:
        return bool(self._handles)

    def read(self, *names: str) -> list[GpuState]:
        """The state of every GPU, or only these fields of it. Never raises."""
        gpus = self._handles.items()
        return [GpuState(index, **self._read_one(gpu, names)) for index, gpu in gpus]

    def _read_one(self, gpu: Any, names: Sequence[str]) -> dict[str, Any]:
        nvml = self._nvml
        measures: dict[str, Callable[[], Any]] = {
            "name": lambda: _text(nvml.nvmlDeviceGetName(gpu)),
            "uuid": lambda: _text(nvml.nvmlDeviceGetUUID(gpu)),
            "busy": lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
            "memory_gb": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GB,
            "memory_total_gb": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total / _GB,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
            "energy_j": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000,
            "power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
            "celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
            "clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "throttled": lambda: _throttles(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)),
            "processes": lambda: tuple(
                GpuProcess(one.pid, _memory(one.usedGpuMemory))
                for one in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
            ),
        }
        values: dict[str, Any] = {}
        for name in names or measures:
            with suppress(Exception):
                values[name] = measures[name]()
        return values


def missing_library() -> str:
    """The package to install so that the GPUs here can be measured; "" if nothing is missing."""
    if Path("/proc/driver/nvidia/version").exists():
        try:
            import pynvml  # noqa: F401
        except ImportError:
            return f"NVIDIA GPUs are here but not measured: {install('gpu')}"
    return ""


def visible(states: Sequence[GpuState], environ: Mapping[str, str] = os.environ) -> list[GpuState]:
    """The GPUs that a process may use, by the numbers or the beginnings of a UUID in
    CUDA_VISIBLE_DEVICES. As in CUDA, the list ends at the first entry that names no GPU."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return list(states)
    chosen: list[GpuState] = []
    for entry in (part.strip() for part in value.split(",")):
        # A part of a GPU is MIG-GPU-<uuid of the GPU>/<instances>.
        entry = entry.removeprefix("MIG-").partition("/")[0]
        state = next((one for one in states if _is_named(one, entry)), None)
        if state is None:
            break
        chosen.append(state)
    return chosen


def _is_named(state: GpuState, entry: str) -> bool:
    if entry.isdecimal():
        return state.index == int(entry)
    return bool(entry) and state.uuid.startswith(entry)


def metrics_of(state: GpuState) -> dict[str, float]:
    """The measurements as system.jsonl names them: "gpu0 %", "gpu0 memory GB" …"""
    share = None
    if state.memory_gb is not None and state.memory_total_gb:
        share = 100 * state.memory_gb / state.memory_total_gb
    values = {
        "%": state.busy,
        "memory GB": state.memory_gb,
        "memory %": share,
        "power W": state.power_w,
        "°C": state.celsius,
        "clock MHz": state.clock_mhz,
        "throttled": None if state.clock_mhz is None else float(bool(state.throttled)),
    }
    known = {name: value for name, value in values.items() if value is not None}
    return {f"gpu{state.index} {name}": value for name, value in known.items()}


def _throttles(bits: int) -> str:
    """Why the clock is held down, by NVML's bits."""
    return ", ".join(dict.fromkeys(text for bit, text in _THROTTLES.items() if bits & bit))


def _memory(octets: int | None) -> float:
    return float("nan") if octets is None else octets / _GB


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
