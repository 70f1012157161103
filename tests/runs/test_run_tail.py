"""Whatever is in the file and however it arrives, the tail reads every whole record."""

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tail_reading import read_all, seen

from genui.base import growing
from genui.base.errors import GenuiError
from genui.logs import base, native, series_store
from genui.logs.native import MetricsTail

values = st.one_of(
    st.floats(width=32),
    st.integers(-(10**400), 10**400),
    st.none(),
    st.booleans(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
)
names = st.sampled_from(["loss", "val_loss", "lr", "time", 'a"b'])
records = st.dictionaries(names, values).flatmap(
    lambda record: st.integers(0, 50).map(lambda step: {"step": step, **record})
)
rewinds = st.integers(0, 50).map(lambda step: {"step": step, "rewind": True})
record_lines = st.one_of(records, records, rewinds).map(lambda r: json.dumps(r).encode())
garbage = st.one_of(
    st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")),
    st.sampled_from(
        [b"", b"   ", b"[1]", b'"step"', b'{"loss":1}', b'{"step":-1}', b'{"step":1.5}',
         b'{"step":true}', b'{"step":1e400}', b'{"step":9223372036854775808}', b"[" * 20_000,
         b'{"a":' * 5_000, b'{"step":3}{"step":4}', b'{"step":5,"loss":', b"\xff\xfe\x00"]
    ),
)  # fmt: skip
lines = st.lists(st.one_of(record_lines, record_lines, garbage), max_size=30)


def as_number(value: Any) -> float | None:
    if value in ("NaN", "Infinity", "-Infinity") or type(value) is float:
        return float(value)
    if type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    return None


def expected(content: bytes) -> dict[str, dict[int, str]]:
    """The same from a plain reading of the whole file: line by line, the last value wins."""
    found: dict[str, dict[int, str]] = {}
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or type(record.get("step")) is not int:
            continue
        step = record.pop("step")
        if not 0 <= step < 2**63:
            continue
        if record.get("rewind") is True:
            for points in found.values():
                for late in [s for s in points if s > step]:
                    del points[late]
            continue
        for name in record.keys() - {"time"}:
            number = as_number(record[name])
            if number is not None:
                found.setdefault(name, {})[step] = repr(number)
    return {name: points for name, points in found.items() if points}


@given(lines, st.binary(max_size=10), st.lists(st.integers(0, 400), max_size=8))
@example([b"\x00", b'{"step":3}{"step":4}'], b"", [2])  # two records on one line
def test_arbitrary_chunks_of_records_and_garbage(parts: list[bytes], torn: bytes, cuts: list[int]):
    content = b"".join(part + b"\n" for part in parts) + torn.replace(b"\n", b"")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        tail = MetricsTail(path)
        with path.open("wb", buffering=0) as file:
            ends = [*sorted(c for c in cuts if c < len(content)), len(content)]
            start = 0
            for end in ends:
                file.write(content[start:end])
                start = end
                read_all(tail)
                assert seen(tail) == expected(content[:end])
        at_once = MetricsTail(path)
        read_all(at_once)
        assert seen(at_once) == seen(tail)
        assert at_once.bad_lines == tail.bad_lines
        assert at_once.overlaps == tail.overlaps
        for series in tail.series.values():
            assert np.all(np.diff(series.steps) > 0)
            assert len(series.steps) == len(series.values) == len(series.times)


def test_a_torn_line_is_read_once_it_is_whole(tmp_path: Path):
    path = tmp_path / "m"
    tail = MetricsTail(path)
    assert not tail.read()
    path.write_bytes(b'{"step":1,"loss":1}\n{"step":2,')
    assert tail.read()
    assert not tail.read()
    assert seen(tail) == {"loss": {1: "1.0"}}
    with path.open("ab") as file:
        file.write(b'"loss":2}\n')
    assert tail.read()
    assert seen(tail) == {"loss": {1: "1.0", 2: "2.0"}}
    assert tail.bad_lines == 0


def test_a_torn_line_cut_off_by_the_next_trainer_leaves_no_trace(tmp_path: Path):
    path = tmp_path / "m"
    whole = b'{"step":1,"loss":1}\n'
    path.write_bytes(whole + b'{"step":2,"lo')
    tail = MetricsTail(path)
    read_all(tail)
    os.truncate(path, len(whole))
    with path.open("ab") as file:
        file.write(b'{"step":2,"loss":7}\n{"step":3,"loss":8}\n')
    read_all(tail)
    assert seen(tail) == {"loss": {1: "1.0", 2: "7.0", 3: "8.0"}}
    assert tail.bad_lines == 0


@pytest.mark.parametrize("how", ["shrink", "replace", "rewrite longer"])
def test_another_file_under_the_name_starts_again(tmp_path: Path, how: str):
    path = tmp_path / "m"
    path.write_bytes(b'{"step":1,"loss":1}\n{"step":2,"loss":2}\nbad\n')
    tail = MetricsTail(path)
    read_all(tail)
    new = b'{"step":9,"val":3}\n' * (1 if how == "shrink" else 10)
    if how == "replace":
        (tmp_path / "aside").write_bytes(new)
        os.replace(tmp_path / "aside", path)
    else:
        path.write_bytes(new)
    assert tail.read()
    assert seen(tail) == {"val": {9: "3.0"}}
    assert tail.bad_lines == 0


def test_a_file_that_vanishes_keeps_what_was_read(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(b'{"step":1,"loss":1}\n')
    tail = MetricsTail(path)
    read_all(tail)
    path.unlink()
    assert not tail.read()
    assert seen(tail) == {"loss": {1: "1.0"}}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(GenuiError, match="cannot read"):
        MetricsTail(tmp_path).read()


def test_not_a_number_and_infinity_in_both_dialects(tmp_path: Path):
    path = tmp_path / "m"
    path.write_bytes(
        b'{"step":1,"loss":NaN}\n{"step":2,"loss":"-Infinity"}\n{"step":3,"loss":Infinity}\n'
    )
    tail = MetricsTail(path)
    read_all(tail)
    found = tail.series["loss"].values
    assert math.isnan(found[0])
    assert found[1:].tolist() == [-math.inf, math.inf]
    assert tail.bad_lines == 0


def test_a_line_too_long_to_hold_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(growing, "LONGEST_LINE", 1000)
    path = tmp_path / "m"
    path.write_bytes(b'{"step":1,"loss":1}\n' + b"x" * 5000 + b'\n{"step":2,"loss":2}\n')
    tail = MetricsTail(path)
    while tail.read(limit_bytes=1):
        continue
    assert seen(tail) == {"loss": {1: "1.0", 2: "2.0"}}
    assert tail.bad_lines == 1


def test_a_file_of_endless_names_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(series_store, "MAX_SERIES", 5)
    path = tmp_path / "m"
    path.write_text("".join(f'{{"step":1,"k{n}":1}}\n' for n in range(50)))
    tail = MetricsTail(path)
    monkeypatch.setattr(native, "MAX_SERIES", 5)
    read_all(tail)
    assert len(tail.series) == 5
    assert tail.dropped == 45


def test_ten_thousand_metrics_are_held(tmp_path: Path):
    path = tmp_path / "m"
    record = {f"layer {n}/norm": float(n) for n in range(10_000)}
    path.write_text("".join(json.dumps({"step": step, **record}) + "\n" for step in range(3)))
    tail = MetricsTail(path)
    read_all(tail)
    assert len(tail.series) == 10_000
    assert tail.series["layer 9999/norm"].values.tolist() == [9999.0] * 3
    assert (tail.dropped, tail.bad_lines) == (0, 0)


@given(lines, st.lists(st.integers(0, 600), max_size=4), st.integers(10, 200))
def test_the_newest_part_first_and_in_the_end_the_same(
    parts: list[bytes], cuts: list[int], newest: int
):
    content = b"".join(part + b"\n" for part in parts)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "NEWEST", newest)
        patch.setattr(base, "PIECE", 64)
        path = Path(folder) / "metrics.jsonl"
        ends = [*sorted(c for c in cuts if c < len(content)), len(content)]
        path.write_bytes(content[: ends[0]])
        tail = MetricsTail(path)
        with path.open("ab", buffering=0) as file:
            for start, end in zip(ends, [*ends[1:], len(content)], strict=True):
                tail.read(limit_bytes=64)  # some of the past only: the writer does not wait
                assert 0.0 <= tail.progress <= 1.0
                file.write(content[start:end])
        read_all(tail)
        assert seen(tail) == expected(content)
        assert tail.progress == 1.0
        patch.setattr(native, "NEWEST", len(content) + 1)
        from_the_beginning = MetricsTail(path)
        read_all(from_the_beginning)
        assert seen(from_the_beginning) == seen(tail)
        assert from_the_beginning.bad_lines == tail.bad_lines
        assert from_the_beginning.overlaps == tail.overlaps


def test_while_the_past_is_filled_in_the_curve_has_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(native, "NEWEST", 200)
    monkeypatch.setattr(base, "PIECE", 100)
    path = tmp_path / "m"
    with path.open("w") as file:
        file.writelines(f'{{"step":{step},"loss":{step}}}\n' for step in range(1000))
    tail = MetricsTail(path)
    tail.read(limit_bytes=100)
    steps = tail.series["loss"].steps.tolist()
    assert steps[-1] == 999
    assert 0 < len(steps) < 20
    assert 0 < tail.progress < 0.1
    tail.read(limit_bytes=100)
    steps = tail.series["loss"].steps.tolist()
    assert (steps[0], steps[-1]) == (0, 999)
    with path.open("a") as file:
        file.write('{"step":900,"rewind":true}\n{"step":901,"loss":-1}\n')
    tail.read(limit_bytes=100)
    steps = tail.series["loss"].steps.tolist()
    assert (steps[0], steps[-1]) == (0, 901)
    assert tail.overlaps == ((901, 999),)
    read_all(tail)
    steps, values, _ = tail.series["loss"].points
    assert steps.tolist() == [*range(902)]
    assert values.tolist() == [*range(901), -1]
    assert tail.progress == 1.0


def test_another_file_while_the_past_is_filled_in_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(native, "NEWEST", 200)
    path = tmp_path / "m"
    path.write_text("".join(f'{{"step":{step},"loss":1}}\n' for step in range(1000)))
    tail = MetricsTail(path)
    tail.read(limit_bytes=1)
    (tmp_path / "aside").write_text('{"step":3,"val":2}\n')
    os.replace(tmp_path / "aside", path)
    read_all(tail)
    assert seen(tail) == {"val": {3: "2.0"}}


def test_the_steps_written_again_after_a_resume(tmp_path: Path):
    path = tmp_path / "m"
    tail = MetricsTail(path)
    path.write_text("".join(f'{{"step":{step},"loss":1}}\n' for step in range(100)))
    read_all(tail)
    assert tail.overlaps == ()
    with path.open("a") as file:
        file.write('{"step":59,"rewind":true}\n')
        file.writelines(f'{{"step":{step},"loss":2}}\n' for step in range(60, 80))
        file.writelines(f'{{"step":{step},"loss":3}}\n' for step in range(10, 20))
    read_all(tail)
    assert tail.overlaps == ((10, 99),)
    assert tail.series["loss"].values[10:20].tolist() == [3.0] * 10


def test_a_log_out_of_order_is_one_overlap_and_not_thousands():
    found = series_store.SeriesStore()
    steps = np.arange(10_000).reshape(-1, 2)[:, ::-1].ravel()  # 1 0 3 2 5 4 …
    found.add([("loss", steps, np.zeros(10_000), np.zeros(10_000))])
    assert found.overlaps == ((0, 9999),)
    assert found.series["loss"].steps.tolist() == [*range(10_000)]


def test_nested_huge_and_denormal_values(tmp_path: Path):
    path = tmp_path / "m"
    path.write_text(
        '{"step":1,"train":{"loss":1,"deep":{"er":2}},"huge":1e308,"denormal":5e-324,'
        '"flag":true,"none":null,"list":[1]}\n'
    )
    tail = MetricsTail(path)
    read_all(tail)
    assert seen(tail) == {
        "train/loss": {1: "1.0"}, "train/deep/er": {1: "2.0"},
        "huge": {1: "1e+308"}, "denormal": {1: "5e-324"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["a/b c", "é🙂", "", '"quoted"', "back\\slash", "\x1b[31mred", "[bold]x[/]", "\n"],
)
def test_any_name_is_a_metric(tmp_path: Path, name: str):
    path = tmp_path / "m"
    tail = MetricsTail(path)
    for step in range(4):
        with path.open("a") as file:
            file.write(json.dumps({"step": step, name: 1.5, "loss": 2}) + "\n")
        read_all(tail)
    assert seen(tail) == {
        name: dict.fromkeys(range(4), "1.5"), "loss": dict.fromkeys(range(4), "2.0")
    }  # fmt: skip
    assert tail.bad_lines == 0


def test_half_a_character_in_a_name_is_a_question_mark(tmp_path: Path):
    path = tmp_path / "m"
    path.write_text('{"step":1,"\\ud800x":2,"\\ud83d\\ude00":3}\n')
    tail = MetricsTail(path)
    read_all(tail)
    assert seen(tail) == {"?x": {1: "2.0"}, "\U0001f600": {1: "3.0"}}
