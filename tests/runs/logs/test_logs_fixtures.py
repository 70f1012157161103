"""The readers find in the logs of the real tools what was logged."""

import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from log_makers import (
    FIXTURES,
    GROWING,
    SAMPLES,
    mlflow_database,
    mlflow_database_run,
    mlflow_run,
    open_log,
    read_all,
    read_whole,
    seen,
    trackio_database,
    trackio_run,
    wandb_exit,
    wandb_log,
    wandb_row,
    write_log,
)

from genui.logs.base import Tail
from genui.logs.find import find_logs
from genui.logs.formats import FORMATS
from genui.logs.json_lines import JsonlTail
from genui.logs.mlflow import MlflowDatabaseTail
from genui.logs.trackio import TrackioTail
from genui.logs.wandb import WandbTail


def loss(step: int) -> float:
    return 2.0 / (1 + step)


def values_of(tail: Tail, name: str) -> list[tuple[int, float]]:
    steps, values, _ = tail.series[name].points
    return list(zip(steps.tolist(), values.tolist(), strict=True))


def test_each_format_has_a_sample():
    missing = FORMATS.keys() - SAMPLES.keys()
    assert not missing, f"{missing} of genui/logs/formats.py need a row in SAMPLES of log_makers.py"


@pytest.mark.parametrize("format", GROWING)
def test_nothing_in_a_good_log_is_bad(format: str, tmp_path: Path):
    path = tmp_path / "log"
    write_log(format, path)
    tail = open_log(format, path)
    assert tail.progress == 0.0
    read_all(tail)
    assert (tail.bad_lines, tail.progress) == (0, 1.0)
    assert seen(tail)


def test_tensorboard_scalars_of_a_resumed_training():
    tail = read_whole("tensorboard", FIXTURES / "tensorboard")
    steps, values, times = tail.series["train/loss"].points
    assert steps.tolist() == [*range(40), 120, 130]
    expected = [*map(loss, range(40)), loss(120), 7.0]
    assert values.tolist() == [float(np.float32(value)) for value in expected]
    assert times.tolist() == [*range(1000, 1040), 1120.0, 2000.0]
    assert values_of(tail, "as tensor 🙂") == [(120, 120.0)]
    (third, nan), (fourth, infinity) = values_of(tail, "nan")
    assert (third, fourth, infinity) == (3, 4, math.inf)
    assert math.isnan(nan)
    assert tail.series.keys() == {"train/loss", "as tensor 🙂", "nan"}  # no text, no histogram
    assert tail.overlaps == ((130, 300),)
    assert (tail.bad_lines, tail.progress, tail.ended) == (0, 1.0, "")


def test_tensorboard_hyperparameters():
    tail = read_whole("tensorboard", FIXTURES / "tensorboard-hparams")
    assert tail.config["lr"] == 0.1
    assert tail.config["name"] == "x"
    assert values_of(tail, "score") == [(0, 0.5)]


def test_wandb_history_config_console_and_exit():
    tail = WandbTail(FIXTURES / "run-fixture.wandb")
    read_all(tail)
    assert values_of(tail, "loss") == [(step, loss(step)) for step in range(5)]
    assert values_of(tail, "nested/deep") == [(step, float(step)) for step in range(5)]
    assert values_of(tail, "huge") == [(step, 1e300) for step in range(5)]
    assert values_of(tail, "x" * 200) == [(step, float(step)) for step in range(5)]
    assert values_of(tail, "late") == [(9, 1.0)]
    assert all(math.isnan(value) for _, value in values_of(tail, "nan"))
    assert not any(name.startswith("_") or name == "word" for name in tail.series)
    assert np.all(tail.series["loss"].times > 1.7e9)
    assert tail.config == {"lr": 3e-4, "model": {"dim": 64}}
    assert [line for _, line in tail.extras.console] == ["hello console"]
    assert (tail.bad_lines, tail.progress, tail.ended) == (0, 1.0, "finished")


def test_lightning_csv_with_rows_for_training_and_for_validation():
    tail = read_whole("csv", FIXTURES / "metrics.csv")
    assert values_of(tail, "train_loss") == [(step, loss(step)) for step in range(6)]
    assert values_of(tail, "val_loss") == [(2, loss(2) / 2), (5, loss(5) / 2)]
    assert tail.series.keys() == {"epoch", "train_loss", "val_loss"}


