"""system.jsonl: what the machine does while a run trains."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from run_makers import a_run

from genui.logs.native import MetricsTail
from genui.runs import writer
from genui.runs.writer import RunWriter, SystemLog, SystemSampler

BUSY = "while True: pass"


def fake_nvml(count: int = 2) -> Any:
    """The part of pynvml that is used, with a second GPU that does not tell its power."""

    class NVMLError(Exception):
        pass

    class Figures:
        gpu = 87
        used = 12_000_000_000

    def power(gpu: int) -> int:
        if gpu:
            raise NVMLError("not supported")
        return 245_500  # milliwatts

    module: Any = ModuleType("pynvml")
    module.NVMLError = NVMLError
    module.NVML_TEMPERATURE_GPU = 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: count
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetUtilizationRates = lambda gpu: Figures
    module.nvmlDeviceGetMemoryInfo = lambda gpu: Figures
    module.nvmlDeviceGetPowerUsage = power
    module.nvmlDeviceGetTemperature = lambda gpu, sensor: 61
    return module


def test_the_machine_and_the_process_are_measured(tmp_path: Path):
    sampler = SystemSampler(tmp_path)
    held = bytearray(b"x") * 50_000_000
    end = time.process_time() + 0.1
    while time.process_time() < end:
        continue
    values = sampler.sample()
    assert values["cpu cores"] > 0
    assert len(held) / 1e9 < values["memory GB"] < values["machine memory GB"]
    assert values["machine cpu cores"] >= 0
    assert values["disk free GB"] > 0


def test_the_processor_time_of_children_counts_and_of_dead_ones_too(tmp_path: Path):
    sampler = SystemSampler(tmp_path)
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        time.sleep(0.4)
        busy = sampler.sample()["cpu cores"]
        child.kill()
    after = sampler.sample()["cpu cores"]
    assert busy > 0.05  # its start alone takes more, on a machine however busy
    assert after >= 0


def test_gpus_tell_what_they_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    values = SystemSampler(tmp_path).sample()
    assert {name: value for name, value in values.items() if name.startswith("gpu")} == {
        "gpu0 %": 87,
        "gpu0 memory GB": 12.0,
        "gpu0 power W": 245.5,
        "gpu0 °C": 61,
        "gpu1 %": 87,
        "gpu1 memory GB": 12.0,
        "gpu1 °C": 61,
    }


def test_what_cannot_be_measured_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psutil", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(count=0))
    assert list(SystemSampler(tmp_path).sample()) == ["disk free GB"]
    assert SystemSampler(tmp_path / "gone").sample() == {}


def test_a_writer_logs_the_system_beside_its_heartbeat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "HEARTBEAT", 0.01)
    monkeypatch.setattr(writer, "EVERY", 0.15)
    run = a_run()
    tail = MetricsTail(run.system)
    with RunWriter(run):
        end = time.monotonic() + 20
        while "cpu cores" not in tail.series or len(tail.series["cpu cores"]) < 3:
            assert time.monotonic() < end, "no records"
            tail.read()
            time.sleep(0.01)
    steps, _, times = tail.series["memory GB"].points
    # A step is a tenth of a second, and times are rounded as they are written.
    assert all(abs(step - moment * 10) <= 1 for step, moment in zip(steps, times, strict=True))
    assert abs(times[-1] - time.time()) < 20
    assert tail.bad_lines == 0


def test_a_run_that_ends_at_once_never_measures():
    run = a_run()
    with RunWriter(run):
        pass
    assert not run.system.exists()


def test_a_folder_that_is_gone_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "EVERY", 0.0)
    run = a_run()
    log = SystemLog(run)
    log.beat()
    log.beat()
    first = run.system.read_bytes()
    assert json.loads(first)["disk free GB"] > 0
    run.path.rename(run.path.with_name("elsewhere"))
    log.beat()
    assert not run.path.exists()
