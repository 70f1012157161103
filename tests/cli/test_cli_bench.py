"""`genui bench`: its table, the order of the measurements, and its output. Nothing is timed."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal

from genui.base.errors import GenuiError
from genui.cli import bench
from genui.cli.bench import ROWS, Bench, MeasuredValues, Measurement, Reading, run_rows
from genui.cli.main import main

Capture = pytest.CaptureFixture[str]


def row(name: str, values: Sequence[float]) -> Measurement:
    """A row whose measurements are known beforehand."""
    own = iter(values)
    return Measurement(name, f"{name} of it", "ms", lambda _: Reading(next(own), "so"), 2.0)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put other rows in the table."""

    def put(*rows: Measurement) -> None:
        monkeypatch.setattr(bench, "ROWS", rows)

    return put


def test_the_table_is_complete() -> None:
    names = [row.name for row in ROWS]
    assert len({*names}) == len(names)
    assert all(row.title and row.unit and row.seconds > 0 for row in ROWS)
    parts = {"products", "train-text", "train-images", "write", "denoise", "memory-trainer"}
    assert parts <= {*names}


def test_rounds_are_measured_in_turns_and_the_time_left_falls() -> None:
    ticks = count(0.0, 3.0)  # seconds between two looks at the clock: longer than was expected
    table = [row("a", [4, 5]), row("b", [1, 1])]
    results: dict[str, MeasuredValues] = {}
    bench = Bench(quick=True)
    steps = list(run_rows(bench, table, 2, results, lambda: next(ticks)))
    assert [row.name for row, _ in steps] == ["a", "b"] * 2
    left = [seconds_left for _, seconds_left in steps[1:]]
    assert left == sorted(left, reverse=True)
    assert results["a"].value == 4.5


def test_what_fails_is_a_fault_of_its_row() -> None:
    def fail(_: Bench) -> Reading:
        raise GenuiError("no such model")

    table = [row("a", [1.0])._replace(measure=fail), row("b", [2.0])]
    results: dict[str, MeasuredValues] = {}
    for _ in run_rows(Bench(quick=True), table, 1, results):
        continue
    assert results["a"].faults == ["no such model"]
    assert math.isnan(results["a"].value)
    assert results["b"].value == 2


def test_the_results_as_json(rows: Callable[..., None], capsys: Capture) -> None:
    rows(row("a", [4, 5]), row("b", [1, math.nan]))
    assert main(["bench", "--json", "--rounds", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["whole"]
    assert {"processor", "cores", "load", "torch"} <= found["machine"].keys()
    a, b = found["rows"]
    assert (a["name"], a["unit"], a["better"], a["value"]) == ("a", "ms", "lower", 4.5)
    assert b["values"] == [1, None]  # one round did not reach it


def test_an_interrupted_bench_prints_what_was_measured(
    rows: Callable[..., None], capsys: Capture
) -> None:
    def interrupt(_: Bench) -> Reading:
        raise KeyboardInterrupt

    rows(row("a", [4]), row("b", [1])._replace(measure=interrupt))
    assert main(["bench", "--quick"]) == 130
    out = capsys.readouterr()
    assert ["a", "of", "it", "4.00", "ms", "so"] in [line.split() for line in out.out.splitlines()]
    assert "b of it" not in out.out
    assert "interrupted" in out.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--only wriet", "--only wriet: no such measurement; did you mean 'write'?"),
        ("--only ,", "--only: names no measurement"),
        ("--only=", "--only: names no measurement"),
        ("--rounds -1", "--rounds -1: expected"),
        ("--rounds 0", "--rounds 0: expected"),
        ("--profile shakespear", "did you mean 'shakespeare'"),
    ],
)
def test_misuse_is_one_line(words: str, error: str, capsys: Capture) -> None:
    assert main(["bench", *words.split()]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert error in line


def test_a_measurement_named_twice_is_made_once(rows: Callable[..., None], capsys: Capture) -> None:
    rows(row("a", [4]), row("b", [2]))
    assert main(["bench", "--json", "--rounds", "1", "--only", "b,a,b"]) == 0
    measured = json.loads(capsys.readouterr().out)["rows"]
    assert [(one["name"], one["values"]) for one in measured] == [("b", [2]), ("a", [4])]


def test_a_bench_of_which_nothing_could_be_measured_fails(
    rows: Callable[..., None], capsys: Capture
) -> None:
    def fail(_: Bench) -> Reading:
        raise GenuiError("the disk is full")

    rows(row("a", [4])._replace(measure=fail), row("b", [4])._replace(measure=fail))
    assert main(["bench", "--quick"]) == 1
    out = capsys.readouterr()
    assert "nothing could be measured: the disk is full" in out.err
    assert "a of it" in out.out  # with its fault


def test_what_a_step_spends_time_on(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    result = {
        "seconds": {"matrix products": 0.03, "data": 0.01}, "share": 0.4, "precision": "fp32",
        "threads": 2,
    }  # fmt: skip
    monkeypatch.setattr(Bench, "engine", lambda *args, **options: result)
    assert main(["bench", "--profile", "shakespeare"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["matrix", "products", "75", "%", "30.0", "ms"]
    assert lines[2] == ["a", "step", "100", "%", "40.0", "ms"]
    assert "40 % of the peak of matrix products, fp32, 2 threads" in " ".join(lines[3])


def test_what_computes_is_measured_once_a_round_in_its_own_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def run(argv: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        made.append(argv[1:])
        if "nope" in argv[-1]:
            return subprocess.CompletedProcess(argv, 2, "", "a warning\nno recipe 'nope'\n")
        return subprocess.CompletedProcess(argv, 0, 'noise\n{"fp32": 1}\n', "")

    monkeypatch.setattr("genui.cli.bench.subprocess.run", run)
    bench = Bench(quick=True)
    for _ in range(2):
        assert bench.engine("products", threads=1) == {"fp32": 1}
    assert made == [["-m", "genui.engine.bench", "products", '{"threads": 1}']]
    bench.start_round()
    bench.engine("products", threads=1)
    assert len(made) == 2
    with pytest.raises(GenuiError, match=r"^no recipe 'nope'$"):
        bench.engine("training", recipe="nope")


ECHO = "import sys, os\nprint('Models', flush=True)\nfor line in sys.stdin: print('got', line)"


def test_a_bench_says_in_one_line_what_the_interpreter_of_its_peers_lacks(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    for path, error in ((bare, "no torch"), (tmp_path / "none", "No such file")):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench", "watch", "--peers", str(path)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode
        assert done.stderr.count("\n") == 1
        assert error in done.stderr


def test_a_pseudo_terminal_times_an_answer() -> None:
    with PseudoTerminal([sys.executable, "-c", ECHO]) as terminal:
        assert terminal.until_sent(b"Models") > terminal.started
        assert terminal.answer("hello\n") > 0
        terminal.until_sent(b"got hello")
