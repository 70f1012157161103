import dataclasses
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from run_makers import a_run

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_path, atomic_write
from genui.recipes import find_recipe, recipe_from_dict
from genui.runs import layout
from genui.runs.layout import RunDir, Status, create_run, read_info, read_status, write_status
from genui.runs.listing import list_runs


def test_a_new_run_says_what_was_asked():
    run = a_run(steps="77")
    info, status = read_info(run), read_status(run)
    assert re.fullmatch(r"shakespeare-\d{8}-\d{6}-[0-9a-f]{4}", run.id)
    assert recipe_from_dict(info.recipe) == dataclasses.replace(
        find_recipe("shakespeare"), steps=77
    )
    assert info.overrides == {"steps": "77"}
    assert {"genui", "python", "torch"} <= info.versions.keys()
    assert (status.state, status.steps, status.step) == ("starting", 77, 0)


def test_runs_of_one_second_do_not_collide():
    assert len({a_run("same").id for _ in range(20)}) == 20


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "x" * 49, "a\nb", "é"])
def test_a_name_that_is_no_file_name_is_refused(name: str, genui_home: Path):
    with pytest.raises(MisuseError, match="run name") as caught:
        a_run(name)
    assert "\n" not in str(caught.value)
    assert not genui_home.exists()


def test_a_bad_override_leaves_no_folder(genui_home: Path):
    with pytest.raises(MisuseError, match="did you mean 'width'"):
        a_run(widht="9")
    assert not genui_home.exists()


def test_data_is_kept_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    info = read_info(a_run(data="mine.txt"))
    assert info.data == info.recipe["data"] == info.overrides["data"] == str(tmp_path / "mine.txt")


def test_a_data_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("GENUI_HOME", str(blocked))
    with pytest.raises(GenuiError, match=f"cannot write {re.escape(str(blocked))}.*GENUI_HOME"):
        a_run()


NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
"""Files can be made and nothing written into them, as on a full disk."""


@pytest.mark.parametrize(
    "start",
    [
        "from genui.cli import main; main.main(['train', 'shakespeare', '--data', main.__file__])",
        "import genui; genui.init(project='mine', name='first').finish()",
    ],
    ids=["train", "init"],
)
def test_a_full_disk_leaves_no_run_behind(start: str, genui_home: Path):
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM + start], capture_output=True, text=True, check=False
    )
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((genui_home / "data" / "runs").glob("*")) == []


def test_a_runs_folder_that_is_a_file_is_named(genui_home: Path):
    (genui_home / "data").mkdir(parents=True)
    (genui_home / "data" / "runs").write_text("")
    with pytest.raises(GenuiError, match="cannot write"):
        create_run(find_recipe("icons"), {})


def test_a_status_reads_back_whatever_the_floats():
    run = a_run()
    write_status(
        run, Status(state="running", steps_per_s=math.inf, eta=math.nan, loss=math.nan, val=1.5)
    )
    status = read_status(run)
    assert (status.steps_per_s, status.eta, status.loss, status.val) == (0.0, -1.0, None, 1.5)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"state": "\\u001b[2J"}', b"[" * 100_000, b"\xff\xfe", b"1" * 2_000_000],
)
def test_a_damaged_record_is_one_line_naming_the_file(content: bytes):
    run = a_run()
    run.status.write_bytes(content)
    with pytest.raises(GenuiError, match=re.escape(str(run.status))) as caught:
        read_status(run)
    assert str(caught.value).isprintable()


def test_a_pipe_in_place_of_a_record_does_not_hang():
    run = a_run()
    run.run_json.unlink()
    os.mkfifo(run.run_json)
    with pytest.raises(GenuiError, match="not a regular file"):
        read_info(run)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    full = os.open("/dev/full", os.O_WRONLY)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(full, data))
    with pytest.raises(GenuiError, match=f"cannot write {re.escape(str(path))}: no space left"):
        atomic_write(path, b"new")
    os.close(full)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_replaced_when_the_block_fails(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as aside:
        aside.write_bytes(b"half" * (1 // 0))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_the_trainer_records_its_machine():
    run = a_run()
    info = msgspec.structs.replace(read_info(run), machine={"device": "cpu", "threads": 1})
    layout.write_info(run, info)
    assert read_info(run).machine == {"device": "cpu", "threads": 1}


def test_paths_sort_by_step():
    run = RunDir(Path("/x"))
    assert run.checkpoint(1200).name == "step-00001200.safetensors"
    assert run.checkpoint_state(1200).name == "step-00001200.state.safetensors"
    assert run.sample(200, ".png").name == "step-00000200.png"


def test_a_run_that_is_being_made_is_in_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing between its two records would show it as failed."""
    write_status, listed = layout.write_status, []

    def look_and_write(run: RunDir, status: Status) -> None:
        listed.append(list_runs())
        write_status(run, status)

    monkeypatch.setattr(layout, "write_status", look_and_write)
    run = create_run(find_recipe("shakespeare"), {}, "mine")
    assert listed == [[]]
    assert [(each.run, each.state) for each in list_runs()] == [(run, "starting")]
