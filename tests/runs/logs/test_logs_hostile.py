"""Databases made to hang, to fill the memory or to end the reader: one line each."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from log_makers import read_all, seen, whole_log

from genui.base.errors import GenuiError
from genui.logs import FORMATS, open_tail, sqlite
from genui.logs.base import Log
from genui.logs.find import find_logs
from genui.logs.sqlite import run_path
from genui.logs.trackio import TrackioTail

Capture = pytest.CaptureFixture[str]


def logs_in(path: Path) -> list[Log]:
    return FORMATS["trackio"].logs(path, path.parent)


COLUMNS = "'r' AS run_id, 'first' AS run_name, '2026-01-01' AS timestamp"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
TABLE = """CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, run_name TEXT,
    timestamp TEXT, step INTEGER, metrics TEXT);
    INSERT INTO metrics VALUES (1, 'r', 'first', '2026-01-01', 1, '{"loss": 2}');"""
ENDLESS_VIEW = (
    f"CREATE VIEW metrics AS {ENDLESS} SELECT i AS id, {COLUMNS}, i AS step, '' AS metrics FROM n"
)
HUGE_VIEW = (
    f"CREATE VIEW metrics AS SELECT 1 AS id, {COLUMNS}, 1 AS step, zeroblob(900000000) AS metrics"
)
FORGED = "PRAGMA writable_schema = ON; UPDATE sqlite_master SET type = 'table' WHERE type = 'view'"

HOSTILE = {
    "endless view": ENDLESS_VIEW,
    "huge view": HUGE_VIEW,
    "endless view called a table": f"{ENDLESS_VIEW}; {FORGED}",
    "huge view called a table": f"{HUGE_VIEW}; {FORGED}",
    "endless view of settings": f"{TABLE} CREATE VIEW configs AS {ENDLESS} "
    "SELECT max(i) AS config, 'r' AS run_id FROM n",
    "endless settings called a table": f"{TABLE} CREATE VIEW configs AS {ENDLESS} "
    f"SELECT max(i) AS config, 'r' AS run_id FROM n; {FORGED}",
    "table that computes": "CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, "
    "run_name TEXT, timestamp TEXT, step INTEGER, "
    "metrics TEXT AS (replace(hex(zeroblob(50000000)), '00', '0000')));"
    "INSERT INTO metrics VALUES (1, 'r', 'first', '2026-01-01', 1)",
    "ids that are words": TABLE.replace("id INTEGER PRIMARY KEY", "id TEXT").replace(
        "(1,", "('1',"
    ),
    "a value too long": f"{TABLE} INSERT INTO metrics VALUES "
    f"(2, 'r', 'first', '2026-01-01', 2, zeroblob({sqlite.LONGEST + 1}))",
}


def database(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def genui(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, with little memory and not for ever."""
    limited = ["sh", "-c", 'ulimit -v 4194304 && exec "$@"', "sh"]  # 4 GB
    words = (*limited, sys.executable, "-m", "genui", *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_database_is_one_line_and_costs_no_other_log(kind: str, tmp_path: Path):
    bad = database(tmp_path / "bad.db", HOSTILE[kind])
    (tmp_path / "good.csv").write_bytes(whole_log("csv"))
    for where in (bad, run_path(bad, "r")):
        refused = genui("inspect", str(where))
        assert (refused.returncode, refused.stdout) in {(1, ""), (2, "")}, refused
        assert refused.stderr.count("\n") == 1
        assert "bad.db" in refused.stderr
        assert "unexpected" not in refused.stderr
    listed = genui("watch", str(tmp_path))
    assert listed.returncode == 0
    assert listed.stderr == "" or ("left out (1): " in listed.stderr and "bad.db" in listed.stderr)
    assert listed.stderr.count("\n") <= 1
    assert "good.csv" in listed.stdout
    (good,) = [one for one in find_logs(tmp_path) if one.format == "csv"]
    tail = open_tail(good)
    read_all(tail)
    assert seen(tail)


def test_a_database_with_names_that_are_no_text_is_one_line(tmp_path: Path):
    path = database(tmp_path / "bad.db", f"{TABLE} CREATE INDEX zzzz ON metrics(step, run_id)")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"zzzz", b"z\xff\xfez").replace(b"(step, run", b"(st\xffp, run"))
    with pytest.raises(GenuiError, match=r"cannot read .*bad\.db as a log of trackio") as refusal:
        logs_in(path)
    assert "\n" not in str(refusal.value)
    (tmp_path / "good.jsonl").write_bytes(whole_log("jsonl"))
    assert [one.info.name for one in find_logs(tmp_path)] == ["good.jsonl"]


