"""The GPUs of this machine and what they do: NVIDIA's by NVML, AMD's by amdsmi.

NVML (https://docs.nvidia.com/deploy/nvml-api) is the extra `gpu`; amdsmi
(https://rocm.docs.amd.com/projects/amdsmi) comes with ROCm. Of Apple's GPUs no library tells
their use without root. A GPU, or a measurement, that refuses hides no other.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from genui.base.errors import install

_GB = 1e9
_MIB = 1 << 20


@dataclass(frozen=True)
class GpuProcess:
    """A process that has memory on a GPU."""

    pid: int
    memory_gb: float  # NaN if the driver does not tell it


@dataclass(frozen=True)
class GpuState:
    """What one GPU does now. A measurement that it lacks is None, a text ""."""

    index: int
    name: str = ""
    uuid: str = ""
    busy: float | None = None  # per cent of the last sampling period
    memory_gb: float | None = None
    memory_total_gb: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    celsius: float | None = None
    clock_mhz: float | None = None  # of the multiprocessors
    clock_max_mhz: float | None = None
    throttled: str = ""  # why its clock is held down
    pcie: str = ""  # generation and width of the link: "gen 4 ×16"
    ecc_errors: float | None = None  # not corrected, since the driver was loaded
    counters: Mapping[str, float] = field(default_factory=dict)  # bytes so far, by name
    processes: tuple[GpuProcess, ...] = ()


class Library(Protocol):
    """A library that tells of GPUs. Making one raises an Exception if it is not there."""

    def read(self) -> list[GpuState]:
        """The state of every GPU. Never raises."""
        ...


def find_gpus() -> list[Library]:
    """The libraries that find a GPU here."""
    libraries: list[Library] = []
    for library in (Nvml, AmdSmi):
        with suppress(Exception):  # not installed, no driver, no GPU
            libraries.append(library())
    return libraries


def read_gpus(libraries: Sequence[Library]) -> list[GpuState]:
    """The state of every GPU of this machine."""
    return [state for library in libraries for state in library.read()]


def missing_library() -> str:
    """What to install so that the GPUs of this machine can be measured; "" if nothing is missing.

    It may be called if `find_gpus` found none.
    """
    if Path("/proc/driver/nvidia/version").exists():
        try:
            import pynvml  # noqa: F401
        except ImportError:
            return f"NVIDIA GPUs are here but not measured: {install('gpu')}"
    if Path("/dev/kfd").exists():
        return "AMD GPUs are here but not measured: install amdsmi, which comes with ROCm"
    return ""


def visible(states: Sequence[GpuState], environ: Mapping[str, str] = os.environ) -> list[GpuState]:
    """The GPUs that a process may use, by CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES.

    As in CUDA, a list ends at the first entry that names no GPU. Entries are numbers or the
    beginning of a UUID.
    """
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    value = next((environ[name] for name in names if name in environ), None)
    if value is None:
        return list(states)
    chosen: list[GpuState] = []
    for entry in (part.strip() for part in value.split(",")):
        # A part of a GPU: MIG-<uuid>, or MIG-GPU-<uuid of the GPU>/<instances>.
        entry = entry.removeprefix("MIG-").partition("/")[0]
        state = next(
            (
                one
                for one in states
                if (one.index == int(entry) if entry.isdecimal() else _begins(one.uuid, entry))
            ),
            None,
        )
        if state is None:
            break
        if state not in chosen:
            chosen.append(state)
    return chosen


def _begins(uuid: str, entry: str) -> bool:
    return bool(entry) and uuid.startswith(entry)


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
        "ECC errors": state.ecc_errors,
    }
    known = {name: value for name, value in values.items() if value is not None}
    return {f"gpu{state.index} {name}": value for name, value in known.items()}


# --- NVIDIA -----------------------------------------------------------------------------------

_THROTTLES = {  # nvmlClocksEventReason…; idle and chosen clocks hold nothing down
    4: "power cap",
    8: "hardware slowdown",
    32: "heat",
    64: "heat",
    128: "power brake",
}
_COUNTERS = {  # NVML_FI_…: name of the counter, bytes a unit
    "NVML_FI_DEV_PCIE_COUNT_TX_BYTES": ("PCIe out", 1),
    "NVML_FI_DEV_PCIE_COUNT_RX_BYTES": ("PCIe in", 1),
    "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX": ("NVLink out", 1024),
    "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX": ("NVLink in", 1024),
}


class Nvml:
    """NVIDIA GPUs. Raises if there is none."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._fixed: dict[int, tuple[Any, dict[str, Any]]] = {}  # handle and what never changes
        for index in range(pynvml.nvmlDeviceGetCount()):
            with suppress(Exception):  # one that has fallen off the bus
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                self._fixed[index] = handle, self._read_fixed(handle)
        if not self._fixed:
            raise LookupError("no NVIDIA GPU")

    def read(self) -> list[GpuState]:
        return [
            GpuState(index=index, **fixed, **self._read_one(handle))
            for index, (handle, fixed) in self._fixed.items()
        ]

    def _read_fixed(self, gpu: Any) -> dict[str, Any]:
        nvml = self._nvml
        return _measure(
            {
                "name": lambda: _text(nvml.nvmlDeviceGetName(gpu)),
                "uuid": lambda: _text(nvml.nvmlDeviceGetUUID(gpu)),
                "power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
                "clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
            }
        )

    def _read_one(self, gpu: Any) -> dict[str, Any]:
        nvml = self._nvml
        return _measure(
            {
                "busy": lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
                "memory_gb": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GB,
                "memory_total_gb": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total / _GB,
                "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
                "celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
                "clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
                "throttled": lambda: _throttles(
                    nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
                ),
                "pcie": lambda: (
                    f"gen {nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu)} "
                    f"×{nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu)}"
                ),
                "ecc_errors": lambda: nvml.nvmlDeviceGetTotalEccErrors(
                    gpu, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
                ),
                "counters": lambda: self._read_counters(gpu),
                "processes": lambda: tuple(
                    GpuProcess(one.pid, _memory(one.usedGpuMemory))
                    for one in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
                ),
            }
        )

    def _read_counters(self, gpu: Any) -> dict[str, float]:
        nvml = self._nvml
        fields = {getattr(nvml, name): about for name, about in _COUNTERS.items()}
        values: dict[str, float] = {}
        for value in nvml.nvmlDeviceGetFieldValues(gpu, list(fields)):
            if value.nvmlReturn == nvml.NVML_SUCCESS:
                name, unit = fields[value.fieldId]
                values[name] = float(value.value.ullVal) * unit
        return values


