"""Names, tags and notes that a run is given afterwards, and runs that are removed and restored."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_makers import a_run

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.runs import labels
from genui.runs.layout import read_info
from genui.runs.listing import find_run, list_runs, summarise


def test_a_new_name_finds_the_run_and_leaves_run_json_as_it_was() -> None:
    run = a_run("first")
    before = run.run_json.read_bytes()
    labels.rename(run, "wider")
    assert find_run("wider") == run
    assert find_run(run.id) == run
    assert summarise(run).info.name == "wider"
    assert run.run_json.read_bytes() == before
    assert read_info(run).name == "first"


@pytest.mark.parametrize("name", ["", "two words", "-x", "a" * 49, "a/b", "é"])
def test_a_name_that_no_run_may_have_is_refused(name: str) -> None:
    run = a_run()
    with pytest.raises(MisuseError, match="run name"):
        labels.rename(run, name)
    assert not run.labels.exists()


def test_tags_are_added_once_and_removed() -> None:
    run = a_run()
    assert labels.tag(run, ["base", "small"]) == ("base", "small")
    assert labels.tag(run, ["small", "new"], remove=["base"]) == ("small", "new")
    assert summarise(run).labels.tags == ("small", "new")
    with pytest.raises(MisuseError, match="has no tag 'base'; it has small, new"):
        labels.tag(run, [], remove=["base"])


@pytest.mark.parametrize("word", ["", "a b", "a,b", "x" * 33, "\x1b[2J", "tab\t"])
def test_a_tag_is_one_word(word: str) -> None:
    run = a_run()
    with pytest.raises(MisuseError, match="tag "):
        labels.tag(run, [word])
    assert summarise(run).labels.tags == ()


def test_at_most_so_many_tags() -> None:
    run = a_run()
    labels.tag(run, [f"t{i}" for i in range(labels.MAX_TAGS)])
    with pytest.raises(MisuseError, match="remove one first"):
        labels.tag(run, ["more"])


def test_a_note_is_one_safe_line_and_an_empty_one_removes_it() -> None:
    run = a_run()
    labels.annotate(run, " twice\nthe \x1b[31mwidth ")
    assert summarise(run).labels.note == "twice the width"
    labels.annotate(run, "")
    assert summarise(run).labels.note == ""
    with pytest.raises(MisuseError, match="at most"):
        labels.annotate(run, "x" * (labels.LONGEST_NOTE + 1))


def test_labels_keep_each_other() -> None:
    run = a_run()
    labels.rename(run, "one")
    labels.tag(run, ["two"])
    labels.annotate(run, "three")
    assert labels.read_labels(run) == labels.Labels(name="one", tags=("two",), note="three")


@given(data=st.binary(max_size=200))
def test_damaged_labels_never_take_the_run_with_them(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    run = a_run(f"r{time.monotonic_ns()}")
    run.labels.write_bytes(data)
    summary = summarise(run)
    assert summary.fault == ""
    assert "\n" not in summary.labels.note


def test_what_is_damaged_is_said_in_the_note() -> None:
    run = a_run()
    run.labels.write_text('{"tags": 3}')
    assert "labels.json is damaged" in summarise(run).labels.note
    with pytest.raises(GenuiError, match="remove it"):
        labels.tag(run, ["x"])


def test_a_removed_run_is_gone_and_comes_back_whole() -> None:
    run, other = a_run("gone"), a_run("stays")
    files = sorted(path.name for path in run.path.iterdir())
    assert labels.bytes_of(run) > 0
    removed = labels.remove(run)
    assert [summary.run for summary in list_runs()] == [other]
    assert labels.restore(removed) == run
    assert sorted(path.name for path in run.path.iterdir()) == files
    assert {summary.run for summary in list_runs()} == {run, other}


def test_what_was_removed_is_deleted_at_last_and_what_others_removed_a_day_later() -> None:
    removed = labels.remove(a_run())
    theirs = paths.runs_dir() / ".removed-1"
    theirs.mkdir()
    labels.empty()
    assert not removed.path.exists()
    assert theirs.exists()  # whoever removed it may want it back still
    day = time.time() - 25 * 3600
    os.utime(theirs, (day, day))
    labels.empty()
    assert not theirs.exists()


def test_a_folder_that_may_not_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(GenuiError, match="permission denied") as caught:
        labels.remove(run)
    assert str(run.path) in str(caught.value)
    assert Path(run.path).exists()
