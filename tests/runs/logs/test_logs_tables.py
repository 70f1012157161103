"""CSV and JSON lines as many tools write them. What is said of a version was written by it."""

import math
from pathlib import Path

import pytest
from log_makers import read_all, seen

from genui.base.errors import GenuiError
from genui.logs import open_tail
from genui.logs.base import Tail
from genui.logs.find import find_logs
from genui.logs.records import decode_settings

Points = dict[str, dict[int, float]]


def read(path: Path, text: str) -> Tail:
    """The log with this text, found in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (summary,) = find_logs(path.parent)
    tail = open_tail(summary)
    read_all(tail)
    return tail


def points(tail: Tail) -> Points:
    return {name: {step: float(v) for step, v in row} for name, row in seen(tail).items()}


def read_named(path: Path, text: str) -> Points:
    """The same of a log that has to be named, without damage."""
    path.write_text(text)
    (summary,) = find_logs(path)
    tail = open_tail(summary)
    read_all(tail)
    assert tail.bad_lines == 0
    return points(tail)


def test_the_split_of_a_row_gives_its_curves_their_names(tmp_path: Path):
    text = "step,split,loss\n1,train,2.5\n1,val,3.0\n2,train,2.0\n2,val,2.75\n"
    tail = read(tmp_path / "run" / "metrics.csv", text)
    assert points(tail) == {"loss": {1: 2.5, 2: 2.0}, "val/loss": {1: 3.0, 2: 2.75}}
    assert tail.bad_lines == 0


def test_progress_of_stable_baselines3(tmp_path: Path):  # 2.9.2
    csv = (
        "time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/loss\n"
        "1,2048,20.5,\n2,4096,21.5,1.0\n3,6144,22.5,0.5\n"
    )
    json = (
        '{"time/total_timesteps": 2048, "time/iterations": 1, "rollout/ep_rew_mean": 20.5}\n'
        '{"time/total_timesteps": 4096, "time/iterations": 2, "rollout/ep_rew_mean": 21.5, '
        '"train/loss": 1.0}\n'
        '{"time/total_timesteps": 6144, "time/iterations": 3, "rollout/ep_rew_mean": 22.5, '
        '"train/loss": 0.5}\n'
    )
    expected = {
        "time/iterations": {2048: 1.0, 4096: 2.0, 6144: 3.0},
        "rollout/ep_rew_mean": {2048: 20.5, 4096: 21.5, 6144: 22.5},
        "train/loss": {4096: 1.0, 6144: 0.5},
    }
    for name, text in {"progress.csv": csv, "progress.json": json}.items():
        tail = read(tmp_path / name / name, text)
        assert (points(tail), tail.bad_lines) == (expected, 0)
    assert [one.info.name for one in find_logs(tmp_path)] != ["progress.csv/progress.csv"]


def test_lightning_has_its_settings_beside_the_metrics(tmp_path: Path):  # 2.6.6
    (tmp_path / "hparams.yaml").write_text(
        "layers:\n- 64\n- 32\nlr: 0.001\nnone: null\nnote: 'a: b'\n"
        "opt:\n  amsgrad: false\n  name: adam\n"
    )
    tail = read(tmp_path / "metrics.csv", "epoch,step,train_loss\n0,0,1.0\n0,1,0.5\n")
    assert tail.config == {
        "layers": [64, 32], "lr": 1e-3, "none": None, "note": "a: b",
        "opt.amsgrad": False, "opt.name": "adam",
    }  # fmt: skip
    assert points(tail)["train_loss"] == {0: 1.0, 1: 0.5}


def test_results_of_ultralytics_have_padded_columns(tmp_path: Path):
    (tmp_path / "args.yaml").write_text("task: detect\nlr0: 0.01\nfreeze: null\n")
    tail = read(
        tmp_path / "results.csv",
        "                  epoch,         train/box_loss\n"
        "                      1,                 1.5\n"
        "                      2,                1.25\n",
    )
    assert points(tail) == {"train/box_loss": {1: 1.5, 2: 1.25}}
    assert tail.config == {"task": "detect", "lr0": 0.01, "freeze": None}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("metrics.json", '{"iteration": 19, "total_loss": 1.5, "lr": 0.1}'),  # Detectron2
        ("vis_data/scalars.json", '{"lr": 0.1, "total_loss": 1.5, "iter": 19, "step": 19}'),
        ("20260101_120000.log.json", '{"mode": "train", "iter": 19, "total_loss": 1.5}'),
        ("log.txt", '{"train_lr": 0.1, "total_loss": 1.5, "epoch": 19}'),  # DeiT, MAE
    ],
)
def test_json_lines_of_other_names_are_found_in_a_folder(name: str, line: str, tmp_path: Path):
    tail = read(tmp_path / name, line + "\n")
    assert points(tail)["total_loss"] == {19: 1.5}


def test_other_files_of_these_names_are_no_json_lines(tmp_path: Path):
    (tmp_path / "metrics.json").write_text('{\n  "loss": 1\n}\n')
    (tmp_path / "log.txt").write_text("hello\n")
    (tmp_path / "a.jsonl").write_text('{"step": 1, "loss": 2}\n')
    assert "metrics.json" not in {one.run.path.name for one in find_logs(tmp_path)}


@pytest.mark.parametrize("key", ["type", "mode", "split", "phase", "stage"])
def test_records_of_an_evaluation_are_curves_of_their_own(key: str, tmp_path: Path):
    tail = read(
        tmp_path / "a.jsonl",
        f'{{"{key}": "train", "step": 1, "loss": 2, "lr": 0.1}}\n'
        f'{{"{key}": "eval", "step": 1, "loss": 3, "eval_acc": 0.5}}\n'
        f'{{"{key}": "Test", "step": 1, "loss": 4}}\n'
        f'{{"{key}": "other", "step": 2, "loss": 1}}\n',
    )
    assert points(tail) == {
        "loss": {1: 2.0, 2: 1.0}, "lr": {1: 0.1},
        "eval/loss": {1: 3.0}, "eval_acc": {1: 0.5}, "test/loss": {1: 4.0},
    }  # fmt: skip
    assert (tail.bad_lines, tuple(tail.overlaps)) == (0, ())


def test_iterations_that_begin_again_in_each_epoch_are_steps_of_the_run(tmp_path: Path):
    text = "".join(
        f'{{"mode": "train", "epoch": {epoch}, "iter": {step}, "loss": {epoch * 100 + step}}}\n'
        + f'{{"mode": "val", "epoch": {epoch}, "iter": 7, "acc": {epoch}}}\n' * (step == 100)
        for epoch in (1, 2, 3)
        for step in (50, 100)
    )
    tail = read(tmp_path / "a.log.json", text)
    assert points(tail)["loss"] == {
        50: 150.0, 100: 200.0, 150: 250.0, 200: 300.0, 250: 350.0, 300: 400.0,
    }  # fmt: skip
    assert points(tail)["val/acc"] == {100: 1.0, 200: 2.0, 300: 3.0}
    assert points(tail)["epoch"][300] == 3.0
    table = "epoch,batch,loss\n" + "".join(f"{e},{b},{e}.5\n" for e in (0, 1) for b in (1, 2))
    assert read_named(tmp_path / "a.csv", table)["loss"] == {1: 0.5, 2: 0.5, 3: 1.5, 4: 1.5}


def test_iterations_from_zero_in_each_epoch_lose_none(tmp_path: Path):
    text = "".join(f'{{"epoch": {e}, "iter": {i}, "loss": {e}}}\n' for e in (0, 1) for i in (0, 1))
    assert points(read(tmp_path / "a.jsonl", text))["loss"] == {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0}


def test_a_record_without_a_step_belongs_to_the_last_step(tmp_path: Path):
    tail = read(
        tmp_path / "a.jsonl",
        '{"step": 10, "epoch": 0, "loss": 3}\n{"epoch": 1, "val_loss": 4}\n'
        '{"step": 20, "epoch": 1, "loss": 2}\n{"epoch": 2, "val_loss": 3}\n{"test_acc": 0.5}\n',
    )
    found = points(tail)
    assert (found["loss"], found["val_loss"]) == ({10: 3.0, 20: 2.0}, {10: 4.0, 20: 3.0})
    assert (found["test_acc"], tail.bad_lines) == ({20: 0.5}, 0)


def test_the_number_of_steps_in_a_header_is_no_step(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    tail = read(path, '{"steps": 1000, "lr": 0.1}\n')
    with path.open("a") as file:
        file.write('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n')
    read_all(tail)
    assert points(tail) == {"loss": {1: 3.0, 2: 2.0}}


def test_a_resumed_training_does_not_begin_again(tmp_path: Path):
    lines = [(1, 10), (1, 20), (2, 30), (1, 20), (2, 30), (2, 40)]
    text = "".join(f'{{"epoch": {e}, "step": {s}, "loss": {s}}}\n' for e, s in lines)
    tail = read(tmp_path / "a.jsonl", text)
    assert points(tail)["loss"] == {10: 10.0, 20: 20.0, 30: 30.0, 40: 40.0}
    assert tuple(tail.overlaps) == ((20, 30),)


@pytest.mark.parametrize("first", ["0", "0.1", "1.0"])
def test_a_fraction_of_an_epoch_is_no_step(first: str, tmp_path: Path):
    tail = read(
        tmp_path / "a.jsonl",
        f'{{"epoch": {first}, "loss": 3}}\n'
        '{"epoch": 1.5, "loss": 2}\n{"epoch": 2, "loss": 1}\n',
    )
    assert points(tail)["loss"] == {0: 3.0, 1: 2.0, 2: 1.0}
    assert points(tail)["epoch"] == {0: float(first), 1: 1.5, 2: 2.0}
    assert tail.bad_lines == 0
    table = f"epoch,loss\n{first},3\n1.5,2\n2,1\n"
    assert read_named(tmp_path / "a.csv", table)["loss"] == {0: 3.0, 1: 2.0, 2: 1.0}


def test_numbers_in_strings(tmp_path: Path):
    tail = read(
        tmp_path / "a.jsonl",
        '{"epoch": 1, "update": 0.1, "loss": "9.5", "num_updates": "100", "lr": "1e-05"}\n'
        '{"epoch": 1, "update": 0.2, "loss": "nan", "num_updates": "200", "word": "12 owls"}\n',
    )
    found = points(tail)
    assert found.keys() == {"epoch", "update", "loss", "lr"}
    assert found["lr"] == {100: 1e-5}
    assert found["loss"][100] == 9.5
    assert math.isnan(found["loss"][200])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step;loss\n1;0,5\n2;1,25e-1\n", {"loss": {1: 0.5, 2: 0.125}}),
        ("# a comment\n#more\nstep,loss\n1,2\n", {"loss": {1: 2.0}}),
        ("loss,acc\n2.5,0.1\n1.5,0.2\n", {"loss": {0: 2.5, 1: 1.5}, "acc": {0: 0.1, 1: 0.2}}),
        (",step,loss\n0,5,1\n1,6,2\n", {"loss": {5: 1.0, 6: 2.0}}),
        ("num_updates,loss\n5,1\n", {"loss": {5: 1.0}}),
        ("timestep\tloss\n5\t1\n", {"loss": {5: 1.0}}),
    ],
)
def test_tables_in_many_dialects(text: str, expected: Points, tmp_path: Path):
    assert read_named(tmp_path / "a.csv", text) == expected


def test_a_table_of_words_is_no_log(tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text("name,age,town\nx,2,y\n")
    with pytest.raises(GenuiError, match="is not a training log"):
        find_logs(path)


def test_what_is_no_setting_is_left_out():
    text = "a: 1\n\n# b: 2\nno colon\n- 3\nc: !!python/name:x\nd:\n  - e\n  f: .5\n'g': \"x\\ty\"\n"
    assert decode_settings(text) == {"a": 1, "c": "!!python/name:x", "d": ["e"], "d.f": 0.5,
                                     "g": "x\ty"}  # fmt: skip


def test_a_setting_that_pyyaml_broke_into_lines_is_whole():
    name, note = "name: many words that\n  are broken and\n  go on\n", "note: 'it''s\n  two'\n"
    text = f"{name}{note}opt:\n  # of Adam\n  lr: 1\n"
    assert decode_settings(text) == {"name": "many words that are broken and go on",
                                     "note": "it's two", "opt.lr": 1}  # fmt: skip


def test_a_folder_of_dvclive_is_one_run_with_whole_names(tmp_path: Path):
    metrics = tmp_path / "run" / "plots" / "metrics"
    (metrics / "train").mkdir(parents=True)
    (metrics / "train" / "loss.tsv").write_text("step\tloss\n0\t1.0\n1\t0.5\n")
    (metrics / "val").mkdir()
    (metrics / "val" / "loss.tsv").write_text("timestamp\tstep\tloss\n1700000000000\t1\t0.75\n")
    (metrics / "acc.tsv").write_text("step\tacc\n0\t0.25\n")
    (tmp_path / "run" / "params.yaml").write_text("lr: 0.1\nmodel:\n  width: 8\n")
    (tmp_path / "run" / "metrics.json").write_text("{}")
    (one,) = find_logs(tmp_path)
    assert (one.format, one.info.name) == ("dvclive", "run")
    tail = open_tail(one)
    while tail.read():
        pass
    assert points(tail) == {
        "train/loss": {0: 1.0, 1: 0.5}, "val/loss": {1: 0.75}, "acc": {0: 0.25},
    }  # fmt: skip
    assert tail.config == {"lr": 0.1, "model.width": 8}
    (metrics / "acc.tsv").write_text("a\tb\nx\ty\n")
    with (metrics / "train" / "loss.tsv").open("a") as file:
        file.write("2\t0.25\n")
    while tail.read():
        pass
    assert points(tail)["train/loss"] == {0: 1.0, 1: 0.5, 2: 0.25}
    assert tail.bad_lines == 1


def test_the_printed_log_beside_the_scalars_of_mmengine_is_not_another_run(tmp_path: Path):
    work = tmp_path / "20260101_120000"
    (work / "vis_data").mkdir(parents=True)
    (work / "20260101_120000.log").write_text("Epoch(train) [1][20/100] loss: 1.5\n")
    assert [one.format for one in find_logs(tmp_path)] == ["text"]
    (work / "vis_data" / "scalars.json").write_text('{"loss": 1.5, "iter": 20, "step": 20}\n')
    assert [one.format for one in find_logs(tmp_path)] == ["jsonl"]
    assert [one.format for one in find_logs(work / "20260101_120000.log")] == ["text"]
