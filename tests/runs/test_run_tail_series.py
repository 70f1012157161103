"""What the tail holds of a metric: its order, its arrays, its times."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from tail_reading import read_all, seen

from genui.logs.json_lines import JsonlTail
from genui.logs.native import MetricsTail


def test_metrics_keep_the_order_in_which_they_appeared(tmp_path: Path):
    path = tmp_path / "m"
    path.write_text(
        "".join(f'{{"step":{n},"loss":1,"acc":2,"Zeta":{{"b":1,"a":2}}}}\n' for n in range(40))
        + '{"step":40,"acc":1,"above":1}\n'
    )
    tail = MetricsTail(path)
    read_all(tail)
    assert list(tail.series) == ["loss", "acc", "Zeta/b", "Zeta/a", "above"]


def test_a_metric_whose_points_are_all_undone_is_gone_until_it_comes_again(tmp_path: Path):
    path = tmp_path / "m"
    path.write_text('{"step":1,"loss":1}\n{"step":2,"val":1}\n{"step":1,"rewind":true}\n')
    tail = MetricsTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": {1: "1.0"}}
    with path.open("a") as file:
        file.write('{"step":2,"val":3}\n')
    read_all(tail)
    assert seen(tail) == {"loss": {1: "1.0"}, "val": {2: "3.0"}}


def test_arrays_taken_earlier_do_not_change(tmp_path: Path):
    path = tmp_path / "m"
    path.write_text("".join(f'{{"step":{n},"loss":{n}}}\n' for n in range(300)))
    tail = MetricsTail(path)
    read_all(tail)
    steps, before, _ = tail.series["loss"].points
    copy = before.copy()
    with path.open("a") as file:
        file.write('{"step":100,"rewind":true}\n')
        file.write("".join(f'{{"step":{n},"loss":-1}}\n' for n in range(101, 2000)))
    read_all(tail)
    assert np.array_equal(before, copy)
    assert len(steps) == 300
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 5.0
    assert tail.series["loss"].values[101:].tolist() == [-1.0] * 1899


def test_times_belong_to_their_points(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(
        b'{"step":2,"time":20,"loss":1}\n{"step":1,"time":30,"loss":1}\n{"step":3,"loss":1}\n'
    )
    tail = MetricsTail(path)
    read_all(tail)
    times = tail.series["loss"].times
    assert times[:2].tolist() == [30.0, 20.0]
    assert math.isnan(times[2])


@pytest.mark.parametrize("reader", [MetricsTail, JsonlTail])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_that_are_mostly_logged_together_keep_their_own_points(
    tmp_path: Path, reader: type[MetricsTail] | type[JsonlTail], seed: int
) -> None:
    """Their steps are stored once, until one is left out, comes late or is logged again."""
    draw = random.Random(seed)
    expected: dict[str, dict[int, float]] = {name: {} for name in "abc"}
    lines: list[str] = []
    step = 0
    for _ in range(4000):
        step = max(0, step - draw.randrange(30)) if draw.random() < 0.002 else step + 1
        record = {name: draw.randrange(100) / 4 for name in "abc"}
        if draw.random() < 0.01:
            del record[draw.choice("abc")]
        for name, value in record.items():
            expected[name][step] = value
        lines.append(json.dumps({"step": step, "time": 1.6e9 + step, **record}) + "\n")
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines))
    tail = reader(path)
    while tail.read(8192):
        continue
    for name, points in expected.items():
        steps, values, times = tail.series[name].points
        assert steps.tolist() == sorted(points)
        assert values.tolist() == [points[at] for at in sorted(points)]
        assert np.array_equal(times, 1.6e9 + steps)
