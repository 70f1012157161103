"""What codecarbon says of the same seconds of one computing thread, part by part, and what it costs
to read genui's meter.

    python -m tests.bench energy --seconds 30

codecarbon runs in its two modes, offline and without writing a file. genui takes the watts that it
assumes of a core, so the processor parts can be compared. Without codecarbon only the cost of a
reading is measured.
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Figure, home, machine, report

from genui.cli.main import main as genui
from genui.engine.train.cost import EVERY
from genui.runs.energy import EnergyMeter

MODES = ("machine", "process")
JOULES_PER_KWH = 3.6e6
LIMIT = 0.5  # % of a core
READINGS = 200


def compute(seconds: float) -> float:
    """Busy one thread; returns the processor seconds that it got."""
    end, began = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < end:
        sum(number * number for number in range(10_000))
    return time.process_time() - began


def start_trackers() -> dict[str, Any]:
    """codecarbon's trackers by mode; none if it is not installed."""
    try:
        from codecarbon import OfflineEmissionsTracker  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    return {
        mode: OfflineEmissionsTracker(
            country_iso_code="DEU",
            tracking_mode=mode,
            measure_power_secs=5,
            save_to_file=False,
            allow_multiple_runs=True,
            log_level="critical",
        )
        for mode in MODES
    }


def watts_of_core(tracker: Any) -> float:
    """What codecarbon assumes of a core: its power of the processor by its number of cores."""
    import psutil

    cpu = next(part for part in tracker._hardware if type(part).__name__ == "CPU")
    return cpu._tdp / (psutil.cpu_count() or 1)


def compare(seconds: float, folder: Path) -> list[Figure]:
    """The processor part of both, and the parts of codecarbon alone, in joules."""
    trackers = start_trackers()
    if not trackers:
        print("codecarbon is not installed: it is left out")
        return []
    for tracker in trackers.values():
        tracker.start()
    watts = watts_of_core(trackers["process"])
    genui(["config", "set", "core_watts", str(watts)])
    meter = EnergyMeter(powercap=folder)  # the estimate, also where RAPL can be read
    used = compute(seconds)
    own = meter.take()
    parts: dict[str, tuple[float, float]] = {}
    for mode, tracker in trackers.items():
        tracker.stop()
        data = tracker.final_emissions_data
        parts[mode] = (data.cpu_energy * JOULES_PER_KWH, data.ram_energy * JOULES_PER_KWH)
    print(f"{seconds:g} s, of which the process got {used:.1f} s of a core; {watts:g} W a core")
    print(own.describe())
    figures = [
        Figure("processor", own.joules, "J", parts["process"][0], "codecarbon, process mode"),
        Figure("processor", own.joules, "J", parts["machine"][0], "codecarbon, machine mode"),
    ]
    for mode, (_, memory) in parts.items():
        figures.append(Figure(f"memory that codecarbon adds, {mode} mode", memory, "J"))
        name = f"power of memory that it assumes, {mode} mode"
        figures.append(Figure(name, memory / seconds, "W"))
    return figures


def time_of(call: Callable[[], object]) -> float:
    """Median processor seconds of a call."""
    times = []
    for _ in range(READINGS):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="energy beside codecarbon, and what reading costs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="computed (30)")
    args = parser.parse_args()
    before = machine()
    with home() as folder:
        figures = compare(args.seconds, folder)
        share = 100 * time_of(EnergyMeter().take) / EVERY
        figures.append(Figure("a reading every second, of a core", share, "%", limit=LIMIT))
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
