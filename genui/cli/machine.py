"""A reading of the machine, its GPUs and the runs that train on it, as data and drawn."""

import math
import socket
import time
from collections.abc import Sequence
from typing import Any

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from genui.base.numbers import short, size
from genui.base.paths import runs_dir
from genui.base.text import clean_line
from genui.cli import output
from genui.runs.facts import count_steps
from genui.runs.gpus import GpuState, missing_library
from genui.runs.listing import RunSummary, list_runs
from genui.runs.system import ProcessTree, SystemSampler

_GB = 1e9


class Reader:
    """Reads the machine; rates are since the last reading."""

    def __init__(self) -> None:
        folder = runs_dir()
        while not folder.exists():
            folder = folder.parent
        self._machine = SystemSampler(folder)
        self._trees: dict[int, ProcessTree] = {}  # by the pid of a trainer
        self._last = time.monotonic()

    def read(self) -> dict[str, Any]:
        """All of it, as `--json` prints it."""
        now = time.monotonic()
        seconds, self._last = max(now - self._last, 1e-3), now
        values = self._machine.sample()
        runs = [summary for summary in list_runs() if summary.alive]
        owners = {summary.status.pid: summary for summary in runs if _is_here(summary)}
        gpus = [self._gpu(state, owners) for state in self._machine.gpus.read()]
        return {
            "host": socket.gethostname(),
            "cores": psutil.cpu_count() or 1,
            "cores_busy": values.get("machine cpu cores"),
            "memory_gb": values.get("machine memory GB"),
            "memory_total_gb": psutil.virtual_memory().total / _GB,
            "disk_free_gb": values.get("disk free GB"),
            "disk_read_mb_per_s": values.get("disk read MB/s"),
            "disk_write_mb_per_s": values.get("disk write MB/s"),
            "gpus": gpus,
            "gpus_missing": "" if gpus else missing_library(),
            "runs": [self._run(summary, seconds) for summary in runs],
        }

    def _gpu(self, state: GpuState, owners: dict[int, RunSummary]) -> dict[str, Any]:
        processes = [_process(one.pid, one.memory_gb, owners) for one in state.processes]
        return vars(state) | {"processes": processes}

    def _run(self, summary: RunSummary, seconds: float) -> dict[str, Any]:
        status = summary.status
        values: dict[str, float] = {}
        if _is_here(summary):
            try:
                values = self._tree(status.pid).sample(seconds)
            except Exception:  # it has just ended, or is another user's
                self._trees.pop(status.pid, None)
        return {
            "id": summary.run.id,
            "name": summary.info.name,
            "state": summary.state,
            "host": status.host,
            "pid": status.pid,
            "step": status.step,
            "steps": status.steps,
            "steps_per_s": status.steps_per_s,
            "loss": status.loss,
            "cpu_cores": values.get("cpu cores"),
            "memory_gb": values.get("memory GB"),
        }

    def _tree(self, pid: int) -> ProcessTree:
        if pid not in self._trees:
            self._trees[pid] = ProcessTree(pid)
        return self._trees[pid]


def _is_here(summary: RunSummary) -> bool:
    return summary.status.host == socket.gethostname() and summary.status.pid > 0


def _process(pid: int, memory_gb: float, owners: dict[int, RunSummary]) -> dict[str, Any]:
    """A process on a GPU, with the run of genui that it, or a process above it, writes."""
    about: dict[str, Any] = {"pid": pid, "memory_gb": memory_gb, "user": "", "name": "", "run": ""}
    try:
        process = psutil.Process(pid)
        about |= {"user": process.username(), "name": process.name()}
        line = [process, *process.parents()]
        about["run"] = next((owners[one.pid].run.id for one in line if one.pid in owners), "")
    except psutil.Error:  # ended, or in another container
        pass
    return about


# --- Drawing ----------------------------------------------------------------------------------


def print_once(reader: Reader) -> None:
    Console(width=output.columns()).print(_draw(reader.read()), end="")


def follow(reader: Reader, every: float) -> None:
    """Draws it again and again until Ctrl+C."""
    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_draw(reader.read(), "ctrl+c ends"), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        return