def test_hugging_face_history():
    tail = read_whole("trainer-state", FIXTURES / "trainer_state.json")
    assert values_of(tail, "loss") == [(step, loss(step)) for step in range(10, 41, 10)]
    assert math.isnan(values_of(tail, "eval_loss")[0][1])
    assert tail.config["max_steps"] == 40
    assert tail.ended == "finished"


def test_trackio_runs_in_one_database(tmp_path: Path):
    database = trackio_database(tmp_path)
    for name in ("first", "second"):
        tail: Any = TrackioTail(trackio_run(database, name))
        read_all(tail)
        assert values_of(tail, "loss") == [(step, loss(step)) for step in range(3)]
        assert values_of(tail, "nested/deep") == [(step, float(step)) for step in range(3)]
        assert math.isnan(values_of(tail, "nan")[0][1])
        assert np.all(tail.series["loss"].times > 1.7e9)
        assert tail.config == {"lr": 1e-3}
        assert (tail.bad_lines, tail.progress) == (0, 1.0)


def test_mlflow_metrics_parameters_and_state():
    tail = read_whole("mlflow", mlflow_run())
    assert values_of(tail, "loss") == [(step, loss(step)) for step in range(30)]
    assert values_of(tail, "train/acc") == [(step, step / 10) for step in range(30)]
    assert seen(tail)["not finite"] == [(3, "nan"), (4, "-inf")]
    assert np.all(tail.series["loss"].times > 1.7e9)
    assert np.all(tail.series["loss"].times < 2e9)
    assert tail.config == {"lr": "0.0003", "model/dim": "64", "prompt": "two\nlines"}
    assert (tail.bad_lines, tail.progress, tail.ended) == (0, 1.0, "finished")
    assert read_whole("mlflow", mlflow_run("n n")).ended == "failed"


def test_mlflow_database(tmp_path: Path):
    database = mlflow_database(tmp_path)
    found = {one.info.name: one for one in find_logs(tmp_path)}
    assert found.keys() == {"owl: nest #1/quiet: owl", "owl: nest #1/failed"}
    quiet = found["owl: nest #1/quiet: owl"]
    assert (quiet.labels.tags, quiet.labels.note) == (("site=north",), "a note")
    assert (quiet.info.project, quiet.state) == ("owl: nest #1", "finished")
    assert quiet.info.created > 1.7e9
    assert found["owl: nest #1/failed"].state == "failed"
    tail = MlflowDatabaseTail(mlflow_database_run(database))
    read_all(tail)
    assert values_of(tail, "loss") == [(step, loss(step)) for step in range(30)]
    assert values_of(tail, "train/acc") == [(step, step / 10) for step in range(30)]
    assert seen(tail)["not finite"] == [(3, "nan"), (4, "-inf")]
    assert np.all(tail.series["loss"].times > 1.7e9)
    assert tail.config == {"lr": "0.0003", "model/dim": "64"}
    assert (tail.bad_lines, tail.progress, tail.ended) == (0, 1.0, "finished")


def test_an_mlflow_database_is_followed_as_it_is_written(tmp_path: Path):
    database = mlflow_database(tmp_path)
    path = mlflow_database_run(database)
    tail = MlflowDatabaseTail(path)
    read_all(tail)
    before = len(tail.series["loss"])
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO metrics VALUES ('loss', 0.5, 1700000000000, ?, 40, 0), "
            "('loss', 'x', 1700000000001, ?, 41, 0), ('loss', 0.5, 1700000000002, ?, -1, 0)",
            (path.name,) * 3,
        )
        connection.execute("UPDATE runs SET status = 'KILLED' WHERE run_uuid = ?", (path.name,))
    connection.close()
    read_all(tail)
    assert len(tail.series["loss"]) == before + 1
    assert values_of(tail, "loss")[-1] == (40, 0.5)
    assert (tail.bad_lines, tail.ended) == (2, "stopped")


def test_mlflow_file_store_has_tags_and_notes(tmp_path: Path):
    run = tmp_path / "1" / "abc"
    (run / "metrics").mkdir(parents=True)
    (run / "tags").mkdir()
    (run / "meta.yaml").write_text("run_id: abc\nrun_name: owl\nstart_time: 1700000000000\n")
    for name, text in {"site": "north", "mlflow.note.content": "a note", "bare": ""}.items():
        (run / "tags" / name).write_text(text)
    (one,) = find_logs(tmp_path)
    assert (one.labels.tags, one.labels.note) == (("bare", "site=north"), "a note")
    assert one.info.created == 1.7e9


