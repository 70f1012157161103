"""What the benchmarks share: the machine, a home of their own, and how figures are printed."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python does not compile at each start

import tiny  # noqa: E402 - the tests' tiny runs and terminal, once they can be found
from terminal import PATIENCE, Terminal  # noqa: E402

from genui.cli.bench import describe_machine as machine  # noqa: E402

if TYPE_CHECKING:
    from genui.engine.sample.trace import Generator

__all__ = ["PATIENCE", "Figure", "Terminal", "arguments", "home", "import_torch", "machine",
           "percentile", "quick_generator", "report", "report_figure", "report_machine", "seconds",
           "tiny"]  # fmt: skip


class Figure(NamedTuple):
    """One measured thing. `peer` is the same of what it is compared with, run in this call."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    limit: float | None = None  # what it must reach

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer if self.peer else None


def arguments(summary: str, repeats: int) -> argparse.Namespace:
    """`--json` and `--repeats N`."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=repeats, metavar="N", help=f"({repeats})")
    return parser.parse_args()


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that `percent` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@contextmanager
def home() -> Iterator[Path]:
    """A GENUI_HOME that is gone afterwards, set for this process too."""
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as folder:
        os.environ["GENUI_HOME"] = folder
        os.environ["GENUI_QUIET"] = "1"  # Home's demo would be measured too
        yield Path(folder)


def seconds(name: str, values: Sequence[float], peers: Sequence[float] = (), peer: str = "",
            limit: float | None = None) -> Figure:  # fmt: skip
    """The median of repeated timings beside the median of a peer's."""
    other = statistics.median(peers) if peers else None
    return Figure(name, statistics.median(values), "s", other, peer, limit)


def import_torch() -> float:
    """Seconds of a process that imports torch and nothing else."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - begin


def quick_generator(model: str) -> "Generator":
    """What a model generates by, on one thread in the precision this processor is fast at."""
    from genui.engine import device
    from genui.engine.load import load
    from genui.runs.models import find_model

    return load(find_model(model).path, device.choose("auto", "auto", 1, 256))


def report(before: dict[str, str], figures: Sequence[Figure], as_json: bool) -> None:
    """Print the machine, as it was before, and the figures with their ratios."""
    if as_json:
        rows = [{**figure._asdict(), "ratio": figure.ratio} for figure in figures]
        print(json.dumps({"machine": before, "figures": rows}, ensure_ascii=False))
        return
    report_machine(before)
    for figure in figures:
        report_figure(figure)


def report_machine(before: dict[str, str]) -> None:
    print(" · ".join(f"{key} {value}" for key, value in before.items()), flush=True)


def report_figure(figure: Figure) -> None:
    line = f"{figure.name:52}{figure.value:>9.3f} {figure.unit:4}"
    if figure.peer is not None:
        line += f"  {figure.ratio or 0:5.2f} × {figure.peer_name} ({figure.peer:.3f})"
    if figure.limit is not None:
        verdict = "" if figure.value <= figure.limit else "  OVER"
        line += f"  limit {figure.limit:g}{verdict}"
    print(line, flush=True)
