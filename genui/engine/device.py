"""The device, its precision and the number of threads.

The precision is chosen by a measurement: bf16 pays off if the processor multiplies it fast (AMX,
AVX512-BF16, GPUs) and the network is wide enough.
"""

import contextlib
import ctypes
import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import psutil
import torch
from numpy.typing import NDArray

from genui.base.config import load_config
from genui.base.errors import MisuseError, TooLargeError
from genui.engine.loading import SILENT, LoadProgress
from genui.runs.energy import EnergyMeter
from genui.runs.system import processor_name as processor_name
from genui.runs.system import usable_cores

BF16_WORTH = 1.3  # the least speedup of matrix products that pays for the casts to bf16
BF16_WIDTH = 192  # narrower networks spend their time elsewhere
_MEASURED_WIDTH = 256


@dataclass(frozen=True)
class Machine:
    """The device, precision and threads of a run or a trace. It is recorded, since it determines
    the bits."""

    device: str  # "cpu", "cuda" or "mps"
    precision: str  # "fp32" or "bf16"
    threads: int

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def to_dict(self) -> dict[str, str | int]:
        return asdict(self)


def default_threads(processes: int = 1) -> int:
    """The setting `threads`, or if it is 0, one less than the cores that this process may use.
    Several processes that train together have equal shares of the cores.

    Using all cores was slower in most cases. `python tests/bench/bench_threads.py --quick` on 2
    cores of an AMD EPYC, torch 2.13, compared them with one thread: with passive threads 0.62, 0.76
    and 0.85 times the steps of a text recipe and 1.20, 0.93 and 0.96 times those of icons (alone,
    with a busy process, with a generation). Spinning threads nearly stop beside another process
    (0.00 to 0.05 times). Keys were answered within 46 ms (95th percentile) in all cases.
    """
    if threads := load_config().threads:
        return threads
    cores = usable_cores()
    return max(1, cores // processes if processes > 1 else cores - 1)


def choose_device(requested: str = "auto") -> str:
    """`requested`, or the best available. Raises MisuseError if it is not available."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    names = [name for name, is_available in available.items() if is_available]
    if requested == "auto":
        return names[0]
    if requested not in names:
        raise MisuseError(f"device={requested} is not available here; found: {', '.join(names)}")
    return requested


@cache
def multiplies_bf16(device: str) -> bool:
    """Whether a device, such as "cuda", has instructions for bf16. Without them torch's products
    on a processor take some fifty times as long as in fp32, which shows in a few of them."""
    return device != "cpu" or _bf16_speedup(64) > 0.2


def _bf16_speedup(width: int) -> float:
    """The factor by which bf16 multiplies [2048, width] by [width, 4·width] faster than fp32.

    The fastest of 8 products each, in turns, by the processor time of this thread; of two if bf16
    is far too slow: without instructions for it a product takes fifty times as long.
    """
    shapes = ((2048, width), (width, 4 * width))
    dtypes = (torch.float32, torch.bfloat16)
    pairs = {dtype: [torch.randn(shape, dtype=dtype) for shape in shapes] for dtype in dtypes}
    best = dict.fromkeys(dtypes, float("inf"))
    for turn in range(8):
        for dtype, (a, b) in pairs.items():
            begin = time.thread_time()
            torch.mm(a, b)
            best[dtype] = min(best[dtype], time.thread_time() - begin)
        if turn and best[torch.bfloat16] > 4 * best[torch.float32]:
            break
    return best[torch.float32] / best[torch.bfloat16]


def choose_precision(requested: str, device: str, width: int) -> str:
    """`requested`, or for "auto" the faster precision for a network of this width."""
    if requested != "auto":
        return requested
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device == "mps" or width < BF16_WIDTH:
        return "fp32"
    return "bf16" if _bf16_speedup(width) >= BF16_WORTH else "fp32"


def choose(device: str, precision: str, threads: int, width: int) -> Machine:
    """Choose all three (0 threads: the default), and set this process's number of threads."""
    threads = threads or default_threads()
    torch.set_num_threads(threads)
    device = choose_device(device)
    return Machine(device, choose_precision(precision, device, width), threads)


def precision_for_generation(recorded: str = "") -> str:
    """fp32, or the setting `precision`: bf16 is seldom faster for single samples. The precision
    that a saved file's recipe has `recorded` (`load.precision_of`) comes first; "" if it is no
    replay."""
    precision = recorded.partition(" ")[0]
    return precision if precision in ("fp32", "bf16") else load_config().precision


@cache
def threads_for_generation() -> int:
    """`default_threads`, chosen once in a process: models that are loaded and traces that are open
    go on with it, and recipes record it."""
    return default_threads()


def for_generation(recorded: str = "") -> Machine:
    """The machine for single samples; `recorded` as in `precision_for_generation`."""
    return choose("auto", precision_for_generation(recorded), threads_for_generation(), 0)


@cache
def precision_for_batches() -> str:
    """The faster precision, measured once in a process."""
    return choose("auto", "auto", threads_for_generation(), _MEASURED_WIDTH).precision


def for_batches() -> Machine:
    """The machine for large batches of samples: in the faster precision."""
    return choose("auto", precision_for_batches(), threads_for_generation(), _MEASURED_WIDTH)


def start_meter() -> EnergyMeter:
    """A meter of the energy of this process, with the GPU that it generates on."""
    return EnergyMeter((0,) if choose_device() == "cuda" else ())


SPARE = 256 << 20
"""Bytes that a generation needs besides the weights."""


def check_memory(parameters: int, dtype: torch.dtype, progress: LoadProgress = SILENT) -> None:
    """Announce the memory that weights are about to take.

    Raises TooLargeError, with the remedies, if they do not fit into the free memory.
    """
    needed = parameters * dtype.itemsize + SPARE
    progress.announce(needed - SPARE)
    free = psutil.virtual_memory().available
    if needed > free:  # memory that this process no longer uses may suffice
        return_memory()
        free = psutil.virtual_memory().available
    if needed <= free:
        return
    remedies = ["close other programs", "use a smaller model"]
    if dtype == torch.float32 and parameters * 2 + SPARE <= free:
        remedies.insert(0, "genui config set precision bf16 halves it")
    name = str(dtype).removeprefix("torch.")
    raise TooLargeError(
        f"its {parameters:,} parameters take {needed / 1e9:.1f} GB in {name}, and "
        f"{free / 1e9:.1f} GB are free; {', or '.join(remedies)}"
    )


def return_memory() -> None:
    """Give freed memory back to the system; glibc keeps it for this process. Does nothing
    elsewhere."""
    with contextlib.suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(array).to(device)


def autocast(machine: Machine) -> torch.autocast:
    """The autocast context for the machine's precision."""
    return torch.autocast(machine.device, dtype=torch.bfloat16, enabled=machine.precision == "bf16")


def device_name(device: str) -> str:
    """The name of the GPU or the processor."""
    return torch.cuda.get_device_name(0) if device == "cuda" else processor_name()


MEASURE_S = 0.1
"""Seconds for which the peak is measured."""

_SIDE = {"cpu": 768, "mps": 4096, "cuda": 8192}  # of the square matrices


def measure_peak(machine: Machine) -> float:
    """The FLOPs per second of the fastest of several large products on the machine. The global
    random generator is not used."""
    side = _SIDE[machine.device]
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(side, side, generator=generator).to(machine.device, machine.dtype)
        for _ in range(2)
    )
    # While one thread waits for a busy processor, its processor time stands still.
    is_one_thread = (machine.device, machine.threads) == ("cpu", 1)
    clock = time.thread_time if is_one_thread else time.perf_counter
    synchronize = getattr(torch, machine.device).synchronize
    best, end = float("inf"), time.perf_counter() + MEASURE_S
    with torch.no_grad():
        torch.mm(a, b)  # allocates memory and chooses a kernel
        while best == float("inf") or time.perf_counter() < end:
            synchronize()
            begin = clock()
            torch.mm(a, b)
            synchronize()
            best = min(best, clock() - begin)
    return 2 * side**3 / max(best, 1e-9)


def describe() -> dict[str, str]:
    """Facts for `genui doctor`, measured now."""
    device = choose_device()
    threads = default_threads()
    torch.set_num_threads(threads)
    speedup = _bf16_speedup(_MEASURED_WIDTH)
    return {
        "torch": torch.__version__,
        "device": device,
        "processor": device_name(device),
        "precision": choose_precision("auto", device, _MEASURED_WIDTH),
        "bf16 speed": f"{speedup:.1f}× fp32 on {_MEASURED_WIDTH}-wide matrices",
        "threads": str(threads),
        "matrix products": _peaks(device, threads),
    }


def _peaks(device: str, threads: int) -> str:
    """`97 GFLOP/s in fp32, 210 in bf16`, measured now."""
    fp32, bf16 = (measure_peak(Machine(device, name, threads)) for name in ("fp32", "bf16"))
    return f"{fp32 / 1e9:,.0f} GFLOP/s in fp32, {bf16 / 1e9:,.0f} in bf16"
