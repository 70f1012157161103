"""The last line of a log, which has no newline: the writer holds it back, or never wrote one."""

import os
import time
from pathlib import Path

import pytest
from log_makers import read_all, seen

from genui.logs.json_lines import JsonlTail
from genui.logs.tables import CsvTail


def append(path: Path, text: str, age: float = 0.0) -> None:
    """Writes the text at the end, `age` seconds ago."""
    with path.open("a") as file:
        file.write(text)
    written = time.time() - age
    os.utime(path, (written, written))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_whole_record_without_a_newline_counts_at_once(end: str, tmp_path: Path):
    path = tmp_path / "log.jsonl"
    append(path, '{"step":1,"loss":3}' + end + '{"step":2,"loss":2}')
    tail = JsonlTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0"), (2, "2.0")]}
    append(path, end + '{"step":3,"loss":1}' + end + '{"step":4,"lo')
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0"), (2, "2.0"), (3, "1.0")]}
    assert (tail.bad_lines, tail.progress) == (0, 1.0)


def test_a_row_without_a_newline_counts_once_the_file_stood_still(tmp_path: Path):
    path = tmp_path / "log.csv"
    append(path, "step,loss\n1,3\n2,0.5")
    tail = CsvTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0")]}
    append(path, "", age=60)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0"), (2, "0.5")]}
    append(path, "\n3,0.25\n")
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0"), (2, "0.5"), (3, "0.25")]}
    assert tail.bad_lines == 0


def test_a_row_that_goes_on_after_all_is_read_again_and_never_guessed_at_again(tmp_path: Path):
    path = tmp_path / "log.csv"
    append(path, "loss,step\n0.9,1\n0.8,1", age=60)
    tail = CsvTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "0.8")]}
    append(path, "2\n0.7,1", age=60)  # it was step 12
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "0.9"), (12, "0.8")]}
    append(path, "3\n")
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "0.9"), (12, "0.8"), (13, "0.7")]}
    assert (tail.bad_lines, tail.overlaps) == (0, ())


def test_half_a_row_is_never_one_however_old(tmp_path: Path):
    path = tmp_path / "log.csv"
    append(path, "step,loss,acc\n1,3,0\n2,0.5", age=60)
    tail = CsvTail(path)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0")], "acc": [(1, "0.0")]}
    assert tail.bad_lines == 0


def test_a_torn_line_that_is_cut_off_again_leaves_no_trace(tmp_path: Path):
    path = tmp_path / "log.csv"
    append(path, "step,loss\n1,3\n2,0.5")
    tail = CsvTail(path)
    read_all(tail)
    os.truncate(path, len("step,loss\n1,3\n"))
    append(path, "", age=60)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "3.0")]}
