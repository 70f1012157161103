"""What the tail holds of a metric: its order, its arrays, its times."""

import math
from pathlib import Path

import numpy as np
import pytest
from tail_reading import read_all, seen

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
