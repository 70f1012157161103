"""Which processor to use, at what precision, with how many threads.

Precision is chosen by measuring, not from a table: bf16 pays where the processor
multiplies it fast (AMX, AVX512-BF16, GPUs) and the network is wide enough.
"""

import contextlib
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from genui.base.errors import MisuseError

BF16_WORTH = 1.3  # bf16 must be this much faster on matrices to pay for its casts
_COMPARED = (torch.float32, torch.bfloat16)
_COMPARED_WIDTH = 256
BF16_WIDTH = 192  # narrower networks spend their time elsewhere


@dataclass(frozen=True)
class Machine:
    """What a run or a trace was computed on; recorded, since other choices give other bits."""

    device: str  # "cpu", "cuda" or "mps"
    precision: str  # "fp32" or "bf16"
    threads: int

    def to_dict(self) -> dict[str, str | int]:
        return asdict(self)


def default_threads() -> int:
    """All cores that this process may run on but one.

    For a trainer it is the best over three situations: `python tests/bench/bench_threads.py
    --quick` on 2 cores of an AMD EPYC, torch 2.13, gave all cores with passive threads 0.62, 0.76
    and 0.85 times the steps of a text recipe, and 1.20, 0.93 and 0.96 times those of icons, alone,
    beside a busy process and beside a generation; spinning threads nearly stop beside either (0.00
    to 0.05 times). Keys were answered within 46 ms (95th percentile) in all of them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) - 1)


def choose_device(wanted: str = "auto") -> str:
    """`wanted`, or the best there is. Raises MisuseError where it is not there."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there.get(wanted, False):
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise MisuseError(f"device={wanted} is not available here; found: {found}")
    return wanted


def _gain(width: int) -> float:
    """How much faster bf16 multiplies [2048, width] by [width, 4·width] than fp32 does.

    Of the best of some products each, in turns: what else runs slows both down.
    """
    shapes = ((2048, width), (width, 4 * width))
    pairs = {dtype: [torch.randn(shape, dtype=dtype) for shape in shapes] for dtype in _COMPARED}
    best = dict.fromkeys(_COMPARED, float("inf"))
    for _ in range(8):
        for dtype, (a, b) in pairs.items():
            begin = time.perf_counter()
            torch.mm(a, b)
            best[dtype] = min(best[dtype], time.perf_counter() - begin)
    return best[torch.float32] / best[torch.bfloat16]


def choose_precision(wanted: str, device: str, width: int) -> str:
    """`wanted`, or what this processor is fast at for a network of that width."""
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device == "mps" or width < BF16_WIDTH:
        return "fp32"
    return "bf16" if _gain(width) >= BF16_WORTH else "fp32"


def choose(device: str, precision: str, threads: int, width: int) -> Machine:
    """Settle all three, and hold this process to that number of threads."""
    threads = threads or default_threads()
    torch.set_num_threads(threads)
    chosen = choose_device(device)
    return Machine(chosen, choose_precision(precision, chosen, width), threads)


def for_generation() -> Machine:
    """What generates: full precision, since one sample at a time gains nothing from less."""
    return choose("auto", "fp32", 0, 0)


def for_batches() -> Machine:
    """What draws by the thousand, many at once: the precision that this processor is fast at."""
    return choose("auto", "auto", 0, _COMPARED_WIDTH)


def autocast(machine: Machine) -> torch.autocast:
    """The context in which the network computes."""
    return torch.autocast(machine.device, dtype=torch.bfloat16, enabled=machine.precision == "bf16")


def processor_name() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe() -> dict[str, str]:
    """Facts for `genui doctor`, measured now."""
    device = choose_device()
    threads = default_threads()
    torch.set_num_threads(threads)
    gain = _gain(_COMPARED_WIDTH)
    name = torch.cuda.get_device_name(0) if device == "cuda" else processor_name()
    return {
        "torch": torch.__version__,
        "device": device,
        "processor": name,
        "precision": choose_precision("auto", device, _COMPARED_WIDTH),
        "bf16 speed": f"{gain:.1f}× fp32 on {_COMPARED_WIDTH}-wide matrices",
        "threads": str(threads),
    }


# --- Giving way: training yields the processor to whoever is looking at it --------------------


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
