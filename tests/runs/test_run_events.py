import os
from pathlib import Path

import pytest
from run_makers import a_run

from genui.base.errors import GenuiError
from genui.runs.control import Event, effective_events, read_events, record
from genui.runs.layout import RunDir


def steps(events: list[Event]) -> list[tuple[int, str]]:
    return [(event.step, event.event) for event in events]


def test_events_come_back_in_the_order_they_happened():
    run = a_run()
    assert read_events(run) == []
    record(run, 7, "set_lr", "learning rate 0.003 → 0.0003")
    record(run, 7, "pause", "paused")
    first, second = read_events(run)
    assert (first.step, first.event, first.text) == (7, "set_lr", "learning rate 0.003 → 0.0003")
    assert 0 <= second.time - first.time < 60


def test_a_line_torn_by_a_kill_costs_only_itself():
    run = a_run()
    record(run, 1, "pause", "paused")
    with run.events.open("ab") as file:
        file.write(b'{"step":2,"ti')
    record(run, 3, "resume", "went on")
    assert steps(read_events(run)) == [(1, "pause"), (3, "resume")]


def test_what_is_no_event_is_passed_over():
    run = a_run()
    run.events.write_bytes(
        b'\n[]\n{"step":"x"}\n\xff\xfe\n' + b"[" * 5000 + b'\n{"step":1,"time":2,"event":"x"}\n'
    )
    record(run, 4, "stop", "stopped")
    assert steps(read_events(run)) == [(4, "stop")]


def test_resuming_undoes_what_came_after_its_checkpoint():
    run = a_run()
    for step, event in (
        (4, "set_lr"),
        (8, "pause"),
        (9, "set_lr"),
        (8, "resumed"),
        (9, "evaluate"),
    ):
        record(run, step, event, "")
    kept = effective_events(read_events(run))
    assert steps(kept) == [(4, "set_lr"), (8, "pause"), (8, "resumed"), (9, "evaluate")]


def test_of_a_huge_file_the_newest_part_is_read():
    run = a_run()
    run.events.write_bytes(b'{"step":1,"time":1.0,"event":"pause","text":"p"}\n' * 30_000)
    record(run, 2, "stop", "stopped")
    events = read_events(run)
    assert 20_000 < len(events) < 25_000
    assert events[-1].event == "stop"


def test_a_pipe_in_its_place_is_refused_and_not_waited_for():
    run = a_run()
    os.mkfifo(run.events)
    with pytest.raises(GenuiError, match=r"events\.jsonl is not a regular file: remove it"):
        read_events(run)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(GenuiError, match=r"cannot write .*events\.jsonl"):
        record(RunDir(tmp_path / "gone"), 1, "stop", "stopped")
