"""What event files have beside scalars: images, texts, sounds, histograms, curves, settings."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from log_makers import FIXTURES, event, field, read_all, seen, tfrecord, varint

from genui.logs import open_tail
from genui.logs.find import find_logs
from genui.logs.histograms import Histograms
from genui.logs.media import compose
from genui.logs.tensorboard import EventsTail


def log_of(tmp_path: Path, *values: bytes, step: int = 3) -> EventsTail:
    """A log of one event with these values of its summary."""
    summary = b"".join(field(1, value) for value in values)
    record = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + varint(step) + field(5, summary)
    (tmp_path / "events.out.tfevents.1").write_bytes(tfrecord(record))
    tail = EventsTail(tmp_path)
    read_all(tail)
    return tail


def value(tag: str, plugin: str, tensor: bytes) -> bytes:
    metadata = field(9, field(1, field(1, plugin.encode())))
    return field(1, tag.encode()) + metadata + field(8, tensor)


def doubles(*numbers: float) -> bytes:
    """A tensor of float64 with a shape."""
    shape = field(2, field(2, b"\x08" + varint(len(numbers))))
    return b"\x08\x02" + shape + field(6, struct.pack(f"<{len(numbers)}d", *numbers))


def test_all_that_summary_writer_writes_is_read():
    tail = EventsTail(FIXTURES / "tensorboard-samples")
    read_all(tail)
    assert seen(tail).keys() == {"loss"}
    assert tail.bad_lines == 0
    media = tail.extras.media
    assert list(media) == [0, 300]
    assert [(one.name, one.kind) for one in media[300]] == [
        ("call", "audio"),
        ("owl", "image"),
        ("precision", "curve"),
        ("said", "text"),
        ("weights", "histogram"),
    ]
    by_name = {one.name: one for one in media[300]}
    text, image = compose([by_name["owl"], by_name["said"]])
    assert text.split() == ["owl", "said", "hoo", "at", "300"]
    assert image is not None
    assert image.shape == (4, 6, 3)
    assert (image == 127).all()
    recall, precision = by_name["precision"].content
    assert recall[0] == 1.0
    assert precision[0] == pytest.approx(0.5)
    assert compose([by_name["call"]])[0] == "call  0.01 s, 8,000 Hz"
    weights = by_name["weights"].content
    assert isinstance(weights, Histograms)
    assert len(weights) == 2
    lit = weights.heat_map(300).astype(int).sum(axis=2) > 100
    assert lit[-1, 0]
    assert not lit[0, 0]  # all values were low at the first step
    assert lit[:, -1].mean() > 0.9


def test_tensors_of_the_second_api_are_samples(tmp_path: Path):
    images = b"".join(field(8, data) for data in (b"6", b"4", b"p1", b"p2"))
    tail = log_of(
        tmp_path,
        value("two", "images", b"\x08\x07" + images),
        value("said", "text", b"\x08\x07" + field(8, b"hoo")),
        value("call", "audio", b"\x08\x07" + field(8, b"wav") + field(8, b"label")),
        value("weights", "histograms", doubles(0, 1, 4, 1, 2, 6)),
        value("precision", "pr_curves", doubles(*range(12))),
        value("other", "mesh", doubles(1, 2)),
        value("graph", "", doubles(1, 2)),
    )  # fmt: skip
    media = tail.extras.media[3]
    assert [(one.name, one.kind) for one in media] == [
        ("call", "audio"), ("precision", "curve"), ("said", "text"),
        ("two", "image"), ("two", "image"), ("weights", "histogram"),
    ]  # fmt: skip
    data = (tmp_path / "events.out.tfevents.1").read_bytes()
    parts = [data[one.start : one.start + one.size] for one in media]
    assert [parts[0], *parts[2:5]] == [b"wav", b"hoo", b"p1", b"p2"]
    recall, precision = media[1].content
    assert (recall.tolist(), precision.tolist()) == ([10, 11], [8, 9])
    assert seen(tail) == {}


@pytest.mark.parametrize(
    "damaged",
    [
        value("a", "histograms", doubles(1, 2)),
        value("a", "histograms", doubles(0, 1, float("nan"))),
        value("a", "histograms", doubles(0, 1, -4)),
        value("a", "pr_curves", doubles(1)),
        value("a", "images", b"\x08\x07"),
        field(1, b"a") + field(5, field(6, b"1234567") + field(7, b"12345678")),
        field(1, b"a") + field(5, b""),
        field(1, b"a") + field(4, b"\x08\x01"),
    ],
)
def test_a_damaged_sample_is_left_out(damaged: bytes, tmp_path: Path):
    tail = log_of(tmp_path, damaged, field(1, b"loss") + b"\x15" + struct.pack("<f", 2.0))
    assert tail.extras.media == {}
    assert seen(tail) == {"loss": [(3, "2.0")]}


def test_samples_after_a_restart_are_void(tmp_path: Path):
    def said(step: int) -> bytes:
        body = field(5, field(1, value("said", "text", b"\x08\x07" + field(8, b"hoo"))))
        return tfrecord(b"\x10" + varint(step) + body)

    restart = tfrecord(b"\x10" + varint(5) + field(7, b"\x08\x01"))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(said(4) + said(6) + event(6, [("loss", 1)]) + restart + said(8))
    tail = EventsTail(path)
    read_all(tail)
    assert list(tail.extras.media) == [4, 8]
    assert seen(tail) == {}


def test_records_of_one_length_with_samples_are_read_one_by_one(tmp_path: Path):
    path = tmp_path / "events.out.tfevents.1"
    records = [
        tfrecord(
            b"\x10"
            + varint(step)
            + field(
                5,
                field(1, value("said", "text", b"\x08\x07" + field(8, b"hoo")))
                + field(1, field(1, b"loss") + b"\x15" + struct.pack("<f", step)),
            )
        )
        for step in range(100)
    ]
    path.write_bytes(b"".join(records))
    tail = EventsTail(path)
    read_all(tail)
    assert list(tail.extras.media) == list(range(100))
    assert np.array_equal(tail.series["loss"].values, np.arange(100))


def test_what_add_hparams_writes_belongs_to_the_log_above_it(tmp_path: Path):
    log, session = tmp_path / "run", tmp_path / "run" / "1795799864.6027267"
    shutil.copytree(FIXTURES / "tensorboard-hparams", session)
    (log / "events.out.tfevents.1").write_bytes(event(1, [("loss", 2.0)]))
    (one,) = find_logs(tmp_path)
    assert one.run.path == log
    tail = open_tail(one)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "2.0")], "score": [(0, "0.5")]}
    assert tail.config["name"] == "x"
    (alone,) = find_logs(session)
    assert alone.run.path == session
    shutil.copytree(session, log / "1795799865.5")  # of several trials each is a log
    assert len(find_logs(tmp_path)) == 3
    tail = open_tail(one)
    read_all(tail)
    assert seen(tail).keys() == {"loss"}