def _throttles(bits: int) -> str:
    """Why the clock is held down, by NVML's bits."""
    return ", ".join(dict.fromkeys(text for bit, text in _THROTTLES.items() if bits & bit))


def _memory(octets: int | None) -> float:
    return float("nan") if octets is None else octets / _GB


# --- AMD --------------------------------------------------------------------------------------


class AmdSmi:
    """AMD GPUs. Raises if there is none."""

    def __init__(self) -> None:
        import amdsmi  # pyright: ignore[reportMissingImports]

        self._smi: Any = amdsmi
        amdsmi.amdsmi_init()
        self._handles = list(amdsmi.amdsmi_get_processor_handles())
        if not self._handles:
            raise LookupError("no AMD GPU")

    def read(self) -> list[GpuState]:
        return [
            GpuState(index=index, **self._read_one(handle))
            for index, handle in enumerate(self._handles)
        ]

    def _read_one(self, gpu: Any) -> dict[str, Any]:
        smi = self._smi
        vram = lambda name: smi.amdsmi_get_gpu_vram_usage(gpu)[name] * _MIB / _GB  # noqa: E731
        return _measure(
            {
                "name": lambda: _text(smi.amdsmi_get_gpu_asic_info(gpu)["market_name"]),
                "uuid": lambda: _text(smi.amdsmi_get_gpu_device_uuid(gpu)),
                "busy": lambda: _number(smi.amdsmi_get_gpu_activity(gpu)["gfx_activity"]),
                "memory_gb": lambda: vram("vram_used"),
                "memory_total_gb": lambda: vram("vram_total"),
                "power_w": lambda: self._power(gpu),
                "celsius": lambda: smi.amdsmi_get_temp_metric(
                    gpu, smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
                ),
                "clock_mhz": lambda: _number(
                    smi.amdsmi_get_clock_info(gpu, smi.AmdSmiClkType.GFX)["clk"]
                ),
                "processes": lambda: tuple(
                    GpuProcess(one["pid"], one["memory_usage"]["vram_mem"] / _GB)
                    for one in smi.amdsmi_get_gpu_process_list(gpu)
                ),
            }
        )

    def _power(self, gpu: Any) -> float:
        """Older cards know only the average."""
        power = self._smi.amdsmi_get_power_info(gpu)
        values = (power.get("current_socket_power"), power.get("average_socket_power"))
        return next(float(value) for value in values if isinstance(value, int | float))


def _number(value: Any) -> float:
    """A number, which amdsmi replaces by "N/A". Raises ValueError."""
    return float(value)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _measure(measures: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each measure returns, without those that raise."""
    values: dict[str, Any] = {}
    for name, measure in measures.items():
        with suppress(Exception):
            values[name] = measure()
    return values
