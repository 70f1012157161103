"""What there is to watch below a path, told without reading it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from log_makers import (
    FIXTURES,
    GROWING,
    SAMPLES,
    event,
    mlflow_database,
    mlflow_run,
    read_all,
    seen,
    trackio_database,
    whole_log,
)

from genui.base.errors import GenuiError, MisuseError
from genui.base.manual import PAGES
from genui.cli.main import main
from genui.logs import find, open_tail
from genui.logs.find import find_logs, summarise_log
from genui.logs.formats import FORMATS
from genui.recipes import find_recipe
from genui.runs.layout import create_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder with a log of each kind."""
    root = tmp_path / "logs"
    shutil.copytree(FIXTURES / "tensorboard", root / "tb")
    shutil.copytree(FIXTURES / "mlruns", root / "mlruns")
    for name, format in {
        "wandb/offline-run-1-x/run-x.wandb": "wandb",
        "lightning_logs/version_0/metrics.csv": "csv",
        "hf/checkpoint-10/trainer_state.json": "trainer-state",
        "hf/checkpoint-20/trainer_state.json": "trainer-state",
        "plain/train.jsonl": "jsonl",
        ".hidden/train.jsonl": "jsonl",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole_log(format))
    trackio_database(root)
    mlflow_database(root)
    (root / "notes.txt").write_text("step 1: loss 2")
    (root / "other.csv").write_text("name,age\nx,2\n")
    (root / "other.jsonl").write_text("[1, 2]\n")
    return root


def test_logs_of_every_kind_are_found_and_opened(many: Path):
    found = find_logs(many)
    assert {(s.format, s.info.name) for s in found} == {
        ("tensorboard", "tb"),
        ("tensorboard", "tb/pair_a"),
        ("tensorboard", "tb/pair_b"),
        ("wandb", "wandb/offline-run-1-x"),
        ("csv", "lightning_logs/version_0"),
        ("trainer-state", "hf"),
        ("jsonl", "plain/train.jsonl"),
        ("trackio", "myproject/first"),
        ("trackio", "myproject/second"),
        ("mlflow-db", "owl: nest #1/quiet: owl"),
        ("mlflow-db", "owl: nest #1/failed"),
        ("mlflow", "mlruns/owl: nest #1/quiet: owl"),
        ("mlflow", f"mlruns/owl: nest #1/{' '.join('n' * 60)}"),
    }
    assert found.note == ""
    assert len({summary.run.path for summary in found}) == len(found)
    assert len({summary.info.id for summary in found}) == len(found)
    for summary in found:
        assert not summary.alive
        assert summary.fault == ""
        tail = open_tail(summary)
        read_all(tail)
        assert seen(tail)


def test_an_mlflow_run_is_named_by_its_store_its_experiment_and_itself(tmp_path: Path):
    shutil.copytree(FIXTURES / "mlruns", tmp_path / "mlruns")
    run = tmp_path / "mlruns" / mlflow_run().relative_to(FIXTURES / "mlruns")
    for root, name in {
        tmp_path: "mlruns/owl: nest #1/quiet: owl",
        tmp_path / "mlruns": "owl: nest #1/quiet: owl",
        run.parent: "quiet: owl",
        run: "quiet: owl",
    }.items():
        (summary,) = [one for one in find_logs(root) if one.run.path == run]
        assert (summary.info.name, summary.info.project) == (name, "owl: nest #1")
        assert summary.state == "finished"
    removed = [path for path in run.parent.glob("*/meta.yaml") if "deleted" in path.read_text()]
    assert removed
    assert not {path.parent for path in removed} & {one.run.path for one in find_logs(tmp_path)}


