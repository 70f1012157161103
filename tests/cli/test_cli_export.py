"""`genui export`: metrics as CSV, JSONL and TensorBoard events."""

import csv
import io
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genui.cli.main import main
from genui.logs import open_tail
from genui.logs.find import find_logs
from genui.runs.layout import RunDir

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
CREATED = 1_700_000_000.125


@pytest.fixture
def run(make_run: Callable[..., RunDir]) -> RunDir:
    made = make_run()
    records = [
        {"step": 0, "time": CREATED, "loss": 0.1 + 0.2, "lr": 3e-4},
        {"step": 10, "time": CREATED + 1, "loss": "NaN"},
        {"step": 10, "time": CREATED + 1, "val/a, b": -1e-300},
        {"step": 2**40, "time": CREATED + 2, "loss": "-Infinity", "lr": 1e300},
        {"step": 30, "loss": 2},
    ]
    made.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    return made


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "lightning" / "metrics.csv"
    path.parent.mkdir()
    path.write_text("epoch,step,train_loss,val_loss\n0,9,0.5,\n0,9,,0.7\n1,19,0.25,\n")
    return path


def read_csv(text: str) -> dict[int, dict[str, str]]:
    return {int(row["step"]): row for row in csv.DictReader(io.StringIO(text))}


def test_csv_has_a_row_a_step_with_every_digit(run: RunDir, capsys: Capture) -> None:
    assert main(["export", "last", "--csv"]) == 0
    out, err = capsys.readouterr()
    rows = read_csv(out)
    assert err == ""
    assert list(rows) == [0, 10, 30, 2**40]
    assert list(rows[0]) == ["step", "time", "loss", "lr", "val/a, b"]  # as they first appeared
    assert rows[0]["loss"] == "0.30000000000000004"
    assert rows[0]["time"] == "1700000000.125"
    assert rows[0]["val/a, b"] == ""
    assert (rows[10]["loss"], rows[10]["val/a, b"]) == ("nan", "-1e-300")
    assert (rows[30]["time"], rows[30]["loss"]) == ("", "2.0")
    assert (rows[2**40]["loss"], rows[2**40]["lr"]) == ("-inf", "1e+300")


def test_the_largest_step_is_exported(run: RunDir, capsys: Capture) -> None:
    with run.metrics.open("a") as file:
        file.write(f'{{"step":{2**63 - 1},"loss":7}}\n')
    assert main(["export", "last", "--csv"]) == 0
    rows = read_csv(capsys.readouterr().out)
    assert (rows[2**63 - 1]["loss"], rows[30]["loss"]) == ("7.0", "2.0")


