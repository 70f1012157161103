"""Logs of printed lines as files: how they are found, followed and rotated."""

import os
import time
from pathlib import Path

import pytest
from log_makers import read_all, seen

from genui.logs import open_tail
from genui.logs.find import find_logs
from genui.logs.printed_choice import Choice, key_of_file, recall, remember
from genui.logs.printed_file import TextTail


def steps(first: int, end: int) -> str:
    return "".join(f"step {n} loss {n}.5\n" for n in range(first, end))


def settled(path: Path) -> None:
    """Nothing was written to the file for a minute."""
    os.utime(path, (time.time() - 60, time.time() - 60))


def read_steps(tail: TextTail) -> list[int]:
    read_all(tail)
    return [step for step, _ in seen(tail).get("loss", [])]


@pytest.mark.parametrize("name", ["train.log", "slurm-123.out", "slurm-123_4.txt", "job.err"])
def test_a_log_is_found_by_its_name_in_a_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("starting\n" * 1000 + steps(0, 3))
    (tmp_path / "notes.txt").write_text(steps(0, 3))
    (tmp_path / "debug-internal.log").write_text("of W&B\n")
    (found,) = find_logs(tmp_path)
    assert (found.format, found.info.name) == ("text", name)


@pytest.mark.parametrize("name", ["notes.txt", "out"])
@pytest.mark.parametrize(
    "start", ["hello\n", '{\n  "lr": 0.1\n}\n', "| step | 1 |\n| loss | 0.5 |\n" * 99]
)
def test_a_text_with_metrics_is_a_log_when_it_is_named(
    name: str, start: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(start + steps(0, 3))
    (found,) = find_logs(tmp_path / name)
    tail = open_tail(found)
    read_all(tail)
    assert len(seen(tail)["loss"]) == 3


@pytest.mark.parametrize("start", ["█" * 5000, "." + "█" * 5000, ".." + "█" * 5000, "caf\udce9"])
def test_a_log_is_text_where_a_character_is_cut_or_is_no_utf_8(start: str, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(f"{start}\n" + steps(0, 3), errors="surrogateescape")
    (found,) = find_logs(tmp_path)
    assert found.format == "text"


def test_a_log_goes_on_after_it_was_rotated(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(steps(0, 5))
    tail = TextTail(path)
    assert read_steps(tail) == [0, 1, 2, 3, 4]
    with path.open("a") as file:
        file.write(steps(5, 8))
        path.rename(tmp_path / "train.log.1")
        file.write(steps(8, 9))
    assert read_steps(tail) == [0, 1, 2, 3, 4]  # no file yet, and no fault
    path.write_text("opened again\n" + steps(9, 12))
    assert read_steps(tail) == list(range(12))


def test_a_log_goes_on_after_it_was_copied_and_truncated(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(steps(0, 5))
    tail = TextTail(path)
    assert read_steps(tail) == [0, 1, 2, 3, 4]
    path.write_text("")
    assert read_steps(tail) == [0, 1, 2, 3, 4]
    path.write_text(steps(5, 6))
    assert read_steps(tail) == [0, 1, 2, 3, 4, 5]


def test_a_log_that_begins_anew_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(steps(0, 50))
    tail = TextTail(path)
    assert len(read_steps(tail)) == 50
    path.write_text("starting\n" + steps(0, 2))
    assert read_steps(tail) == [0, 1]


def test_a_bar_without_a_line_end_is_read_when_nothing_follows(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "\r 10%|█  | 1/10 [00:01<00:09, loss=2.5]\r 20%|██ | 2/10 [00:02<00:08, loss=2.0]"
    )
    settled(path)
    tail = TextTail(path)
    assert read_steps(tail) == [1, 2]


def test_a_line_that_is_written_in_parts_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("step 1 loss 0.5\nstep 2 loss 0.")
    settled(path)
    tail = TextTail(path)
    read_all(tail)
    with path.open("a") as file:
        file.write("25\nstep 3 lo")
    settled(path)
    read_all(tail)
    assert seen(tail)["loss"] == [(1, "0.5"), (2, "0.25")]
    with path.open("a") as file:
        file.write("ss 0.125\n")
    read_all(tail)
    assert seen(tail)["loss"] == [(1, "0.5"), (2, "0.25"), (3, "0.125")]


def test_a_step_of_another_name_is_found_in_a_slow_log(tmp_path: Path) -> None:
    path = tmp_path / "main.log"
    path.write_text("")
    tail = TextTail(path)
    for n in (0, 10, 20, 30):
        with path.open("a") as file:
            file.write(f"s:{n} trl:{5 - n / 10}\n")
        settled(path)
        read_all(tail)
    assert seen(tail) == {"trl": [(0, "5.0"), (10, "4.0"), (20, "3.0"), (30, "2.0")]}


def test_records_that_wait_for_a_bar_are_read_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("\r 10%|█  | 1/10 [00:01<00:09]\r        \r{'loss': 2.5}\n")
    settled(path)
    assert read_steps(TextTail(path)) == [1]


def test_the_console_and_the_times_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("2026-01-05 10:00:00 step 1 loss 0.5\nhello\n")
    settled(path)
    tail = TextTail(path)
    read_all(tail)
    assert [text for _, text in tail.extras.console] == path.read_text().splitlines()
    (when,) = tail.series["loss"].points[2]
    assert time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) == "2026-01-05 10:00"


def test_what_was_unsure_is_said(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("loss 0.5\nloss 0.4\n")
    settled(path)
    tail = TextTail(path)
    read_all(tail)
    assert any("unsure" in note for note in tail.config["printed lines"])


def test_a_choice_holds_for_the_logs_of_a_job_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "home"))
    choice = Choice(step="tick", metrics=("lo*",))
    remember(key_of_file(tmp_path / "slurm-12.out"), choice)
    path = tmp_path / "slurm-13.out"
    path.write_text("a tick 5 loss 0.5 acc 0.1\na tick 9 loss 0.4 acc 0.2\n")
    settled(path)
    tail = TextTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(5, "0.5"), (9, "0.4")]}
    remember(key_of_file(path), Choice())
    assert recall(key_of_file(path)) == Choice()


def test_a_step_beyond_all_steps_costs_only_its_row(tmp_path: Path) -> None:
    path = tmp_path / "over.log"
    rows = ("epoch | loss", "---|---", "1 | 0.5", f"{2**64 - 1} | 3.5", "2 | 0.25")
    path.write_text("".join(f"| {row} |\n" for row in rows))
    tail = TextTail(path)
    while tail.read():
        pass
    steps, values, _ = tail.series["loss"].points
    assert (steps.tolist(), values.tolist()) == ([1, 2], [0.5, 0.25])
