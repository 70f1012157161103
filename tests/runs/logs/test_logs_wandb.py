"""What a run of W&B has beside its history: names, results, machine, console, images, tables."""

import json
import shutil
from pathlib import Path

import pytest
from log_makers import FIXTURES, field, read_all, seen, wandb_exit, wandb_log, wandb_row

from genui.cli.main import main
from genui.logs.find import find_logs
from genui.logs.wandb import WandbTail
from genui.ui.watcher import RunReader

WHOLE = FIXTURES / "wandb" / "run-whole.wandb"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def whole() -> WandbTail:
    tail = WandbTail(WHOLE)
    read_all(tail)
    return tail


def log_of(tmp_path: Path, *records: bytes) -> WandbTail:
    path = tmp_path / "run-x.wandb"
    path.write_bytes(wandb_log(*records))
    tail = WandbTail(path)
    read_all(tail)
    return tail


def test_names_tags_notes_and_environment(whole: WandbTail):
    about = whole.extras.about
    assert (about.name, about.project) == ("first flight", "owls")
    assert (about.tags, about.note) == (("night", "two words"), "a note\nmore")
    assert about.created > 1.7e9
    expected = {"group": "field", "arguments": ["wandb_whole"], "host": about.environment["host"]}
    assert expected.items() <= about.environment.items()
    assert about.environment["python"].startswith("CPython 3.")
    assert about.environment["memory GB"] > 1


def test_the_summary_has_what_is_no_last_value(whole: WandbTail):
    assert whole.extras.about.summary == {"best": {"loss": 0.5}, "acc": {"max": 3}}


def test_console_lines_have_times_and_only_the_last_state_of_a_bar(whole: WandbTail):
    lines = whole.extras.console
    assert [text for _, text in lines] == [*(f"step {n}" for n in range(6)), "bar 20%"]
    times = [time for time, _ in lines]
    assert times == sorted(times)
    assert times[0] > 1.7e9


def test_the_machine_is_measured_in_the_names_of_genui(whole: WandbTail):
    system = whole.extras.system
    assert {"cpu %", "memory GB", "machine memory %", "disk / GB"} <= system.keys()
    assert system["memory GB"].steps[0] == 0
    assert system["memory GB"].steps[-1] >= 2  # tenths of a second
    assert 0.02 < system["memory GB"].values[-1] < 4


def test_images_tables_and_sounds_are_samples_and_no_curves(whole: WandbTail):
    assert set(whole.series) == {"loss", "acc", "frame", "test/f1"}
    media = whole.extras.media
    assert list(media) == [0, 4]
    assert [(one.name, one.kind, one.caption) for one in media[4]] == [
        ("call", "audio", "a call"),
        ("one", "image", ""),
        ("pair", "image", "owl 0"),
        ("pair", "image", "owl 1"),
        ("said", "table", ""),
        ("weights", "histogram", ""),
    ]
    assert all(one.path.is_file() for step in media.values() for one in step)


def test_an_axis_of_define_metric_is_known(whole: WandbTail):
    assert whole.extras.axes == {"test/f1": "frame"}


def test_older_versions_log_an_image_as_one_object(tmp_path: Path):
    image = '{"_type":"image-file","path":"media/images/a.png","width":5,"caption":"x"}'
    tail = log_of(tmp_path, wandb_row([("_step", "3"), ("a", image), ("loss", "1.5")], key=1))
    assert seen(tail) == {"loss": [(3, "1.5")]}
    (media,) = tail.extras.media[3]
    assert (media.name, media.caption) == ("a", "x")
    assert media.path == tmp_path / "files/media/images/a.png"


@pytest.mark.parametrize("path", ["/etc/passwd", "../../secret", "a/../../../secret", "a\\u0000b"])
def test_a_log_names_no_file_outside_its_folder(path: str, tmp_path: Path):
    image = f'{{"_type":"image-file","path":"{path}"}}'
    tail = log_of(tmp_path, wandb_row([("_step", "3"), ("a", image), ("loss", "1")], key=1))
    assert tail.extras.media == {}
    assert seen(tail) == {"loss": [(3, "1.0")]}


def test_a_summary_that_a_script_sets_and_one_that_repeats_a_row(tmp_path: Path):
    def summary(*items: tuple[str, str]) -> bytes:
        updates = b"".join(
            field(1, field(1, name.encode()) + field(16, text.encode())) for name, text in items
        )
        return b"\x08\x07" + field(200, field(1, b"run")) + field(3, updates)

    tail = log_of(
        tmp_path,
        wandb_row([("_step", "1"), ("loss", "2")]),
        summary(("loss", "2"), ("_timestamp", "1.7e9"), ("_step", "1")),
        summary(("best", "0.25"), ("loss", "2"), ("broken", "{")),
        summary(("_runtime", "3"), ("_wandb", '{"runtime":3}')),
    )
    assert tail.extras.about.summary == {"best": 0.25}
    assert tail.bad_lines == 0


def test_damaged_fields_beside_the_history_cost_only_themselves(tmp_path: Path):
    damaged = [b"\x08\x07" + field(number, b"\xff\xff\xff") for number in (7, 12, 13, 17, 26)]
    tail = log_of(tmp_path, *damaged, wandb_row([("_step", "1"), ("loss", "2")]))
    assert seen(tail) == {"loss": [(1, "2.0")]}
    assert tail.bad_lines == len(damaged)