@pytest.mark.parametrize(
    ("line", "step", "time"),
    [
        ('{"_step": 3, "_timestamp": 1700000000.5, "loss": 1}', 3, 1700000000.5),
        ('{"global_step": 3, "time": 1700000000500, "loss": 1}', 3, 1700000000.5),
        ('{"iter": 3.0, "wall_time": 1700000000, "loss": 1}', 3, 1700000000.0),
        ('{"Iteration": 3, "timestamp": "2023-11-14T22:13:20+00:00", "loss": 1}', 3, 1700000000.0),
        ('{"epoch": 3, "loss": 1}', 3, math.nan),
        ('{"loss": 1, "epoch": 0.5}', 0, math.nan),  # no step: the number of the record
    ],
)
def test_jsonl_in_many_dialects(tmp_path: Path, line: str, step: int, time: float):
    path = tmp_path / "log.jsonl"
    path.write_text(line + "\n")
    tail = read_whole("jsonl", path)
    steps, values, times = tail.series["loss"].points
    assert (steps.tolist(), values.tolist()) == ([step], [1.0])
    assert times.tolist() == pytest.approx([time], nan_ok=True)
    assert tail.series.keys() <= {"loss", "epoch"}


def test_jsonl_with_the_name_of_a_metric_beside_its_value(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"name": "loss", "value": 2.5, "step": 1, "time": 1.7e9}\n'
        '{"name": "acc", "value": 0.5, "step": 1, "time": 1.7e9}\n'
        '{"metric": "loss", "value": 1.5, "step": 2, "split": "val", "time": 1.7e9}\n'
        '{"name": "run-7", "value": 3, "loss": 0.5, "step": 3}\n'
    )
    assert seen(read_whole("jsonl", path)) == {
        "loss": [(1, "2.5"), (3, "0.5")],
        "acc": [(1, "0.5")],
        "val/loss": [(2, "1.5")],
        "value": [(3, "3.0")],
    }


@pytest.mark.parametrize("time", ["1e300", "-5", '"noon"', "1e999", "[]", "true", "9" * 400])
def test_a_time_that_is_none_is_unknown_and_costs_nothing_else(time: str, tmp_path: Path):
    path = tmp_path / "log.jsonl"
    path.write_text(
        f'{{"step":1,"time":1.7e9,"loss":2}}\n{{"step":2,"time":{time},"loss":1}}\n'
        '{"step":3,"time":1.6e9,"loss":0}\n'
    )
    tail = JsonlTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "2.0"), (2, "1.0"), (3, "0.0")]}
    assert str(tail.series["loss"].times.tolist()) == "[1700000000.0, nan, 1600000000.0]"


def test_jsonl_settings_before_the_first_step_are_no_points(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"lr": 0.1}\n{"step": 5, "loss": 2}\n{"step": "x", "loss": 1}\n')
    tail = read_whole("jsonl", path)
    assert seen(tail) == {"loss": [(5, "2.0")]}
    assert tail.bad_lines == 2


@pytest.mark.parametrize("key", [1, 2])
def test_wandb_rows_of_older_and_newer_versions(key: int, tmp_path: Path):
    path = tmp_path / "log"
    names = ["loss", "\u0082 word", "a" * 120, "b" * 300]
    rows = [
        wandb_row(
            [("_step", str(step)), ("_timestamp", "1.7e9"), *((name, "0.5") for name in names)],
            key=key,
        )
        for step in (3, 4)
    ]
    mixed = wandb_row([("word", '"text"'), ("loss", "NaN"), ("_step", "5")], key=key)
    path.write_bytes(wandb_log(*rows, mixed))
    tail = read_whole("wandb", path)
    assert seen(tail) == {
        name: [(3, "0.5"), (4, "0.5")] + [(5, "nan")] * (name == "loss") for name in names
    }
    assert tail.series["loss"].times[:2].tolist() == [1.7e9, 1.7e9]
    assert tail.bad_lines == 0


def test_wandb_rows_whose_step_is_beside_them_and_records_across_blocks(tmp_path: Path):
    path = tmp_path / "log"
    long = [wandb_row([("loss", str(step)), ("notes", '"%s"' % ("x" * 50_000))], step=step)
            for step in range(4)]  # fmt: skip
    short = wandb_row([("loss", "7")], step=2**40)
    path.write_bytes(wandb_log(*long, short, wandb_exit(1)))
    tail = read_whole("wandb", path)
    assert seen(tail) == {
        "loss": [*((step, repr(float(step))) for step in range(4)), (2**40, "7.0")]
    }
    assert (tail.bad_lines, tail.ended) == (0, "failed")
