"""Images, tables and histograms of trackio 0.43, and its runs by name."""

import json
import sqlite3
from pathlib import Path

import pytest
from log_makers import read_all, seen, trackio_database

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.logs.find import find_logs
from genui.logs.media import compose
from genui.logs.sqlite import run_path
from genui.logs.trackio import TrackioTail


def tail_of(tmp_path: Path, **values: object) -> TrackioTail:
    """A run whose only row has these values."""
    path = tmp_path / "owls.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, "
            "run_name TEXT, step INTEGER, metrics TEXT)"
        )
        connection.execute(
            "INSERT INTO metrics VALUES (1, 'r', '2026-01-01T00:00:00+00:00', 'night', 3, ?)",
            (json.dumps({"loss": 2.5, **values}),),
        )
    connection.close()
    tail = TrackioTail(run_path(path, "r"))
    read_all(tail)
    assert seen(tail) == {"loss": [(3, "2.5")]}
    return tail


def test_images_tables_and_histograms_are_samples(tmp_path: Path):
    tail = tail_of(
        tmp_path,
        img={"_type": "trackio.image", "file_path": "owls/r/3/a.png", "caption": "an owl"},
        said={"_type": "trackio.table", "_value": [{"in": "hoo", "out": 1}]},
        weights={"_type": "trackio.histogram", "bins": [0.0, 1.0, 2.0], "values": [3, 1]},
    )
    image, table, histogram = tail.extras.media[3]
    assert image.path == tmp_path / "media/owls/r/3/a.png"
    assert image.caption == "an owl"
    assert compose([table])[0].split() == ["said", "in", "out", "hoo", "1"]
    assert compose([histogram])[1] is not None


@pytest.mark.parametrize(
    "value",
    [
        {"_type": "trackio.image", "file_path": "../../secret.png"},
        {"_type": "trackio.image", "file_path": "/etc/passwd"},
        {"_type": "trackio.image", "file_path": None, "width": 3},
        {"_type": "trackio.histogram", "bins": "x", "values": {}},
    ],
)
def test_a_damaged_sample_is_left_out(value: object, tmp_path: Path):
    assert tail_of(tmp_path, odd=value).extras.media == {}


def test_a_run_is_named_as_trackio_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    database = trackio_database(tmp_path)
    assert main(["inspect", str(database / "first"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["info"]["name"] == "myproject/first"
    assert told["metrics"]["loss"] == pytest.approx(2 / 3)
    assert [one.info.name for one in find_logs(database / "second")] == ["myproject/second"]
    with pytest.raises(MisuseError, match="there is no"):
        find_logs(database / "third")
    assert main(["watch", str(database)]) == 0
    assert "myproject/first" in capsys.readouterr().out
    assert main(["inspect", str(database)]) == 2
    assert "“first”" in capsys.readouterr().err