def _draw(reading: dict[str, Any], hint: str = "") -> RenderableType:
    head = f"{reading['host']}   {time.strftime('%H:%M:%S')}"
    parts: list[RenderableType] = [
        Text.assemble((clean_line(head), "bold"), (f"   {hint}" if hint else "", "dim")),
        Text(""),
        _meter("cpu", reading["cores_busy"], reading["cores"], "cores"),
        _meter("memory", reading["memory_gb"], reading["memory_total_gb"], "GB"),
        Text(_disk(reading)),
        Text(""),
    ]
    if reading["gpus"]:
        parts += [_gpu_table(reading["gpus"]), Text("")]
    else:
        parts += [Text(reading["gpus_missing"] or "no GPU", "dim"), Text("")]
    parts.append(_run_table(reading["runs"]) if reading["runs"] else Text("no run trains", "dim"))
    return Group(*parts)


def _meter(name: str, value: float | None, whole: float, unit: str) -> RenderableType:
    """`cpu     ███▌────────────  1.4 of 8 cores`"""
    width = max(10, min(40, output.columns() - 34))
    share = min(1.0, max(0.0, (value or 0.0) / whole))
    full = round(share * width)
    style = "red" if share > 0.95 else "yellow" if share > 0.8 else "green"
    number = "?" if value is None else f"{value:.1f}"
    bar = ("█" * full, style), ("─" * (width - full), "dim")
    return Text.assemble(f"{name:<7} ", *bar, f"  {number} of {whole:.3g} {unit}")


def _disk(reading: dict[str, Any]) -> str:
    free = reading["disk_free_gb"]
    parts = [f"disk    {size(free * _GB)} free"] if free is not None else []
    for name in ("read", "write"):
        speed = reading[f"disk_{name}_mb_per_s"]
        if speed is not None:
            parts.append(f"{name} {short(speed)} MB/s")
    return "   ".join(parts)


def _gpu_table(gpus: Sequence[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("GPU")
    for head in ("BUSY", "MEMORY", "POWER", "°C", "CLOCK"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("PROCESSES", overflow="fold")
    for gpu in gpus:
        clock = _number(gpu["clock_mhz"], " MHz")
        if gpu["throttled"]:
            clock += f" [yellow]{gpu['throttled']}[/]"
        name = f"{gpu['index']} {escape(clean_line(gpu['name'], 24))}"
        table.add_row(
            name,
            _number(gpu["busy"], " %"),
            _of(gpu["memory_gb"], gpu["memory_total_gb"], "GB"),
            _of(gpu["power_w"], gpu["power_limit_w"], "W"),
            _number(gpu["celsius"], ""),
            clock,
            "\n".join(map(_process_line, gpu["processes"])),
        )
    return table


def _process_line(process: dict[str, Any]) -> str:
    memory = process["memory_gb"]
    known = "" if math.isnan(memory) else f" {memory:.1f} GB"
    what = process["run"] or f"{process['name'] or '?'} {process['user']}".strip()
    return escape(clean_line(f"{process['pid']} {what}{known}", 60))


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f}{unit}"


def _of(value: float | None, whole: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.0f} {unit}" if whole is None else f"{value:.0f} / {whole:.0f} {unit}"


def _run_table(runs: Sequence[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("RUN", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    for head in ("STEP", "STEPS/S", "LOSS", "CORES", "GB", "PID"):
        table.add_column(head, justify="right", no_wrap=True)
    for run in runs:
        step = count_steps(run["step"], run["steps"], " / ")
        here = run["host"] == socket.gethostname()
        table.add_row(
            escape(clean_line(run["id"], 40)),
            run["state"],
            step,
            short(run["steps_per_s"]),
            "" if run["loss"] is None else f"{run['loss']:.4g}",
            "" if run["cpu_cores"] is None else f"{run['cpu_cores']:.1f}",
            "" if run["memory_gb"] is None else f"{run['memory_gb']:.1f}",
            str(run["pid"]) if here else escape(clean_line(run["host"], 16)),
        )
    return table
