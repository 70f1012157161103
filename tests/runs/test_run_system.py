"""system.jsonl: what the machine does while a run trains."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from run_makers import a_run
from waiting import wait_for

from genui.cli.main import main
from genui.logs.native import MetricsTail
from genui.runs import gpus, system, writer
from genui.runs.gpus import Gpus, GpuState, visible
from genui.runs.system import ProcessTree, SystemLog, SystemSampler
from genui.runs.writer import RunWriter

BUSY = "while True: pass"


def fake_nvml(count: int = 2, broken: int = -1) -> Any:
    """The part of pynvml that is used. The second GPU does not tell its power, `broken` nothing."""

    class NVMLError(Exception):
        pass

    class Figures:
        gpu = 87
        used = 12_000_000_000
        total = 80_000_000_000
        pid = os.getpid()
        usedGpuMemory = 2_000_000_000  # noqa: N815 - NVML's name

    def handle(index: int) -> int:
        if index == broken:
            raise NVMLError("the GPU is lost")
        return index

    def power(gpu: int) -> int:
        if gpu:
            raise NVMLError("not supported")
        return 245_500  # milliwatts

    module: Any = ModuleType("pynvml")
    module.NVMLError = NVMLError
    module.NVML_TEMPERATURE_GPU = 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: count
    module.NVML_CLOCK_SM = 1
    module.nvmlDeviceGetHandleByIndex = handle
    module.nvmlDeviceGetName = lambda gpu: b"NVIDIA H100"
    module.nvmlDeviceGetUUID = lambda gpu: f"GPU-{gpu}a0b"
    module.nvmlDeviceGetClockInfo = lambda gpu, clock: 1980
    module.nvmlDeviceGetCurrentClocksThrottleReasons = lambda gpu: (1 | 4, 1 | 32 | 64)[gpu % 2]
    module.nvmlDeviceGetComputeRunningProcesses = lambda gpu: [] if gpu else [Figures]
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
    began, own = time.monotonic(), time.process_time()
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        process = psutil.Process(child.pid)
        wait_for(lambda: sum(process.cpu_times()[:2]) > 0.3 + time.process_time() - own)
        busy = sampler.sample()["cpu cores"]
        seconds = time.monotonic() - began
        child.kill()
    after = sampler.sample()["cpu cores"]
    assert busy * seconds > 0.25  # more than this process took, on a machine however busy
    assert after >= 0


def test_gpus_tell_what_they_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    values = SystemSampler(tmp_path).sample()
    assert {name: value for name, value in values.items() if name.startswith("gpu")} == {
        "gpu0 %": 87,
        "gpu0 memory GB": 12.0,
        "gpu0 memory %": 15.0,
        "gpu0 power W": 245.5,
        "gpu0 °C": 61,
        "gpu0 clock MHz": 1980,
        "gpu0 throttled": 1,
        "gpu1 %": 87,
        "gpu1 memory GB": 12.0,
        "gpu1 memory %": 15.0,
        "gpu1 °C": 61,
        "gpu1 clock MHz": 1980,
        "gpu1 throttled": 1,
    }


def test_a_gpu_that_refuses_hides_no_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(8, broken=5))
    states = Gpus().read()
    assert [state.index for state in states] == [0, 1, 2, 3, 4, 6, 7]
    assert [state.throttled for state in states[:2]] == ["power cap", "heat"]


@pytest.mark.parametrize(
    ("value", "indices"),
    [
        ("2", [2]),
        ("3,1", [3, 1]),
        ("GPU-2a", [2]),
        ("0,9,1", [0]),
        ("", []),
        ("-1", []),
        ("MIG-GPU-1a0b/7/0", [1]),
        (None, [0, 1, 2, 3]),
    ],
)
def test_a_run_has_the_gpus_of_cuda_visible_devices(value: str | None, indices: list[int]):
    states = [GpuState(index, uuid=f"GPU-{index}a0b") for index in range(4)]
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert [state.index for state in visible(states, environ)] == indices


def test_another_process_is_measured_with_its_children():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    words = [sys.executable, "-c", code, BUSY]
    with subprocess.Popen(words, start_new_session=True) as process:
        try:
            tree = ProcessTree(process.pid)
            wait_for(tree._descendants)
            tree.sample(1)  # the processor time of the parent's start
            busy = 0.0
            while busy < 0.02:
                time.sleep(0.1)
                busy = tree.sample(0.1)["cpu cores"]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert busy >= 0.02


def test_top_shows_the_gpus_and_the_runs_on_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    monkeypatch.setenv("COLUMNS", "160")
    run = a_run()
    with RunWriter(run) as running:
        running.update(state="running", step=7)
        assert main(["top", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert [gpu["processes"] for gpu in answer["gpus"]][1] == []
        (process,) = answer["gpus"][0]["processes"]
        assert (process["pid"], process["run"]) == (os.getpid(), run.id)
        assert [(one["id"], one["step"]) for one in answer["runs"]] == [(run.id, 7)]
        assert main(["top"]) == 0
    text = capsys.readouterr().out
    assert "NVIDIA H100" in text
    assert "12 / 80 GB" in text
    assert text.count(run.id) == 2


def test_a_machine_without_the_library_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpus.Path, "exists", lambda path: "nvidia" in str(path))
    assert gpus.missing_library().endswith("pip install 'nvidia-ml-py>=12'")


def test_what_cannot_be_measured_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psutil", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(count=0))
    assert list(SystemSampler(tmp_path).sample()) == ["disk free GB"]
    assert SystemSampler(tmp_path / "gone").sample() == {}


def test_a_writer_logs_the_system_beside_its_heartbeat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "HEARTBEAT", 0.01)
    monkeypatch.setattr(system, "EVERY", 0.15)
    run = a_run()
    tail = MetricsTail(run.system)
    with RunWriter(run):
        while "cpu cores" not in tail.series or len(tail.series["cpu cores"]) < 3:
            tail.read()
            time.sleep(0.01)
    steps, _, times = tail.series["memory GB"].points
    # A step is a tenth of a second, and times are rounded as they are written.
    assert all(abs(step - moment * 10) <= 1 for step, moment in zip(steps, times, strict=True))
    assert abs(times[-1] - time.time()) < 240
    assert tail.bad_lines == 0


def test_a_run_that_ends_at_once_never_measures():
    run = a_run()
    with RunWriter(run):
        pass
    assert not run.system.exists()


def test_a_folder_that_is_gone_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(system, "EVERY", 0.0)
    run = a_run()
    log = SystemLog(run)
    log.beat()
    log.beat()
    first = run.system.read_bytes()
    assert json.loads(first)["disk free GB"] > 0
    run.path.rename(run.path.with_name("elsewhere"))
    log.beat()
    assert not run.path.exists()


def test_the_share_is_that_of_a_process_like_a_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own session and a lower priority: others get another share of a busy machine."""
    assert 0 < system.measure_share() <= 1
    tell = "import os, sys; sys.stdin.read(); "
    tell += "print(os.getpriority(0, 0) / 100 if os.getsid(0) == os.getpid() else 9)"
    monkeypatch.setattr(system, "_COMPUTE", tell)
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + system.TRAINER_NICE)
    assert system.measure_share() == nice / 100
    monkeypatch.setattr(system, "_COMPUTE", "print('nothing')")
    assert system.measure_share() == 1
