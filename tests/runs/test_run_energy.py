"""What a computation costs: recorded counters of sysfs and NVML, and what a run keeps of it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from run_makers import a_run

from genui.base.energy import Energy, EnergyPart, format_joules
from genui.cli.main import main
from genui.runs import energy, facts
from genui.runs.energy import EnergyMeter
from genui.runs.layout import Status
from genui.runs.system import ProcessTree

RANGE = 262_143_328_850  # µJ, of a Xeon


class Clock:
    """The processor time of this process and of the whole machine, in seconds."""

    own = 10.0
    machine = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ProcessTree, "processor_seconds", lambda tree: made.own)
    monkeypatch.setattr(energy, "machine_seconds", lambda: made.machine)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return made


def write_counter(folder: Path, place: str, name: str, microjoules: int) -> None:
    path = folder / f"intel-rapl:{place}"
    path.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", name), ("max_energy_range_uj", RANGE), ("energy_uj", microjoules)):
        (path / file).write_text(f"{text}\n")


def parts_of(found: Energy) -> dict[str, tuple[float, float, str]]:
    return {part.device: (part.joules, part.whole, part.method) for part in found.parts}


def test_counters_of_all_packages_count_by_share_and_wrap_around(tmp_path: Path, clock: Clock):
    readings = [
        # package-0, package-1 in µJ; processor seconds of this process, of the machine
        (RANGE - 30_000_000, 5_000_000, 10.0, 100.0),
        (20_000_000, 45_000_000, 11.0, 104.0),  # the first has wrapped around
        (120_000_000, 45_000_000, 15.0, 108.0),
    ]
    meter: EnergyMeter | None = None
    found = Energy()
    for first, second, clock.own, clock.machine in readings:
        write_counter(tmp_path, "0", "package-0", first)
        write_counter(tmp_path, "1", "package-1", second)
        write_counter(tmp_path, "0:0", "core", first // 2)  # a part of the package
        write_counter(tmp_path, "2", "psys", first * 2)  # all of the machine
        meter = meter or EnergyMeter(powercap=tmp_path)
        found = found.plus(meter.take())
    assert parts_of(found) == {
        "package-0": (pytest.approx(50 * 1 / 4 + 100 * 4 / 4), pytest.approx(150), "RAPL"),
        "package-1": (pytest.approx(40 * 1 / 4), pytest.approx(40), "RAPL"),
    }
    assert found.source == "RAPL"
    assert "75 % of all it took; 10 J of package-1 by RAPL, 25 % of" in found.describe()


def test_a_counter_that_cannot_be_read_is_said_beside_the_estimate(tmp_path: Path, clock: Clock):
    write_counter(tmp_path, "0", "package-0", 1)
    write_counter(tmp_path, "1", "package-1", 1)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    meter = EnergyMeter(powercap=tmp_path)
    clock.own += 2.5
    found = meter.take()
    assert found.joules == 10
    assert found.describe() == (
        "10 J · 0.0028 Wh (estimate): 10 J of the processor by its time × 4 W a core, as "
        "intel-rapl:1 of RAPL cannot be read: No such file or directory"
    )


def test_the_watts_of_a_core_and_the_grid_are_settings(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["config", "set", "core_watts", "12.5"]) == 0
    meter = EnergyMeter(powercap=tmp_path)
    clock.own += 288
    found = meter.take()
    status = Status(state="finished", step=60, energy=found, samples=4, sample_joules=6.0)
    rows = dict(facts.energy(status, {"unit": "tok", "units_per_step": 100}))
    assert rows["energy"] == (
        "3.6 kJ · 1 Wh (estimate): 3.6 kJ of the processor by its time × 12.5 W a core"
    )
    assert rows["a step"] == "60 J estimate, 600 mJ/tok estimate"
    assert rows["a sample"] == "1.50 J estimate; 2,400 such samples cost as much as this training"
    assert main(["config", "set", "grid", "300"]) == 0
    assert "1 Wh · 0.3 g CO₂e at 300 g/kWh (estimate)" in facts.energy(status, {})[0][1]
    capsys.readouterr()


def stub_nvml(counters: Callable[[], tuple[int, ...]], watts: float) -> Any:
    """NVML with recorded counters in mJ of GPUs; the last one has none."""
    module: Any = ModuleType("pynvml")
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: len(counters()) + 1
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetUUID = lambda gpu: f"GPU-{gpu}"
    module.nvmlDeviceGetTotalEnergyConsumption = lambda gpu: counters()[gpu]
    module.nvmlDeviceGetPowerUsage = lambda gpu: int(watts * 1000)
    return module


def test_gpus_count_by_their_counter_or_their_power(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recorded: Iterator[tuple[int, ...]] = iter([(9_000_000, 500), (9_120_000, 700), (9_121_000, 1)])
    now = next(recorded)
    monkeypatch.setitem(sys.modules, "pynvml", stub_nvml(lambda: now, 250.0))
    moments = iter([1000.0, 1008.0, 1009.0, 1010.0])
    monkeypatch.setattr(energy, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0,2")
    meter = EnergyMeter((1, 2), powercap=tmp_path)  # places among the visible ones
    now = next(recorded)
    found = meter.take()
    parts = parts_of(found)
    del parts["the processor"]
    assert parts == {
        "GPU 0": (pytest.approx(120), pytest.approx(120), "NVML's counter"),
        "GPU 2": (pytest.approx(250 * 8), pytest.approx(2000), "NVML's power × time"),
    }
    assert "120 J of GPU 0 by NVML's counter, 100 % of all it took" in found.describe()
    assert Energy(found.parts[1:]).source == "NVML"
    assert found.source == "estimate"  # a part of it is
    other = EnergyMeter((0,), powercap=tmp_path)
    now = next(recorded)  # a counter that began again, as its driver was loaded anew
    assert parts_of(other.take())["GPU 1"] == (0, 0, "NVML's counter")


def test_processes_that_ran_at_once_count_a_device_once_and_starts_are_added():
    def reads(joules: float, device: str = "package-0") -> Energy:
        return Energy((EnergyPart(device=device, method="RAPL", joules=joules, whole=90.0),))

    start = reads(30).plus(reads(20), at_once=True).plus(reads(50, "node2 package-0"))
    assert parts_of(start) == {
        "package-0": (50, 90, "RAPL"),
        "node2 package-0": (50, 90, "RAPL"),
    }
    assert parts_of(start.plus(reads(10)))["package-0"] == (60, 180, "RAPL")
    assert parts_of(start.times(0.5))["package-0"] == (25, 90, "RAPL")


def test_what_was_not_measured_is_not_said(capsys: pytest.CaptureFixture[str]):
    run = a_run()
    status = Status(state="running", step=10, samples=2)
    assert [text for _, text in facts.energy(status, {"unit": "tok", "units_per_step": 5})] == [
        ""
    ] * 3
    assert main(["inspect", run.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["energy"] == {"parts": []}


def test_processor_time_is_that_of_this_process(tmp_path: Path):
    meter = EnergyMeter(powercap=tmp_path)
    began = time.process_time()
    while (used := time.process_time() - began) < 0.2:
        continue
    assert meter.take().joules == pytest.approx(4.0 * used, rel=0.1, abs=0.05)


@pytest.mark.parametrize(
    ("joules", "text"),
    [(0, "0 J"), (2e-6, "2 µJ"), (0.0412, "41.2 mJ"), (312, "312 J"), (5.8e3, "5.8 kJ")],
)
def test_joules_have_a_prefix(joules: float, text: str):
    assert format_joules(joules) == text