def test_an_mlflow_run_is_followed_as_it_is_written(tmp_path: Path):
    run = tmp_path / "1" / "abc"
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: abc\nrun_name: ''\nstatus: 1\n")
    (run / "metrics" / "loss").write_text("1700000000000 2.5 1\n1700000000")
    (summary,) = find_logs(tmp_path)
    assert (summary.state, summary.info.name) == ("writing", "1/abc")
    tail = open_tail(summary)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "2.5")]}
    with (run / "metrics" / "loss").open("a") as file:
        file.write("500 1.5 2\nno number\n1700000001000 1.0 -3\n")
    (run / "metrics" / "val" / "loss").write_text("1700000000000 3\n1700000000000 4 7 data 0a\n")
    (run / "params").mkdir()
    (run / "params" / "lr").write_text("0.1")
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "2.5"), (2, "1.5")], "val/loss": [(0, "3.0"), (7, "4.0")]}
    assert tail.series["loss"].times.tolist() == [1.7e9, 1.7e9 + 0.5]
    assert (tail.bad_lines, dict(tail.config), tail.ended) == (2, {"lr": "0.1"}, "")
    (run / "meta.yaml").write_text("run_id: abc\nstatus: 5\n")
    assert tail.read()
    assert tail.ended == summarise_log(run, "mlflow").state == "stopped"


def test_one_metric_of_an_mlflow_run_that_may_not_be_read_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_bytes(b"run_id: \xff\x00\n\x1b: [")
    for name in ("loss", "secret"):
        (run / "metrics" / name).write_text("1700000000000 2.5 1\n")
    os.mkfifo(run / "metrics" / "pipe")
    (run / "metrics" / "gone").symlink_to(run / "none")
    opened = os.open

    def refused(path: os.PathLike[str], *rest: int, **more: int) -> int:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refused)
    (summary,) = find_logs(tmp_path)
    tail = open_tail(summary)
    for _ in range(2):
        read_all(tail)
        assert (seen(tail), tail.bad_lines) == ({"loss": [(1, "2.5")]}, 1)


def test_the_newest_is_first_and_an_old_one_is_quiet(tmp_path: Path):
    for name, age in (("a", 5000), ("b", 0), ("c", 100)):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(whole_log("jsonl"))
        os.utime(path, (path.stat().st_mtime - age, path.stat().st_mtime - age))
    found = find_logs(tmp_path)
    assert [(s.info.name, s.state) for s in found] == [
        ("b.jsonl", "writing"), ("c.jsonl", "quiet"), ("a.jsonl", "quiet"),
    ]  # fmt: skip
    assert summarise_log(found[1].run.path, "jsonl", "finished").state == "finished"


def test_own_runs_are_found_beside_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENUI_HOME", str(tmp_path))
    run = create_run(find_recipe("shakespeare"), {})
    run.metrics.write_bytes(whole_log("genui"))
    (found,) = find_logs(tmp_path)
    assert (found.format, found.run) == ("genui", run)
    tail = open_tail(found)
    read_all(tail)
    assert len(seen(tail)["loss"]) == 30
    assert [s.run for s in find_logs(run.path)] == [run]


@pytest.mark.parametrize("format", [f for f in GROWING if not SAMPLES[f].is_folder])
def test_a_single_file_of_any_name_is_told_by_its_contents(format: str, tmp_path: Path):
    name = SAMPLES[format].name if SAMPLES[format].named else "log.txt"
    path = tmp_path / name
    path.write_bytes(whole_log(format))
    (found,) = find_logs(path)
    assert (found.format, found.run.path, found.info.name) == (format, path, name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a binary file"),
        (b"It was a dark and stormy night.\n", "plain text"),
        (b"", "an empty file"),
        (b'{"a": [1,\n2]}', "a JSON document"),
        (bytes(50), "a binary file"),
        (b"SQLite format 3\0" + bytes(90), "not a database"),
    ],
)
def test_a_file_of_another_program_is_told_for_what_it_is(
    content: bytes, words: str, tmp_path: Path
):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(GenuiError, match="file") as refusal:
        find_logs(path)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "line", ["[0]\ttrain-rmse:0.5", "[1, 2000] loss: 0.5", "[2026-05-01 12:00:00] step 1: loss 0.5"]
)
def test_a_printed_log_may_begin_with_a_bracket(line: str, tmp_path: Path):
    (tmp_path / "train.log").write_text(f"{line}\n")
    (tmp_path / "numbers.log").write_text("[0.5, 1e-3,\n -2]\n")
    for where in (tmp_path, tmp_path / "train.log"):
        (found,) = find_logs(where)
        assert (found.format, found.run.path.name) == ("text", "train.log")


