import json
import shutil
from pathlib import Path

import msgspec
import pytest
from run_makers import a_run, held

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.runs import labels
from genui.runs.layout import RunDir, Status, read_info, write_info, write_status
from genui.runs.listing import find_run, list_runs, summarise


def aged(run: RunDir, created: float) -> RunDir:
    write_info(run, msgspec.structs.replace(read_info(run), created=created))
    return run


def test_no_folder_is_no_runs(genui_home: Path):
    assert list_runs() == []
    assert not genui_home.exists()


def test_newest_first():
    old, new = aged(a_run("first"), 100.0), aged(a_run("second"), 200.0)
    assert [s.run for s in list_runs()] == [new, old]


def test_broken_folders_are_listed_with_what_is_wrong(genui_home: Path):
    whole = a_run()
    damaged, statusless = a_run("damaged"), a_run("statusless")
    damaged.run_json.write_bytes(b"\x00")
    statusless.status.unlink()
    runs = genui_home / "data" / "runs"
    (runs / "empty\x1b[2J").mkdir()
    (runs / "a file").touch()
    (runs / ".hidden").mkdir()
    found = {s.run.id: s for s in list_runs()}
    assert found.keys() == {whole.id, damaged.id, statusless.id, "empty\x1b[2J"}
    assert found[whole.id].fault == ""
    assert "run.json is damaged" in found[damaged.id].fault
    assert "status.json" in found[statusless.id].fault
    assert found[statusless.id].info.name == "statusless"
    assert found["empty\x1b[2J"].fault.isprintable()
    assert {s.state for s in found.values() if s.fault} == {"failed"}


def test_a_runs_folder_that_is_a_file_lists_nothing(genui_home: Path):
    genui_home.mkdir()
    (genui_home / "data").touch()
    assert list_runs() == []


def test_a_living_run_was_written_just_now():
    run = a_run()
    with held(run):
        summary = summarise(run)
        assert summary.alive
        assert 0 <= summary.age < 60


def test_a_run_that_vanishes_is_a_fault_not_an_error():
    run = a_run()
    shutil.rmtree(run.path)
    assert summarise(run).fault


def test_every_way_to_name_a_run():
    old, new = aged(a_run("plays"), 100.0), aged(a_run("plays"), 200.0)
    other = aged(a_run("verse"), 150.0)
    assert find_run(old.id) == old
    assert find_run("plays") == new
    assert find_run("last") == new
    assert find_run("ver") == other
    assert find_run(old.id[:-1]) == old or old.id[:-1] == new.id[:-1]
    labels.rename(other, "wider")
    assert find_run("wid") == find_run("ver") == other


def test_an_ambiguous_prefix_names_the_candidates():
    runs = {a_run("plays-a").id, a_run("plays-b").id}
    with pytest.raises(MisuseError, match="give more of the id") as caught:
        find_run("play")
    assert all(run in str(caught.value) for run in runs)


def test_an_unknown_run_gets_the_nearest_name():
    a_run("hamlet")
    with pytest.raises(MisuseError, match="no run 'hamlt': did you mean 'hamlet'"):
        find_run("hamlt")


@pytest.mark.parametrize("ref", ["", "\x1b[31m\n", "x" * 10_000, "../..", "a\0b"])
def test_a_strange_reference_is_one_printable_line(ref: str):
    a_run()
    with pytest.raises(MisuseError) as caught:
        find_run(ref)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_where_there_are_no_runs_the_line_says_how_to_start_one():
    with pytest.raises(MisuseError, match="genui train"):
        find_run("last")


def test_a_run_that_is_not_there_is_answered_with_names_and_not_with_ids_too() -> None:
    runs = [a_run(f"exp-{number}") for number in range(60)]
    with pytest.raises(MisuseError) as raised:
        find_run("zebra")
    told = str(raised.value)
    assert told.endswith("and 50 more: genui runs lists them")
    assert not any(run.id in told for run in runs)
    with pytest.raises(MisuseError, match="did you mean 'exp-59'"):
        find_run("exp-5x9")


def test_speeds_have_the_same_keys_in_status_json_and_in_the_list(
    capsys: pytest.CaptureFixture[str],
):
    run = a_run()
    write_status(run, Status(state="stopped", steps_per_s=1.5, units_per_s=10.0))
    written = json.loads(run.status.read_bytes())
    assert (written["rate"], written["unit_rate"]) == (1.5, 10.0)
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["rate"], listed["unit_rate"], listed["state"]) == (1.5, 10.0, "stopped")
