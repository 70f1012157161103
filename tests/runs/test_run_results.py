"""The last and best values of many runs: read once, again when written to, saved."""

import json
import os
from pathlib import Path

import run_makers

from genui.logs import find_logs
from genui.logs.results import Metric, ResultReader, make_rows
from genui.runs.listing import list_runs


def log(folder: Path, *losses: float) -> Path:
    """A quiet log of these losses, appended to what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "metrics.jsonl"
    with path.open("a") as file:
        for loss in losses:
            file.write(json.dumps({"step": file.tell(), "loss": loss}) + "\n")
    written = 1_700_000_000 + path.stat().st_size
    os.utime(path, (written, written))
    return path


def read(reader: ResultReader, folder: Path) -> dict[str, tuple[float, float]]:
    """The last and best loss that each of these logs has just been read to have."""
    reader.set_runs(find_logs(folder))
    while reader.read(1):
        pass
    changed = reader.take_changed().items()
    return {
        Path(path).parent.name: result.metrics["loss"][:2]
        for path, result in changed
        if result.metrics
    }


def test_a_log_is_read_again_only_if_it_was_written_to(tmp_path: Path) -> None:
    jobs, saved = tmp_path / "jobs", tmp_path / "results"
    log(jobs / "a", 3, 1, 2)
    log(jobs / "b", 5, 4, float("nan"))
    reader = ResultReader(saved)
    first = read(reader, jobs)
    assert first["a"] == (2, 1)
    assert first["b"][1] == 4
    assert read(reader, jobs) == {}
    log(jobs / "a", 0.5)
    assert read(reader, jobs) == {"a": (0.5, 0.5)}

    log(jobs / "b", 3)
    another = ResultReader(saved)  # in the next program
    assert read(another, jobs).keys() >= {"b"}
    losses = {row.metrics["loss"][:2] for row in make_rows(find_logs(jobs), another.results)}
    assert losses == {(0.5, 0.5), (3, 3)}


def test_results_are_saved_for_the_next_program(tmp_path: Path) -> None:
    log(tmp_path / "jobs", 3, 1, 2)
    assert read(ResultReader(tmp_path / "results"), tmp_path / "jobs") == {"jobs": (2, 1)}
    another = ResultReader(tmp_path / "results")
    assert read(another, tmp_path / "jobs") == {}
    (row,) = make_rows(find_logs(tmp_path / "jobs"), another.results)
    assert row.metrics["loss"][:2] == (2, 1)
    assert row.get("curve.loss") == row.curve
    assert row.curve[0] == "█"
    assert row.curve.index("▁") < 7  # the last loss is not the least


def test_a_log_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    log(tmp_path / "a", 3)
    path = log(tmp_path / "b", 2)
    runs = find_logs(tmp_path)
    path.unlink()
    path.mkdir()
    reader = ResultReader(tmp_path / "results")
    reader.set_runs(runs)
    while reader.read(1):
        pass
    assert {len(result.metrics) for result in reader.take_changed().values()} == {0, 1}


def test_a_damaged_file_of_results_is_ignored(tmp_path: Path) -> None:
    saved = tmp_path / "results"
    saved.write_bytes(b"\x93\x01\xff not msgpack")
    log(tmp_path / "jobs", 3)
    assert read(ResultReader(saved), tmp_path / "jobs") == {"jobs": (3, 3)}


def test_a_run_that_was_not_read_yet_has_the_losses_of_its_status(genui_home: Path) -> None:
    run = run_makers.a_run(width="192")
    status = json.loads(run.status.read_text())
    run.status.write_text(json.dumps({**status, "val": 1.5, "loss": 1.25}))
    (row,) = make_rows(list_runs(), {})
    assert (row.get("val_loss"), row.get("loss")) == (1.5, 1.25)
    assert row.get("width") == 192
    run.metrics.write_text('{"step": 7, "time": 1, "val_loss": 1.0}\n')
    reader = ResultReader()
    reader.set_runs(list_runs())
    while reader.read(1):
        pass
    (row,) = make_rows(list_runs(), reader.results)
    assert row.metrics == {"val_loss": Metric(1.0, 1.0, 7)}