def test_an_event_file_needs_no_version_in_its_first_record(tmp_path: Path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"".join(event(step, [("loss", 1.0)]) for step in range(3)))
    for where in (path, tmp_path):
        (summary,) = find_logs(where)
        assert summary.format == "tensorboard"
        tail = open_tail(summary)
        read_all(tail)
        assert seen(tail) == {"loss": [(step, "1.0") for step in range(3)]}
    damaged = bytearray(path.read_bytes())
    damaged[8] ^= 1  # the checksum of the length
    path.write_bytes(damaged)
    with pytest.raises(MisuseError, match=r"is not a training log|no logs in"):
        find_logs(path)


@pytest.mark.parametrize("name", ["a.jsonl", "metrics.csv", "run-1.wandb", "events.out.tfevents.1"])
def test_a_log_that_is_still_empty_can_be_named(name: str, tmp_path: Path):
    path = tmp_path / name
    path.touch()
    (found,) = find_logs(path)
    tail = open_tail(found)
    read_all(tail)
    assert (seen(tail), tail.bad_lines) == ({}, 0)


def test_a_database_of_another_program_is_told_for_what_it_is(tmp_path: Path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE metrics (name)")
    connection.close()
    with pytest.raises(MisuseError, match="an SQLite database, not of trackio"):
        find_logs(tmp_path / "other.db")
    with pytest.raises(MisuseError, match="no logs in"):
        find_logs(tmp_path)


def test_nothing_to_watch_is_said_with_what_could_be(tmp_path: Path):
    with pytest.raises(MisuseError, match=r"no logs in .*TensorBoard.*trackio"):
        find_logs(tmp_path)


def test_a_path_that_is_not_there(tmp_path: Path):
    with pytest.raises(MisuseError, match=r"there is no .*none"):
        find_logs(tmp_path / "none")


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(name: object) -> object:
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(GenuiError, match="permission denied; check that you may read it"):
        find_logs(tmp_path)


def test_a_folder_below_without_permission_is_noted(many: Path, monkeypatch: pytest.MonkeyPatch):
    scandir = os.scandir

    def refused(name: os.PathLike[str]) -> object:
        if Path(name).name == "hf":
            raise PermissionError(13, "Permission denied", str(name))
        return scandir(name)

    monkeypatch.setattr(os, "scandir", refused)
    found = find_logs(many)
    assert "hf" not in {summary.info.name for summary in found}
    assert "unreadable logs left out (1)" in found.note


def test_links_in_circles_end_and_nothing_is_listed_twice(many: Path):
    (many / "again").symlink_to(many, target_is_directory=True)
    (many / "wandb" / "latest-run").symlink_to(
        many / "wandb" / "offline-run-1-x", target_is_directory=True
    )
    (many / "broken").symlink_to(many / "none")
    names = [summary.info.name for summary in find_logs(many)]
    assert len(names) == len(set(names)) == 13
    assert "wandb/offline-run-1-x" in names


def test_a_folder_may_be_a_log_and_have_logs_below_it(many: Path, capsys: Capture):
    for name in ("tb", "hf"):
        shutil.copytree(many / "tb" / "pair_a", many / "hf" / name)
    (tensorboard,) = [one for one in find_logs(many / "tb") if one.run.path == many / "tb"]
    assert main(["inspect", str(many / "tb"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(tensorboard.run.path)
    assert main(["inspect", str(many / "hf"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "trainer-state"
    assert main(["inspect", str(many), "--json"]) == 2
    told = capsys.readouterr().err
    assert "holds 15 logs" in told
    assert f"genui watch {many}` lists them" in told


@pytest.mark.parametrize("checkpoints", [False, True])
def test_two_logs_in_one_folder_are_both_found(checkpoints: bool, tmp_path: Path):
    shutil.copytree(FIXTURES / "tensorboard" / "pair_a", tmp_path / "out")
    state = tmp_path / "out" / ("checkpoint-10" if checkpoints else "") / "trainer_state.json"
    state.parent.mkdir(exist_ok=True)
    state.write_bytes(whole_log("trainer-state"))
    found = {one.format: one for one in find_logs(tmp_path)}
    assert found.keys() == {"tensorboard", "trainer-state"}
    assert len({one.run.path for one in found.values()}) == 2
    for one in found.values():
        tail = open_tail(one)
        read_all(tail)
        assert seen(tail)
        assert summarise_log(one.run.path, one.format).fault == ""


def test_a_walk_that_is_cut_short_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    deep = tmp_path.joinpath(*"abcdefghijkl")
    deep.mkdir(parents=True)
    (deep / "log.jsonl").write_bytes(whole_log("jsonl"))
    (tmp_path / "log.jsonl").write_bytes(whole_log("jsonl"))
    found = find_logs(tmp_path)
    assert len(found) == 1
    assert "not searched" in found.note
    monkeypatch.setattr(find, "MAX_FILES", 2)
    assert "only the first 2 files" in find_logs(tmp_path).note


def test_a_log_that_is_gone_is_told_in_its_summary(tmp_path: Path):
    for format in FORMATS:
        summary = summarise_log(tmp_path / "none" / "run", format)
        assert summary.state == "failed"
        assert "no longer exists" in summary.fault or "cannot read" in summary.fault


def test_a_log_being_written_is_told_from_a_line_half_written(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"step": 1, "lo')
    with pytest.raises(MisuseError, match="no logs in"):
        find_logs(tmp_path)
    path.write_text('{"step": 1, "loss": 2}\n')
    assert len(find_logs(tmp_path)) == 1


def test_finding_logs_needs_neither_numpy_nor_protobuf(many: Path):
    code = (
        "import sys, pathlib; from genui.logs import find_logs; "
        "find_logs(pathlib.Path(sys.argv[1])); "
        "sys.exit(not sys.modules.keys().isdisjoint({'numpy', 'google.protobuf'}))"
    )
    subprocess.run([sys.executable, "-c", code, str(many)], check=True)


PLUGIN = """
import re
from dataclasses import dataclass
from genui.logs.base import Format, Log
from genui.logs.json_lines import JsonlTail

@dataclass(frozen=True)
class Jobs(Format):
    def owns(self, folder, names):
        return "job.txt" in names

    def logs(self, path, root):
        return [Log(path, (path / "job.txt").read_text(), path.name)]

    def files(self, path):
        return [path / "points"]

    def open(self, path):
        return super().open(path / "points")

LOGS = [
    Jobs("jobs", "jobs of a cluster", JsonlTail),
    Format("dots", "files of dots", JsonlTail, re.compile(r".+[.]dots"),
           lambda head: head.startswith(b"{")),
]
"""


def test_formats_of_a_plug_in_are_found_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "plug.py").write_text(PLUGIN)
    (tmp_path / "logs" / "7").mkdir(parents=True)
    (tmp_path / "logs" / "7" / "job.txt").write_text("owl")
    for name in ("7/points", "a.dots"):
        (tmp_path / "logs" / name).write_bytes(whole_log("jsonl"))
    with pytest.raises(MisuseError):
        find_logs(tmp_path / "logs")
    monkeypatch.setenv("GENUI_PLUGINS", str(tmp_path / "plug.py"))
    found = {one.info.name: one for one in find_logs(tmp_path / "logs")}
    assert {name: one.format for name, one in found.items()} == {"owl": "jobs", "a.dots": "dots"}
    for one in found.values():
        tail = open_tail(one)
        read_all(tail)
        assert len(seen(tail)["train/loss"]) == 30
        assert summarise_log(one.run.path, one.format).fault == ""


def test_the_log_format_of_the_manual_follows_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = (PAGES / "extend.md").read_text("utf-8").partition("## Add a log format")[2]
    (tmp_path / "plug.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    monkeypatch.setenv("GENUI_PLUGINS", str(tmp_path / "plug.py"))
    folder = tmp_path / "logs" / "night"
    folder.mkdir(parents=True)
    (folder / "loss.pairs").write_text("1 0.5\n2 nothing\n3 0.25\n")
    (one,) = find_logs(tmp_path / "logs")
    assert (one.format, one.info.name, one.fault) == ("pairs", "night", "")
    tail = open_tail(one)
    read_all(tail)
    assert ({name: len(series) for name, series in tail.series.items()}, tail.bad_lines) == (
        {"loss": 2}, 1,
    )  # fmt: skip
    with (folder / "loss.pairs").open("a") as file:
        file.write("4 0.125\n5 0.1")  # the last is not whole yet
    (folder / "acc.pairs").write_text("4 0.9\n")
    read_all(tail)
    assert {name: series.steps.tolist() for name, series in tail.series.items()} == {
        "loss": [1, 3, 4], "acc": [4],
    }  # fmt: skip
