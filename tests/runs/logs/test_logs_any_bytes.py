"""Whatever bytes a log holds and however they arrive: only GenuiError, and no other points."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_makers import (
    APPENDED,
    GROWING,
    event,
    growing_file,
    open_log,
    read_all,
    read_whole,
    refusal,
    seen,
    tfrecord,
    trackio_database,
    trackio_run,
    wandb_log,
    wandb_row,
    whole_log,
    write_log,
)

from genui.logs.trackio import TrackioTail


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The log with some bytes changed, cut out or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 40)))
        data[at:end] = draw(st.binary(max_size=40))
    return bytes(data)


@pytest.mark.parametrize("format", GROWING)
@given(st.data())
def test_damaged_logs_and_any_bytes_are_read_or_refused(format: str, data: st.DataObject):
    whole = whole_log(format)
    content = data.draw(st.one_of(st.binary(max_size=300), damaged(whole)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        growing_file(format, path).write_bytes(content)
        tail = open_log(format, path)
        line = refusal(tail)
        assert not line or str(path) in line
        assert "\n" not in line
        seen(tail)
        assert 0.0 <= tail.progress <= 1.0


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_event_files_of_any_records_are_read(records: list[bytes]):
    good = event(1, [("loss", 2.0)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(good + b"".join(map(tfrecord, records)) + good)
        tail = read_whole("tensorboard", path)
        assert (1, "2.0") in seen(tail)["loss"]


@given(st.lists(st.one_of(st.binary(max_size=60), damaged(wandb_row([("a", "1")], 3))), max_size=5))
def test_wandb_logs_of_any_records_are_read(records: list[bytes]):
    good = wandb_row([("loss", "2")], step=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(wandb_log(good, *records, good))
        tail = read_whole("wandb", path)
        assert (1, "2.0") in seen(tail)["loss"]


@pytest.mark.parametrize("format", APPENDED)
@settings(max_examples=25)
@given(st.data())
def test_any_split_of_a_log_gives_the_same(format: str, data: st.DataObject):
    whole = whole_log(format)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        tail = open_log(format, path)
        start = 0
        with growing_file(format, path).open("wb", buffering=0) as file:
            for end in [*sorted(cuts), len(whole)]:
                file.write(whole[start:end])
                start = end
                read_all(tail)
                assert tail.progress > 0
        at_once = read_whole(format, path)
        assert seen(tail) == seen(at_once)
        assert (tail.bad_lines, tail.overlaps) == (at_once.bad_lines, at_once.overlaps)
        assert (dict(tail.config), tail.ended) == (dict(at_once.config), at_once.ended)
        assert tail.progress == 1.0


@pytest.mark.parametrize("format", APPENDED)
@given(st.data())
def test_a_log_cut_at_any_byte_gives_the_beginning(format: str, data: st.DataObject):
    whole = whole_log(format)
    end = data.draw(st.integers(0, len(whole)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        write_log(format, path)
        everything = seen(read_whole(format, path))
        cut = Path(folder) / "cut"
        growing_file(format, cut).write_bytes(whole[:end])
        tail = read_whole(format, cut)
        assert tail.bad_lines == 0
        for name, points in seen(tail).items():
            assert points == everything[name][: len(points)]


@settings(max_examples=20)
@given(st.data())
def test_a_damaged_database_is_read_or_refused(data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        database = trackio_database(Path(folder))
        run = trackio_run(database)
        database.write_bytes(data.draw(damaged(database.read_bytes())))
        tail = TrackioTail(run)
        assert "\n" not in refusal(tail)
        seen(tail)
