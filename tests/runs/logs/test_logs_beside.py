"""One log that cannot be read among others, which are listed and read as if it were not there."""

from pathlib import Path

import pytest
from log_makers import (
    FIXTURES,
    SAMPLES,
    make_log,
    read_all,
    seen,
    trackio_database,
    whole_log,
)

from genui.base.errors import GenuiError
from genui.cli.main import main
from genui.logs import open_tail
from genui.logs.find import find_logs
from genui.logs.formats import FORMATS

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("error", [ZeroDivisionError("by\nzero"), MemoryError(), OSError(5, "x")])
@pytest.mark.parametrize("format", SAMPLES)
def test_a_reader_that_fails_costs_only_its_log(
    format: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    folder = tmp_path / "logs"
    folder.mkdir()
    bad = make_log(format, folder)
    good = folder / ("good.csv" if format != "csv" else "good.jsonl")
    good.write_bytes(whole_log("csv" if format != "csv" else "jsonl"))
    reader = type(FORMATS[format].open(bad))

    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(reader, "read", fail)
    found = {one.run.path: one for one in find_logs(folder)}
    assert {bad, good} <= found.keys()
    tail = open_tail(found[bad])
    for _ in range(2):
        with pytest.raises(GenuiError, match=bad.name) as refusal:
            tail.read()
        assert "\n" not in str(refusal.value)
        assert seen(tail) == {}
    tail = open_tail(found[good])
    read_all(tail)
    assert seen(tail)
    assert main(["watch", str(folder)]) == 0
    listed = capsys.readouterr()
    assert bad.name in listed.out
    assert str(good) in listed.out
    assert main(["inspect", str(bad), "--summary"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "unexpected" not in told
    assert main(["inspect", str(good), "--summary"]) == 0


def test_a_log_that_cannot_even_be_listed_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    trackio_database(tmp_path)

    def fail(*_: object) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr("genui.logs.trackio.Trackio.logs", fail)
    assert main(["inspect", str(tmp_path)]) == 1  # nothing else is there: why not is said
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "myproject.db" in told
    good = tmp_path / "good.csv"
    good.write_bytes(whole_log("csv"))
    found = find_logs(tmp_path)
    assert [one.run.path for one in found] == [good]
    assert "left out (1)" in found.note
    for command in ("inspect", "watch"):
        assert main([command, str(tmp_path)]) == 0
        out, err = capsys.readouterr()
        assert "good.csv" in out
        assert err.count("\n") == 1
        assert "left out (1): cannot read" in err
        assert "myproject.db" in err


def test_a_file_that_is_none_among_event_files_costs_only_itself(tmp_path: Path):
    for file in (FIXTURES / "tensorboard").glob("events*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (clean,) = find_logs(tmp_path)
    expected = open_tail(clean)
    read_all(expected)
    (tmp_path / "events.out.tfevents.0.broken").write_bytes(b"no event file, but long enough")
    (summary,) = find_logs(tmp_path)
    tail = open_tail(summary)
    for _ in range(2):
        read_all(tail)
        assert seen(tail) == seen(expected) != {}
        assert (tail.bad_lines, tail.progress) == (1, 1.0)
