import errno
import math
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from run_makers import a_run

from genui.base.errors import GenuiError, MisuseError
from genui.logs.native import MetricsTail
from genui.runs import writer as writer_module
from genui.runs.layout import RunDir, read_status
from genui.runs.listing import summarise
from genui.runs.writer import RunWriter


def points(run: RunDir, name: str = "loss") -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        continue
    assert tail.bad_lines == 0
    steps, values, _ = tail.series[name].points
    return dict(zip(steps.tolist(), values.tolist(), strict=True))


@contextmanager
def disk_full() -> Iterator[None]:
    """Writes stop half-way with ENOSPC, as on a full disk."""
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if len(data) > 1:
            return real(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        yield


def test_what_is_logged_is_on_disk_at_once():
    run = a_run()
    with RunWriter(run) as writer:
        writer.log(1, loss=2.5, lr=1e-3)
        assert points(run) == {1: 2.5}
        writer.log(2, loss=math.inf)
        assert points(run) == {1: 2.5, 2: math.inf}


def test_a_torn_last_line_is_dropped_and_nothing_else():
    run = a_run()
    with RunWriter(run) as writer:
        writer.log(1, loss=1.0)
    with run.metrics.open("ab") as file:
        file.write(b'{"step":2,"lo' + b"o" * 100_000)
    with RunWriter(run) as writer:
        writer.log(2, loss=2.0)
    assert points(run) == {1: 1.0, 2: 2.0}


def test_steps_after_the_checkpoint_resumed_from_are_superseded_but_kept_on_disk():
    run = a_run()
    with RunWriter(run) as writer:
        for step in range(1, 6):
            writer.log(step, loss=float(step))
    with RunWriter(run) as writer:
        writer.truncate_after(3)
        assert points(run) == {1: 1.0, 2: 2.0, 3: 3.0}
        writer.log(4, loss=40.0)
    assert points(run) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 40.0}
    assert b'"loss":5.0' in run.metrics.read_bytes()


def test_a_full_disk_names_the_file_and_loses_nothing_earlier():
    run = a_run()
    with RunWriter(run) as writer:
        writer.log(1, loss=1.0)
        with disk_full(), pytest.raises(GenuiError, match="no space left") as caught:
            writer.log(2, loss=2.0)
        writer.log(3, loss=3.0)  # there is room again
    assert str(run.metrics) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert points(run) == {1: 1.0, 3: 3.0}


def test_a_disk_full_to_the_end_is_told_by_the_file_that_met_it_first():
    run = a_run()

    def train(disk: ExitStack) -> None:
        with RunWriter(run) as writer:
            disk.enter_context(disk_full())
            writer.log(1, loss=1.0)

    with ExitStack() as disk, pytest.raises(GenuiError, match=r"metrics\.jsonl: no space left"):
        train(disk)
    assert summarise(run).state == "dead"  # nothing more could be said


def test_a_sample_is_whole_or_absent():
    run = a_run()
    with RunWriter(run) as writer:
        path = writer.save_sample(100, ".txt", b"To be")
        assert path == writer.run.sample(100, ".txt")
        assert path.read_bytes() == b"To be"
        name = re.escape(str(run.sample(200, ".txt")))
        with disk_full(), pytest.raises(GenuiError, match=name):
            writer.save_sample(200, ".txt", b"or not to be")
    assert os.listdir(run.samples) == [path.name]


def test_a_run_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    run = RunDir(tmp_path / "file" / "run")
    with (
        pytest.raises(GenuiError, match=f"cannot write {re.escape(str(run.lock))}"),
        RunWriter(run),
    ):
        pytest.fail("opened a run below a file")


def test_status_is_kept_by_the_heartbeat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer_module, "HEARTBEAT", 0.01)
    run = a_run()
    with RunWriter(run) as writer:
        writer.update(state="running")
        first = read_status(run)
        writer.update(step=7, loss=1.25)
        while read_status(run).step != 7:
            continue
        later = read_status(run)
    assert first.pid == os.getpid()
    assert later.heartbeat > first.heartbeat
    assert later.loss == 1.25


def test_a_new_state_is_written_at_once():
    run = a_run()
    with RunWriter(run) as writer:
        writer.update(step=3, state="paused")
        assert (read_status(run).state, read_status(run).step) == ("paused", 3)


def test_leaving_tells_how_it_ended():
    stopped, finished, failed, broken = (a_run() for _ in range(4))
    with RunWriter(stopped) as writer:
        writer.update(state="running")
    with RunWriter(finished) as writer:
        writer.update(state="finished")
    with pytest.raises(GenuiError), RunWriter(failed):
        raise GenuiError("mine.txt is empty: give a file with text")
    with pytest.raises(ZeroDivisionError), RunWriter(broken):
        _ = 1 / 0
    assert read_status(stopped).state == "stopped"
    assert read_status(finished).state == "finished"
    assert read_status(failed).state == "failed"
    assert read_status(failed).error == "mine.txt is empty: give a file with text"
    assert read_status(broken).error == "ZeroDivisionError: division by zero"


def test_taking_a_run_up_again_clears_the_error_and_keeps_the_step():
    run = a_run()
    with RunWriter(run) as writer:
        writer.update(step=9, state="failed", error="no")
    with RunWriter(run):
        status = read_status(run)
    assert (status.state, status.step, status.error) == ("starting", 9, "")


def test_a_status_torn_by_a_power_cut_does_not_stop_the_trainer():
    run = a_run()
    run.status.write_bytes(b"")
    with RunWriter(run):
        assert read_status(run).state == "starting"


def test_what_a_killed_trainer_left_half_written_is_removed():
    run = a_run()
    left = run.checkpoints / ".step-00000100.safetensors.1a2b3c4d.aside"
    left.write_bytes(b"half")
    with RunWriter(run):
        assert not left.exists()


def test_the_console_has_whole_lines_with_their_time():
    run = a_run()
    with RunWriter(run) as writer:
        writer.write_line("device cpu\nthreads 1")
    lines = run.console.read_text().splitlines()
    assert [line[20:] for line in lines] == ["device cpu", "threads 1"]


def test_a_reserved_metric_name_is_refused():
    with RunWriter(a_run()) as writer, pytest.raises(MisuseError, match="'time'"):
        writer.log(1, time=3.0)
