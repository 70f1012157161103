"""What can be logged as a number, under which name and for which step."""

import math
import threading
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from api_runs import folder, records, said
from hypothesis import given
from hypothesis import strategies as st

import genui
from genui.logs.native import MetricsTail
from genui.runs.api import LONGEST_LINE
from genui.runs.media import MAX_NOTES
from genui.runs.writer import RESERVED


def test_numbers_of_every_kind_are_written_as_they_read(capsys: pytest.CaptureFixture[str]):
    class Tensor:
        def item(self) -> float:
            return 0.5

    values: dict[Any, Any] = {
        "float": 1.5,
        "int": 3,
        "huge": 10**30,
        "bool": True,
        "np": np.float32(0.25),
        "np int": np.int64(7),
        "np bool": np.bool_(False),
        "tensor": Tensor(),
        "decimal": Decimal("2.5"),
        "nan": math.nan,
        "inf": np.float32(math.inf),
        "-inf": -math.inf,
        "val": {"loss": 1.0, "deep": {"er": 2}},
        1: 4,
    }
    run = genui.init("values")
    run.log(values)
    assert records(run) == [
        {"step": 0, "float": 1.5, "int": 3, "huge": 1e30, "bool": 1, "np": 0.25, "np int": 7,
         "np bool": 0, "tensor": 0.5, "decimal": 2.5, "nan": "NaN", "inf": "Infinity",
         "-inf": "-Infinity", "val/loss": 1.0, "val/deep/er": 2, "1": 4}
    ]  # fmt: skip
    assert said(capsys) == []


def test_what_is_no_number_is_said_once_a_key_and_costs_nothing_else(
    capsys: pytest.CaptureFixture[str],
):
    run = genui.init("values")
    for _ in range(3):
        run.log({"a": object(), "b": None, "c": np.zeros(3), "d": [1, 2], "e": 10**400, "ok": 1.0})
    assert records(run) == [{"step": step, "ok": 1.0} for step in range(3)]
    assert said(capsys) == [
        "genui: 'a' is left out: object is not a number",
        "genui: 'b' is left out: NoneType is not a number",
        "genui: 'c' is left out: ndarray is not a number",
        "genui: 'd' is left out: list is not a number",
        "genui: 'e' is left out: int is not a number",
    ]


def test_names_a_record_has_already_and_names_no_file_can_hold(capsys: pytest.CaptureFixture[str]):
    run = genui.init("names")
    run.log({"step": 5, "time": 0.1, "\ud800x": 1.0, "a/b \x1b[31m[red]": 2.0, "": 3.0})
    (record,) = records(run)
    assert record == {"step": 0, "logged/step": 5, "logged/time": 0.1, "?x": 1.0,
                      "a/b \x1b[31m[red]": 2.0, "": 3.0}  # fmt: skip
    assert len(said(capsys)) == 2


def test_a_script_full_of_faults_is_told_of_some(capsys: pytest.CaptureFixture[str]):
    genui.init("faults").log({f"bad {n}": object() for n in range(1000)})
    assert len(said(capsys)) == MAX_NOTES


@pytest.mark.parametrize("data", [None, 3, "loss", [1], {"loss": 1.0}.items()])
def test_what_is_no_dict_is_said_and_the_next_log_counts(
    data: Any, capsys: pytest.CaptureFixture[str]
):
    run = genui.init("no dict")
    run.log(data)
    run.log({"loss": 1.0})
    assert len(records(run)) == 1
    (line,) = said(capsys)
    assert line.startswith("genui: a record is lost")


def test_a_record_longer_than_a_reader_takes_is_written_in_parts():
    run = genui.init("wide")
    wide = {f"{index:0190}": 0.5 for index in range(8000)}
    run.log(wide)
    lines = folder(run).metrics.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    assert all(len(line) <= LONGEST_LINE for line in lines)
    assert {name for record in records(run) for name in record} == {"step", *wide}


def test_steps_count_as_wandb_counts_them():
    run = genui.init("steps")
    run.log({"a": 1})
    run.log({"b": 1}, commit=False)
    run.log({"b": 2})
    run.log({"c": 3}, step=10)
    run.log({"d": 3})  # the same step, since 10 is not committed yet
    run.log({"e": 4}, step=np.int64(20), commit=True)
    run.log({"f": 5})
    steps = [(record["step"], *sorted(set(record) - {"step"})) for record in records(run)]
    assert steps == [
        (0, "a"), (1, "b"), (1, "b"), (10, "c"), (10, "d"), (20, "e"), (21, "f"),
    ]  # fmt: skip
    assert run.step == 22


@pytest.mark.parametrize("step", [-1, math.nan, "3", 2**70, object()])
def test_a_step_that_is_none_is_counted_instead(step: Any, capsys: pytest.CaptureFixture[str]):
    run = genui.init("steps")
    run.log({"a": 1})
    run.log({"a": 2}, step=step)
    assert [record["step"] for record in records(run)] == [0, 1]
    assert len(said(capsys)) == 1


def test_the_reader_of_metrics_takes_what_is_logged():
    run = genui.init("read")
    for step in range(4):
        run.log({"loss": math.nan if step == 2 else float(step)}, step=step * 10)
    tail = MetricsTail(folder(run).metrics)
    while tail.read():
        continue
    steps, values, _ = tail.series["loss"].points
    assert steps.tolist() == [0, 10, 20, 30]
    assert np.array_equal(values, [0, 1, math.nan, 3], equal_nan=True)
    assert tail.bad_lines == 0


def test_whatever_is_logged_nothing_raises_and_every_line_is_a_record():
    run = genui.init("anything")
    tail = MetricsTail(folder(run).metrics)
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.complex_numbers()
    )
    keys = st.text(st.characters()) | st.integers() | st.none() | st.sampled_from(sorted(RESERVED))
    values = st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8
    )

    @given(st.dictionaries(keys, values) | values, leaves | st.text(), st.none() | st.booleans())
    def log(data: Any, step: Any, commit: bool | None) -> None:
        before = len(records(run)) if folder(run).metrics.exists() else 0
        run.log(data, step=step, commit=commit)
        run.log({"last": 1.0})
        assert records(run)[-1]["last"] == 1.0
        assert len(records(run)) in (before + 1, before + 2)

    log()
    while tail.read():
        continue
    assert tail.bad_lines == 0


def test_many_threads_lose_and_mix_nothing():
    run = genui.init("threads")

    def work(name: str) -> None:
        for index in range(200):
            run.log({name: index})

    threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(run)
    assert [record["step"] for record in found] == list(range(1600))
    for n in range(8):
        mine = [record[f"thread {n}"] for record in found if f"thread {n}" in record]
        assert mine == list(range(200))