def test_text_that_is_none_costs_only_its_row(tmp_path: Path):
    path = database(
        tmp_path / "log.db",
        f"{TABLE} INSERT INTO metrics VALUES (2, 'r', CAST(X'ff' AS TEXT), CAST(X'fe' AS TEXT), 2, "
        "CAST(X'7b22fffe223a317d' AS TEXT)), (3, 'r', 'first', '', 3, CAST(X'fffe' AS TEXT)), "
        "(4, 'r', 'first', '', 4, '{\"loss\": 1}')",
    )
    tail = TrackioTail(run_path(path, "r"))
    read_all(tail)
    assert seen(tail)["loss"] == [(1, "2.0"), (4, "1.0")]
    assert tail.bad_lines == 2


def test_a_database_that_takes_too_long_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = database(
        tmp_path / "long.db",
        f"{TABLE} WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n LIMIT 20000) "
        "INSERT INTO metrics SELECT i, iif(i < 50, 'r', 'other'), 'name', '', i, '{\"loss\": 1}' "
        "FROM n",
    )
    tail = TrackioTail(run_path(path, "r"))
    monkeypatch.setattr(sqlite, "SECONDS", 0.0)
    with pytest.raises(GenuiError, match=r"long\.db .*not read within 0 s"):
        logs_in(path)
    for _ in range(2):
        with pytest.raises(GenuiError, match=r"long\.db .*not read within 0 s"):
            read_all(tail)
    assert seen(tail)["loss"][:2] == [(1, "2.0"), (2, "1.0")]  # what was read until then


def shared_pages(path: Path) -> Path:
    """A table as a tree of 17 levels, in which every child of a page is the same page: 20 KB, and
    more rows than can ever be counted."""
    size, levels = 1024, 16
    database(
        path,
        f"PRAGMA page_size = {size}; {TABLE} WITH RECURSIVE n(i) AS "
        "(SELECT 2 UNION ALL SELECT i + 1 FROM n LIMIT 400) "
        "INSERT INTO metrics SELECT i, 'other', 'name', '', i, '{}' FROM n",
    )
    data = bytearray(path.read_bytes())
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master").fetchone()
    connection.close()
    start = (root - 1) * size
    assert data[start] == 5  # a page of pointers, of which each has four bytes
    cells = int.from_bytes(data[start + 3 : start + 5], "big")
    assert cells > 4
    pointers = [start + 8] + [
        start + int.from_bytes(data[start + 12 + 2 * n : start + 14 + 2 * n], "big")
        for n in range(cells)
    ]
    leaf = data[pointers[1] : pointers[1] + 4]
    pages = len(data) // size
    for level in range(levels):
        child = leaf if level == levels - 1 else (pages + 1 + level).to_bytes(4, "big")
        for at in pointers:
            data[at : at + 4] = child
        if level < levels - 1:
            data += data[start : start + size]  # which points on at the next turn
            pointers = [at + len(data) - size - start for at in pointers]
            start = len(data) - size
    data[28:32] = (len(data) // size).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def test_a_tree_of_pages_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = shared_pages(tmp_path / "tree.db")
    assert path.stat().st_size < 64 * 1024
    monkeypatch.setattr(sqlite, "SECONDS", 0.2)
    with pytest.raises(GenuiError, match=r"tree\.db .*not read within"):
        logs_in(path)
    with pytest.raises(GenuiError, match=r"tree\.db .*(not read within|malformed|out of order)"):
        read_all(TrackioTail(run_path(path, "nobody")))


def test_a_large_database_is_read_in_parts_within_the_bounds(tmp_path: Path):
    path = database(
        tmp_path / "large.db",
        f"{TABLE} WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n LIMIT 5000) "
        "INSERT INTO metrics SELECT i, 'r', 'first', '', i, '{\"loss\": 1}' FROM n;"
        "INSERT INTO metrics VALUES (9000, 'r', 'first', '', 9000, "
        '\'{"loss": 3, "text": "\' || hex(zeroblob(500000)) || \'"}\')',
    )
    assert [log.key for log in logs_in(path)] == ["r"]
    tail = TrackioTail(run_path(path, "r"))
    looks = 0
    while tail.read(100_000):
        looks += 1
        assert 0 < tail.progress <= 1
    assert looks > 3
    assert len(seen(tail)["loss"]) == 5002
    assert (tail.bad_lines, tail.progress) == (0, 1.0)


def test_a_named_pipe_in_place_of_a_database_never_hangs(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(GenuiError, match="not a regular file"):
        TrackioTail(run_path(tmp_path / "pipe.db", "r")).read()
