"""Offline sessions of ClearML, as clearml 2.1.12 writes them."""

import json
from pathlib import Path
from typing import Any

import pytest
from log_makers import read_all, seen

from genui.logs import open_tail
from genui.logs.clearml import ClearMlTail
from genui.logs.find import find_logs

TASK = {
    "id": "offline-42",
    "name": "night",
    "project_name": "owls",
    "tags": ["a tag"],
    "hyperparams": {
        "General": {"lr": {"name": "lr", "section": "General", "type": "float", "value": "0.001"}},
        "Model": {"dim": {"name": "dim", "value": "64"}},
    },
    "script": {"diff": "print()"},
}


def scalar(step: Any, variant: str, value: Any, **more: object) -> dict[str, Any]:
    return {
        "timestamp": 1700000000000 + 1000 * (step if type(step) is int else 0),
        "type": "training_stats_scalar", "task": "offline-42", "iter": step, "metric": "loss",
        "variant": variant, "value": value, "method": "get", **more,
    }  # fmt: skip


def session(folder: Path, *lines: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(TASK))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = {"timestamp": 1700000000000, "type": "log", "level": "info", "msg": "hoo\nhoo"}
    (folder / "log.jsonl").write_text(json.dumps([log]) + "\n")
    return folder


def test_scalars_settings_console_and_names(tmp_path: Path):
    both = [scalar(0, "train", 2.0), scalar(0, "val", 3.0)]
    session(tmp_path / "offline-42", both, [scalar(1, "train", 1)])
    (one,) = find_logs(tmp_path)
    assert (one.format, one.info.name, one.info.project) == ("clearml", "night", "owls")
    assert one.labels.tags == ("a tag",)
    tail = open_tail(one)
    read_all(tail)
    assert seen(tail) == {"loss/train": [(0, "2.0"), (1, "1.0")], "loss/val": [(0, "3.0")]}
    assert tail.series["loss/train"].times.tolist() == [1.7e9, 1.7e9 + 1]
    assert tail.config == {"lr": "0.001", "Model/dim": "64"}
    assert tail.extras.console == ((1.7e9, "hoo"), (1.7e9, "hoo"))
    assert (tail.bad_lines, tail.progress) == (0, 1.0)


def test_a_session_is_followed_and_damage_costs_only_itself(tmp_path: Path):
    folder = session(tmp_path / "a", [scalar(0, "loss", 2.0)])
    (folder / "task.json").write_text("{")
    (one,) = find_logs(tmp_path)
    assert one.info.name == "a"
    tail = ClearMlTail(folder)
    read_all(tail)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"no": "list"}\n[1]\n')
        file.write(json.dumps([scalar(-1, "loss", 1), scalar("x", "loss", 1)]) + "\n")
        file.write(json.dumps([{"type": "plot", "iter": 1}, scalar(1, "loss", 1.5)]) + "\n[{")
    (folder / "task.json").write_text(json.dumps(TASK))
    read_all(tail)
    assert seen(tail) == {"loss": [(0, "2.0"), (1, "1.5")]}
    assert tail.bad_lines == 4
    assert tail.extras.about.name == "night"


@pytest.mark.parametrize("task", ['{"hyperparams": {"a": 1, "b": {"c": 2}}}', "[]", '{"tags": 3}'])
def test_an_odd_task_is_no_obstacle(task: str, tmp_path: Path):
    folder = session(tmp_path / "a", [scalar(0, "loss", 2.0)])
    (folder / "task.json").write_text(task)
    tail = ClearMlTail(folder)
    read_all(tail)
    assert tail.config == {}
    assert len(find_logs(tmp_path)) == 1


def test_numbers_beyond_all_floats_cost_only_themselves(tmp_path: Path):
    huge = int("9" * 400)
    folder = session(
        tmp_path / "a",
        [scalar(0, "train", 2.0, timestamp=huge)],
        [scalar(1, "train", huge), scalar(2**63, "train", 1.0), scalar(2, "train", 1.0)],
    )
    (one,) = find_logs(folder)
    tail = open_tail(one)
    read_all(tail)
    assert seen(tail) == {"loss/train": [(0, "2.0"), (2, "1.0")]}
    assert tail.bad_lines == 2