def test_csv_to_a_file(run: RunDir, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "out.csv"
    assert main(["export", "last", "--csv", str(target)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{target}: 4 steps, 3 metrics\n"
    assert list(read_csv(target.read_text())) == [0, 10, 30, 2**40]


def test_jsonl_is_what_genui_reads(run: RunDir, tmp_path: Path) -> None:
    target = tmp_path / "again" / "log.jsonl"
    target.parent.mkdir()
    assert main(["export", "last", "--jsonl", str(target)]) == 0
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert records[0] == {"step": 0, "time": CREATED, "loss": 0.1 + 0.2, "lr": 3e-4}
    assert records[1] == {"step": 10, "time": CREATED + 1, "loss": "NaN", "val/a, b": -1e-300}
    assert records[2] == {"step": 30, "loss": 2.0}
    (found,) = find_logs(target)
    tail = open_tail(found)
    while tail.read():
        pass
    assert tail.series["loss"].steps.tolist() == [0, 10, 30, 2**40]


@pytest.mark.parametrize("form", ["--csv", "--jsonl", "--tensorboard"])
@pytest.mark.parametrize(
    "name", ["a/b c", "\x1b[31mred", "[bold]x[/]", "é🙂", "\ud800", "a\nb", '","']
)
def test_any_name_is_exported(form: str, name: str, run: RunDir, tmp_path: Path) -> None:
    with run.metrics.open("a") as file:
        file.write(json.dumps({"step": 40, name: 1.5}) + "\n")
    suffix = {"--csv": ".csv", "--jsonl": ".jsonl", "--tensorboard": ""}[form]
    target = tmp_path / f"out{suffix}"
    assert main(["export", "last", form, str(target)]) == 0
    (log,) = find_logs(target)
    tail = open_tail(log)
    while tail.read():
        pass
    if form == "--csv" and "\n" in name:
        return  # quoted as RFC 4180 has it; our reader takes every line for a row
    assert tail.series[name.encode(errors="replace").decode()].values.tolist() == [1.5]


def test_tensorboard_events_are_read_back(run: RunDir, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "tb" / "plays"
    assert main(["export", "last", "--tensorboard", str(target)]) == 0
    (name,) = os.listdir(target)
    assert name.startswith("events.out.tfevents.")
    (found,) = find_logs(target)
    assert found.format == "tensorboard"
    tail = open_tail(found)
    while tail.read():
        pass
    assert tail.bad_lines == 0
    steps, values, times = tail.series["loss"].points
    assert steps.tolist() == [0, 10, 30, 2**40]
    as_float32 = struct.unpack("<f", struct.pack("<f", 0.1 + 0.2))[0]
    assert values[0] == as_float32
    assert math.isnan(values[1])
    assert values[3] == -math.inf
    assert times[:2].tolist() == [CREATED, CREATED + 1]
    assert tail.series["lr"].values[1] == math.inf  # 1e300 is no float32


def test_many_steps_are_written_in_several_pieces(
    make_run: Callable[..., RunDir], tmp_path: Path
) -> None:
    lines = (f'{{"step":{i},"time":{i}.5,"loss":{i}}}\n' for i in range(10_000))
    make_run().metrics.write_text("".join(lines))
    assert main(["export", "last", "--csv", str(tmp_path / "a.csv")]) == 0
    assert main(["export", "last", "--tensorboard", str(tmp_path / "tb")]) == 0
    rows = read_csv((tmp_path / "a.csv").read_text())
    assert [float(row["loss"]) for row in rows.values()] == list(range(10_000))
    tail = open_tail(find_logs(tmp_path / "tb")[0])
    while tail.read():
        pass
    assert tail.series["loss"].values.tolist() == list(range(10_000))


def test_another_programs_log_is_exported_too(foreign: Path, capsys: Capture) -> None:
    assert main(["export", str(foreign), "--csv", "-"]) == 0
    rows = read_csv(capsys.readouterr().out)
    assert (rows[9]["train_loss"], rows[9]["val_loss"]) == ("0.5", "0.7")
    assert (rows[19]["train_loss"], rows[19]["val_loss"]) == ("0.25", "")


def test_what_is_there_is_replaced_only_by_force(
    run: RunDir, tmp_path: Path, capsys: Capture
) -> None:
    target, folder = tmp_path / "out.csv", tmp_path / "tb"
    target.write_text("precious")
    assert main(["export", "last", "--csv", str(target)]) == 2
    assert "--force" in capsys.readouterr().err
    assert target.read_text() == "precious"
    assert main(["export", "last", "--csv", str(target), "--force"]) == 0
    assert target.read_text().startswith("step,")
    assert main(["export", "last", "--tensorboard", str(folder)]) == 0
    assert main(["export", "last", "--tensorboard", str(folder)]) == 2
    assert main(["export", "last", "--tensorboard", str(folder), "--force"]) == 0
    assert len(os.listdir(folder)) == 1


def test_event_files_of_another_program_are_never_touched(
    run: RunDir, tmp_path: Path, capsys: Capture
) -> None:
    other = tmp_path / "events.out.tfevents.1.host"
    other.write_bytes(b"")
    assert main(["export", "last", "--tensorboard", str(tmp_path), "--force"]) == 2
    assert "another program" in capsys.readouterr().err
    assert os.listdir(tmp_path).count(other.name) == 1


@pytest.mark.parametrize("target", ["folder", "missing/out.csv", "pipe", "/dev/null"])
def test_a_target_that_takes_no_file_is_refused(
    target: str, run: RunDir, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    assert main(["export", "last", "--csv", target, "--force"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"genui: --csv {target}: ")
    assert said.count("\n") == 1


def test_a_folder_that_is_a_file_is_refused(run: RunDir, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "tb").write_text("")
    assert main(["export", "last", "--tensorboard", str(tmp_path / "tb")]) == 1
    assert "not a directory" in capsys.readouterr().err


def test_a_run_without_metrics_writes_no_file(
    make_run: Callable[..., RunDir], tmp_path: Path, capsys: Capture
) -> None:
    make_run("failed")
    assert main(["export", "last", "--csv", str(tmp_path / "out.csv")]) == 1
    assert "has no metrics" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_full_disk_leaves_nothing_half_written(run: RunDir, tmp_path: Path) -> None:
    run.metrics.write_text("".join(f'{{"step":{i},"loss":{i}}}\n' for i in range(20_000)))
    target = tmp_path / "out.csv"
    # Without -B a compiled file of a module would be cut short too.
    command = f"ulimit -f 64; exec {sys.executable} -B -m genui export last --csv {target}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, cwd=ROOT, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith(f"genui: cannot write {target}: ".encode())
    assert done.stderr.count(b"\n") == 1
    assert not [name for name in os.listdir(tmp_path) if "out.csv" in name]


def test_whoever_reads_the_csv_may_leave(run: RunDir) -> None:
    run.metrics.write_text("".join(f'{{"step":{i},"loss":{i}}}\n' for i in range(20_000)))
    command = f"{sys.executable} -m genui export last --csv | head -2"
    done = subprocess.run(["sh", "-c", command], capture_output=True, cwd=ROOT, timeout=300)
    assert done.stdout.startswith(b"step,time,loss\n0,")
    assert done.stderr == b""


@pytest.mark.parametrize("words", [[], ["--csv", "-", "--jsonl", "-"], ["--csv=a", "--what"]])
def test_asked_wrongly(words: list[str], run: RunDir, capsys: Capture) -> None:
    assert main(["export", "last", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