def test_runs_are_listed_by_their_display_names(tmp_path: Path, capsys: Capture):
    for number in (1, 2):
        folder = tmp_path / "wandb" / f"offline-run-{number}"
        folder.mkdir(parents=True)
        shutil.copy(WHOLE, folder / f"run-{number}.wandb")
    one, two = find_logs(tmp_path)
    assert one.info.name == two.info.name  # the same run twice: its id does not help
    (summary,) = find_logs(tmp_path / "wandb" / "offline-run-1")
    assert (summary.info.name, summary.info.project) == ("first flight", "owls")
    assert (summary.labels.tags, summary.state) == (("night", "two words"), "finished")
    assert main(["inspect", str(tmp_path / "wandb/offline-run-1/first flight"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["info"]["name"] == "first flight"
    assert told["tags"] == ["night", "two words"]
    assert told["info"]["created"] == pytest.approx(summary.info.created)
    assert told["summary"] == {"best": {"loss": 0.5}, "acc": {"max": 3}}
    assert told["axes"] == {"test/f1": "frame"}
    assert len(told["samples"]) == 12
    assert told["console"][0] == "step 0"
    assert main(["inspect", str(tmp_path / "wandb/offline-run-1/no such")]) == 2
    assert "no log of that name" in capsys.readouterr().err


def test_of_runs_with_one_name_the_id_follows(tmp_path: Path):
    for run in ("aaaa1111", "bbbb2222"):
        about = field(1, run.encode()) + field(8, b"owl")
        (tmp_path / f"run-{run}.wandb").write_bytes(wandb_log(b"\x08\x07" + field(17, about)))
    assert {one.info.name for one in find_logs(tmp_path)} == {"owl aaaa1111", "owl bbbb2222"}


def test_a_name_and_an_end_that_are_written_later_are_listed_then(tmp_path: Path):
    path = tmp_path / "offline-run-1" / "run-1.wandb"
    path.parent.mkdir()
    path.write_bytes(wandb_log())
    (one,) = find_logs(tmp_path)
    assert (one.info.name, one.state) == ("offline-run-1", "writing")
    reader = RunReader(one)
    assert reader.read() is not None
    about = b"\x08\x07" + field(17, field(8, b"owl"))
    row = wandb_row([("_step", "1"), ("loss", "2")])
    path.write_bytes(wandb_log(about, row))
    (one,) = find_logs(tmp_path)
    assert (one.info.name, one.state) == ("owl", "writing")
    reader.read()
    path.write_bytes(wandb_log(about, row, row, wandb_exit(1)))
    (one,) = find_logs(tmp_path)
    assert (one.info.name, one.state) == ("owl", "failed")
    view = reader.read()
    assert view is not None
    assert (view.summary.info.name, view.summary.state) == ("owl", "failed")


def write_part(folder: Path, time: str, steps: range, project: str = "owls", code: int = 0) -> Path:
    """A part of the run `abc`; the values of its steps are the hour of `time`, plus the step."""
    about = b"\x08\x07" + field(17, field(1, b"abc") + field(3, project.encode()))
    rows = [
        wandb_row([("_step", str(step)), ("loss", f"{int(time[:2]) + step / 100}")])
        for step in steps
    ]
    path = folder / f"offline-run-20260101_{time}-abc" / "run-abc.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(wandb_log(about, *rows, wandb_exit(code)))
    return path


def test_a_run_that_was_resumed_is_one_run(tmp_path: Path):
    first = write_part(tmp_path, "010000", range(3), code=1)
    (one,) = find_logs(tmp_path)
    tail = WandbTail(one.run.path)
    read_all(tail)
    assert (one.state, tail.ended, len(tail.series["loss"])) == ("failed", "failed", 3)
    # From a checkpoint; then offline W&B counts from 0 again.
    write_part(tmp_path, "020000", range(1, 5))
    last = write_part(tmp_path, "030000", range(2))
    (one,) = find_logs(tmp_path)
    assert (one.run.path, one.state, one.info.project) == (first, "finished", "owls")
    read_all(tail)
    values = ["1.0", "2.01", "2.02", "2.03", "2.04", "3.0", "3.01"]
    assert seen(tail) == {"loss": [*enumerate(values)]}
    assert (tail.ended, tail.overlaps, tail.progress) == ("finished", ((1, 2),), 1.0)
    assert tail.extras.about.environment["resumed"] == "2 times"
    # A part that is named is read from there on.
    (part,) = find_logs(last.parent)
    tail = WandbTail(part.run.path)
    read_all(tail)
    assert seen(tail) == {"loss": [(0, "3.0"), (1, "3.01")]}
    assert "resumed" not in tail.extras.about.environment


def test_runs_of_one_id_in_two_projects_are_two(tmp_path: Path):
    write_part(tmp_path, "010000", range(2))
    write_part(tmp_path, "020000", range(2), project="cats")
    assert {one.info.project for one in find_logs(tmp_path)} == {"owls", "cats"}
