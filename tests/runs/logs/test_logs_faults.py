"""Logs that are cut, replaced, removed, refused or somebody else's while they are watched."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from log_makers import (
    APPENDED,
    GROWING,
    event,
    event_body,
    growing_file,
    open_log,
    read_all,
    read_whole,
    refusal,
    seen,
    tfrecord,
    trackio_database,
    trackio_run,
    varint,
    whole_log,
    write_log,
)

from genui.base.errors import GenuiError
from genui.logs.tensorboard import EventsTail
from genui.logs.trackio import TrackioTail
from genui.logs.wandb import WandbTail


@pytest.mark.parametrize("format", GROWING)
def test_a_log_that_is_not_there_changes_nothing(format: str, tmp_path: Path):
    tail = open_log(format, tmp_path / "none")
    assert not tail.read()
    assert (dict(tail.series), tail.progress) == ({}, 1.0)


@pytest.mark.parametrize("format", GROWING)
def test_a_log_removed_while_open_keeps_what_was_read(format: str, tmp_path: Path):
    path = tmp_path / "log"
    file = write_log(format, path)
    tail = read_whole(format, path)
    before = seen(tail)
    file.unlink()
    assert not tail.read()
    assert seen(tail) == before


@pytest.mark.parametrize("format", GROWING)
def test_a_log_put_back_is_read_again(format: str, tmp_path: Path):
    path = tmp_path / "log"
    file = write_log(format, path)
    tail = read_whole(format, path)
    before = seen(tail)
    file.rename(tmp_path / "aside")
    assert not tail.read()
    write_log(format, path)
    read_all(tail)
    assert seen(tail) == before
    assert tail.bad_lines == 0


@pytest.mark.parametrize("format", APPENDED)
@pytest.mark.parametrize("how", ["shrunk", "replaced", "rewritten in place"])
def test_a_log_that_became_another_is_read_from_its_beginning(
    format: str, how: str, tmp_path: Path
):
    whole = whole_log(format)
    at = {"tensorboard": 600, "wandb": 1200}.get(format, len(whole) // 2)
    path = tmp_path / "log"
    file = write_log(format, path)
    tail = read_whole(format, path)
    if how == "replaced":
        (tmp_path / "other").write_bytes(whole[:at])
        os.replace(tmp_path / "other", file)
    elif how == "shrunk":
        os.truncate(file, at)
    else:
        file.write_bytes(b"")
        assert tail.read()
        # Printed lines that logrotate moved elsewhere still count.
        assert any(map(len, tail.series.values())) == (format == "text")
        file.write_bytes(whole[:at])
    read_all(tail)
    assert seen(tail) == seen(read_whole(format, path)) != {}
    assert tail.bad_lines == 0


def test_a_trainer_state_replaced_is_read_whole(tmp_path: Path):
    path = tmp_path / "trainer_state.json"
    state = json.loads(whole_log("trainer-state"))
    path.write_text(json.dumps(state))
    tail = read_whole("trainer-state", path)
    state["log_history"] = [{"step": 5, "loss": 1.0}, {"step": 6, "loss": "NaN"}, "no record"]
    (tmp_path / "aside").write_text(json.dumps(state))
    os.replace(tmp_path / "aside", path)
    assert tail.read()
    assert seen(tail) == {"loss": [(5, "1.0"), (6, "nan")]}
    assert tail.bad_lines == 1


def test_a_trainer_state_half_written_keeps_the_last(tmp_path: Path):
    path = tmp_path / "trainer_state.json"
    whole = whole_log("trainer-state")
    path.write_bytes(whole)
    tail = read_whole("trainer-state", path)
    before = seen(tail)
    path.write_bytes(whole[:200])
    read_all(tail)
    assert (seen(tail), tail.bad_lines) == (before, 1)
    path.write_bytes(whole)
    read_all(tail)
    assert (seen(tail), tail.bad_lines) == (before, 0)


def test_the_newest_checkpoint_counts(tmp_path: Path):
    state = json.loads(whole_log("trainer-state"))
    for order, (step, value) in enumerate([(10, 1.0), (20, 2.0)]):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        state["log_history"] = [{"step": step, "loss": value}]
        path = folder / "trainer_state.json"
        path.write_text(json.dumps(state))
        os.utime(path, (1000 + order, 1000 + order))
    tail = read_whole("trainer-state", tmp_path)
    assert seen(tail) == {"loss": [(20, "2.0")]}


@pytest.mark.parametrize("format", GROWING)
def test_a_log_that_may_not_be_read_is_named(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "log"
    write_log(format, path)

    def refused(name: object, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(GenuiError, match=r"cannot read .*log\S*: permission denied; check"):
        open_log(format, path).read()


@pytest.mark.parametrize("format", ["tensorboard", "wandb", "csv", "trainer-state"])
@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(100), b"hello, world\n" * 9])
def test_a_log_of_another_program_is_refused_in_one_line(
    format: str, content: bytes, tmp_path: Path
):
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(GenuiError, match=r"log.*(name|remove|not of)") as refusal:
        read_all(open_log(format, path))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("format", GROWING)
def test_a_pipe_in_place_of_a_log_never_hangs(format: str, tmp_path: Path):
    os.mkfifo(growing_file(format, tmp_path / "log"))
    line = refusal(open_log(format, tmp_path / "log"))
    assert not line or "not a regular file" in line


def test_steps_that_go_back_are_an_overlap_and_the_last_value_counts(tmp_path: Path):
    steps = [1, 2, 3, 4, 5, 3, 4, 5, 6, 6]
    for format, lines in {
        "jsonl": "".join(f'{{"step":{s},"loss":{n}}}\n' for n, s in enumerate(steps)),
        "csv": "step,loss\n" + "".join(f"{s},{n}\n" for n, s in enumerate(steps)),
        "genui": "".join(f'{{"step":{s},"loss":{n}}}\n' for n, s in enumerate(steps)),
    }.items():
        path = tmp_path / format
        growing_file(format, path).write_text(lines)
        tail = read_whole(format, path)
        assert seen(tail) == {
            "loss": [(1, "0.0"), (2, "1.0"), (3, "5.0"), (4, "6.0"), (5, "7.0"), (6, "9.0")]
        }
        assert list(tail.overlaps) == [(3, 5)]


def test_event_files_are_read_in_order_and_a_new_one_is_found(tmp_path: Path):
    first, second = tmp_path / "events.out.tfevents.1.h", tmp_path / "events.out.tfevents.2.h"
    first.write_bytes(b"".join(event(step, [("loss", 1.0)]) for step in range(5)))
    tail = EventsTail(tmp_path)
    read_all(tail)
    second.write_bytes(b"".join(event(step, [("loss", 2.0)]) for step in range(3, 7)))
    assert tail.read()
    read_all(tail)
    expected = [(step, "1.0") for step in range(3)] + [(step, "2.0") for step in range(3, 7)]
    assert seen(tail) == {"loss": expected}
    assert tail.overlaps == ((3, 4),)
    first.unlink()  # cleaned away: what was in it stays
    assert not tail.read()
    assert seen(tail) == {"loss": expected}


def test_an_event_with_a_wrong_checksum_is_counted_and_passed_over(tmp_path: Path):
    path = tmp_path / "log"
    records = [event(step, [("loss", float(step))]) for step in range(5)]
    broken = bytearray(records[2])
    broken[-6] ^= 1
    path.write_bytes(b"".join([*records[:2], bytes(broken), *records[3:]]))
    tail = read_whole("tensorboard", path)
    assert [step for step, _ in seen(tail)["loss"]] == [0, 1, 3, 4]
    assert tail.bad_lines == 1


def test_after_a_damaged_length_an_event_file_is_read_no_further(tmp_path: Path):
    path = tmp_path / "log"
    good = event(1, [("loss", 1.0)])
    path.write_bytes(good + b"\x07" + bytes(15) + event(2, [("loss", 2.0)]))
    tail = read_whole("tensorboard", path)
    assert (seen(tail), tail.bad_lines) == ({"loss": [(1, "1.0")]}, 1)
    assert not tail.read()


def test_many_scalars_in_one_event_and_steps_of_every_length(tmp_path: Path):
    path = tmp_path / "log"
    steps = [0, 1, 127, 128, 16383, 16384, 2**31, 2**62]
    path.write_bytes(
        b"".join(event(step, [("a/b", 1.5), ("a\x1b[31m c", -0.0), ("", 1e-45)]) for step in steps)
        + event(-1, [("a/b", 1.0)])
    )
    tail = read_whole("tensorboard", path)
    assert {name: [s for s, _ in points] for name, points in seen(tail).items()} == {
        "a/b": steps, "a\x1b[31m c": steps, "": steps,
    }  # fmt: skip
    assert seen(tail)[""][0] == (0, "1.401298464324817e-45")
    assert tail.bad_lines == 1


@pytest.mark.parametrize("around", [0, 1, 30])
@pytest.mark.parametrize("step", [b"\xff" * 9 + b"\x7f", b"\xff" * 10, b"\xff" * 9 + b"\x01"])
def test_a_step_of_ten_bytes_costs_only_its_event(step: bytes, around: int, tmp_path: Path):
    path = tmp_path / "log"
    marker = 2**63 - 1  # nine bytes
    bad = tfrecord(
        event_body(marker, [("loss", 1.0)]).replace(b"\x10" + varint(marker), b"\x10" + step)
    )
    good = [event(step, [("loss", 2.0)]) for step in range(around)]
    path.write_bytes(b"".join([*good, bad, *good]))
    tail = read_whole("tensorboard", path)
    assert seen(tail).get("loss", []) == [(step, "2.0") for step in range(around)]
    assert tail.bad_lines == 1


def test_a_bad_step_costs_no_good_one_of_the_same_length(tmp_path: Path):
    path = tmp_path / "log"
    long = 2**63  # negative as an int64, ten bytes like every negative number
    records = [event(-1, [("loss", 1.0)]), *(event(long - n, [("a", 1.0)]) for n in (1, 2))]
    mixed = [event_body(long, [("loss", 1.0)]), event_body(3, [("loss", 4.0)])]
    padded = mixed[1].replace(b"\x10\x03", b"\x10\x83" + b"\x80" * 8 + b"\x00")
    assert len(padded) == len(mixed[0])
    path.write_bytes(b"".join([*records, tfrecord(mixed[0]), tfrecord(padded)]))
    tail = read_whole("tensorboard", path)
    assert seen(tail) == {"a": [(long - 2, "1.0"), (long - 1, "1.0")], "loss": [(3, "4.0")]}
    assert tail.bad_lines == 2


def test_a_damaged_block_of_a_wandb_log_costs_only_itself(tmp_path: Path):
    whole = bytearray(whole_log("wandb"))
    path = tmp_path / "log"
    filler = bytes(32 * 1024 - len(whole) % (32 * 1024))  # no record has such a header
    whole[7 + 30] ^= 1  # in the first record
    path.write_bytes(bytes(whole) + filler)
    tail = WandbTail(path)
    read_all(tail)
    assert (seen(tail), tail.bad_lines) == ({}, 1)


def test_a_database_that_is_being_written_is_followed(tmp_path: Path):
    database = trackio_database(tmp_path)
    run = trackio_run(database)
    tail = TrackioTail(run)
    read_all(tail)
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    row = "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)"
    stamp = "2026-01-01T00:00:00+00:00"
    for step, metrics in [(3, '{"loss": 5}'), (4, "torn"), (5, '{"loss": "Infinity"}')]:
        writer.execute(row, (run.name, stamp, "first", step, metrics))
    assert not tail.read()  # not committed
    writer.commit()
    read_all(tail)
    assert seen(tail)["loss"][3:] == [(3, "5.0"), (5, "inf")]
    assert tail.bad_lines == 1
    writer.execute("DELETE FROM metrics WHERE id > 1")
    writer.execute(row, (run.name, stamp, "first", 0, '{"loss": 1}'))
    writer.execute("DELETE FROM metrics WHERE step > 0")
    writer.commit()
    writer.close()
    read_all(tail)
    assert seen(tail)["loss"][0] in {(0, "1.0"), (0, "2.0")}


def test_watching_a_database_leaves_no_files_beside_it(tmp_path: Path):
    database = trackio_database(tmp_path)
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    tail = TrackioTail(trackio_run(database))
    before = sorted(os.listdir(tmp_path))
    read_all(tail)
    assert seen(tail)
    assert sorted(os.listdir(tmp_path)) == before


def test_an_error_of_the_disk_passes_also_where_nothing_new_is_written(tmp_path: Path):
    log, aside = tmp_path / "log.jsonl", tmp_path / "aside"
    log.write_bytes(whole_log("jsonl"))
    tail = open_log("jsonl", log)
    read_all(tail)
    before = seen(tail)
    log.rename(aside)
    log.mkdir()  # reading a folder is such an error
    with pytest.raises(GenuiError, match=r"cannot read .*log\.jsonl: is a directory"):
        tail.read()
    log.rmdir()
    aside.rename(log)
    read_all(tail)
    assert seen(tail) == before
    assert tail.bad_lines == 0
