"""`genui inspect`: its summary, what it waits for, what it tells, and other tools' logs."""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from genui.base.text import clean
from genui.cli import inspect, runs
from genui.cli.inspect import follow
from genui.cli.main import main
from genui.logs.find import find_logs
from genui.runs import control
from genui.runs.layout import (
    RunDir,
    create_script_run,
    read_info,
    read_status,
    write_info,
    write_status,
)
from genui.runs.writer import RunWriter

Capture = pytest.CaptureFixture[str]


def log_lines(*losses: float | str, first: int = 0) -> str:
    records = ({"step": first + i, "time": 1.7e9 + i, "loss": x} for i, x in enumerate(losses))
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def finished(make_run: Callable[..., RunDir]) -> RunDir:
    """A run whose loss fell from 4 to 1.5 over 40 steps, and rose to 2 in the last."""
    run = make_run("finished")
    run.metrics.write_text(log_lines(*(4 - 2.5 * i / 39 for i in range(40)), 2.0))
    return run


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Another program's JSONL."""
    path = tmp_path / "elsewhere" / "log.jsonl"
    path.parent.mkdir()
    path.write_text(log_lines(3.0, 2.0, 1.0))
    return path


@contextmanager
def written(run: RunDir, act: Callable[[RunWriter], None]) -> Iterator[None]:
    """A trainer that does that, a moment after the block is entered."""
    with RunWriter(run) as writer:
        writer.update(state="running")

        def go_on() -> None:
            time.sleep(0.1)
            act(writer)

        thread = threading.Thread(target=go_on)
        thread.start()
        yield
        thread.join()


# --- the summary ---------------------------------------------------------------------


def test_the_summary_has_each_metric_and_its_lowest(finished: RunDir, capsys: Capture) -> None:
    assert main(["inspect", "last", "--summary"]) == 0
    out = capsys.readouterr().out
    (row,) = [line.split() for line in out.splitlines() if line.startswith("loss ")]
    assert row[:5] == ["loss", "4.000", "2.000", "1.500", "39"]
    assert row[5][0] == "█"
    assert "▁" in row[5][-3:]
    assert "finish: finished at step 40" in out


def test_the_speed_has_its_share_of_the_peak(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    run = make_run("plays")
    with RunWriter(run) as writer:
        writer.update(state="running", units_per_s=5800.0, unit="tok/s", mfu=0.414)
        assert main(["inspect", "last"]) == 0
        assert main(["inspect", "last", "--json"]) == 0
    out = capsys.readouterr().out
    assert "5.8k tok/s, 41 % of the peak of matrix products" in out
    assert '"mfu": 0.414' in out


def test_the_summary_as_json(finished: RunDir, capsys: Capture) -> None:
    assert main(["inspect", "last", "--summary", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["step"], found["steps"]) == ("finished", 40, 40)
    loss = found["metrics"]["loss"]
    assert (loss["count"], loss["first"], loss["last"]) == (41, 4.0, 2.0)
    assert (loss["lowest"], loss["lowest_step"]) == (1.5, 39)
    assert [alert["kind"] for alert in found["alerts"]] == ["finish"]


def test_checkpoints_that_take_long_are_told_with_their_share(
    finished: RunDir, capsys: Capture
) -> None:
    spent = {"steps": 60.0, "checkpoint": 40.0}
    write_status(finished, msgspec.structs.replace(read_status(finished), spent=spent))
    told = "checkpoints take 40 % of the time (a larger checkpoint_every)"
    for command in (["inspect", "last", "--summary"], ["why", "last"]):
        assert main(command) == 0
        assert told in capsys.readouterr().out
    assert main(["inspect", "last"]) == 0
    assert "60 % steps, 40 % checkpoint" in capsys.readouterr().out
    assert main(["why", "last", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["waste"][0]["share"] == 0.4


def test_the_summary_tells_of_steps_written_again_and_of_damage(
    finished: RunDir, capsys: Capture
) -> None:
    with finished.metrics.open("a") as file:
        file.write("no record\n" + log_lines(9.0, 8.0, first=20))
    assert main(["inspect", finished.id, "--summary"]) == 0
    out = capsys.readouterr().out
    assert "overlap  steps 20 to 40 written again" in out
    assert "damaged  1 record\n" in out
    assert main(["inspect", finished.id, "--summary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overlaps"] == [[20, 40]]


def test_the_summary_tells_of_a_nan(make_run: Callable[..., RunDir], capsys: Capture) -> None:
    make_run("failed").metrics.write_text(log_lines(3.0, "NaN", "NaN"))
    assert main(["inspect", "last", "--summary"]) == 0
    out = capsys.readouterr().out
    assert "nan: loss is NaN at step 1" in out
    assert "crash: failed at step 40" in out
    (row,) = [line for line in out.splitlines() if line.startswith("loss ")]
    assert row.endswith("▁××")


def test_the_summary_of_a_run_without_metrics(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    make_run("failed")
    assert main(["inspect", "last", "--summary"]) == 0
    assert "no metrics yet" in capsys.readouterr().out


def test_a_thousand_metrics_stay_on_one_screen(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    record = {"step": 1} | {f"layer{i}": 1.0 for i in range(400)}
    make_run().metrics.write_text(json.dumps(record) + "\n")
    assert main(["inspect", "last", "--summary"]) == 0
    out = capsys.readouterr().out
    assert "and 380 more" in out
    assert len(out.splitlines()) <= 30


@pytest.mark.parametrize("values", [(1.7e308, -1.7e308), (5e-324, 0.0), ("Infinity",), (1e308,)])
def test_numbers_at_the_ends_of_what_a_float_can_hold(
    values: tuple, make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    make_run().metrics.write_text(log_lines(*values))
    assert main(["inspect", "last", "--summary"]) == 0
    assert "loss" in capsys.readouterr().out


def test_a_name_with_escape_codes_is_shown_without_them(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    make_run().metrics.write_text('{"step": 1, "\\u001b[31mred[/]\\n": 1.0}\n')
    assert main(["inspect", "last", "--summary"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "red[/]" in out


UNSAFE = "a\x7fb\x9b31mc\u202ed\u200be\u2028f\U000e0041g\x1b]0;h\x07"


@pytest.mark.parametrize("how", [[], ["--summary"], ["--follow"]])
def test_json_shows_no_control_or_invisible_characters_and_keeps_them(
    how: list[str], finished: RunDir, capsys: Capture
) -> None:
    finished.metrics.write_text(json.dumps({"step": 1, UNSAFE: 2.0}) + "\n")
    info = read_info(finished)
    write_info(finished, msgspec.structs.replace(info, project=UNSAFE, config={UNSAFE: UNSAFE}))
    assert main(["inspect", finished.id, "--json", *how]) == 0
    out = capsys.readouterr().out
    assert clean(out) == out
    found = json.loads(out)
    if how == ["--follow"]:
        assert found == {"step": 1, UNSAFE: 2.0}
    elif how:
        assert found["metrics"][UNSAFE]["last"] == 2.0
    else:
        assert (found["info"]["project"], found["info"]["config"]) == (UNSAFE, {UNSAFE: UNSAFE})


def test_the_list_of_runs_as_json_is_safe_to_show(finished: RunDir, capsys: Capture) -> None:
    write_info(finished, msgspec.structs.replace(read_info(finished), project=UNSAFE))
    assert main(["runs", "--json"]) == 0
    out = capsys.readouterr().out
    assert clean(out) == out
    assert json.loads(out)[0]["info"]["project"] == UNSAFE


# --- until ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("done", "finished at step 40"),
        ("20", "step 20 reached"),
        ("loss<1.6", "loss is 1.564 at step 38"),
        ("loss <= 1.5", "loss is 1.500 at step 39"),
        ("loss>3.9", "loss is 4.000 at step 0"),
    ],
)
def test_what_was_reached_before_ends_it_at_once(
    until: str, said: str, finished: RunDir, capsys: Capture
) -> None:
    assert main(["inspect", "last", "--until", until]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize("until", ["50", "loss<1.0", "loss>9"])
def test_an_end_before_it_was_reached_is_a_failure(
    until: str, finished: RunDir, capsys: Capture
) -> None:
    assert main(["inspect", "last", "--until", until]) == 1
    assert f"finished at step 40, before {until}" in capsys.readouterr().err


def test_a_run_that_is_killed_is_a_failure_with_its_line(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    run = make_run("running", step=7)
    assert main(["inspect", "last", "--until", "done"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"genui: {run.id} dead at step 7: its process is gone")
    assert said.count("\n") == 1


def test_a_step_is_waited_for(make_run: Callable[..., RunDir], capsys: Capture) -> None:
    run = make_run("stopped", step=0)

    def act(writer: RunWriter) -> None:
        for step in range(6):
            writer.log(step, loss=1.0)

    with written(run, act):
        assert main(["inspect", "last", "--follow", "--until", "5", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["step"] for line in out.splitlines()] == [0, 1, 2, 3, 4, 5]
    assert err == "step 5 reached\n"


def test_a_step_may_be_named_in_a_condition(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    run = make_run("stopped", step=0)

    def act(writer: RunWriter) -> None:
        for step in range(0, 10, 3):
            writer.log(step, loss=1.0)

    with written(run, act):
        assert main(["inspect", "last", "--until", "step>4"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "step is 6.000 at step 6"
    assert err == ""


def test_several_metrics_are_waited_for_that_are_logged_apart(
    make_run: Callable[..., RunDir], capsys: Capture
) -> None:
    run = make_run("stopped", step=0)

    def act(writer: RunWriter) -> None:
        writer.log(1, loss=2.0, acc=0.95)
        writer.log(2, loss=0.5)
        writer.log(3, acc=0.5)
        writer.log(4, acc=0.9)

    with written(run, act):
        assert main(["inspect", "last", "--until", "loss<1 and acc>=90%"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "loss is 0.5000, acc is 0.9500 at step 2"


def test_a_nan_is_told_while_one_waits(make_run: Callable[..., RunDir], capsys: Capture) -> None:
    run = make_run("stopped", step=0)

    def act(writer: RunWriter) -> None:
        writer.log(1, loss=float("nan"))
        writer.update(state="finished")

    with written(run, act):
        assert main(["inspect", "last", "--until", "done"]) == 0
    assert "nan: loss is NaN at step 1" in capsys.readouterr().out.splitlines()


def test_a_metric_that_nobody_logs_is_remarked_on(finished: RunDir, capsys: Capture) -> None:
    assert main(["inspect", "last", "--until", "los<1"]) == 1
    assert "no metric 'los' so far: did you mean 'loss'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "until",
    ["", "soon", "loss", "loss<", "<3", "loss<x", "loss<nan", "-3", "loss<1 and", "a<1 or b"],
)
def test_what_cannot_be_waited_for_is_misuse(until: str, finished: RunDir, capsys: Capture) -> None:
    assert main(["inspect", "last", f"--until={until}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_summary_cannot_be_followed(finished: RunDir, capsys: Capture) -> None:
    assert main(["inspect", "last", "--summary", "--follow"]) == 2
    assert "leave --follow out" in capsys.readouterr().err


def test_a_record_nested_without_end_is_passed_over(finished: RunDir, capsys: Capture) -> None:
    with finished.metrics.open("a") as file:
        file.write("[" * 100_000 + "\n" + log_lines(1.0, first=50))
    assert main(["inspect", finished.id, "--follow", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["step"] for record in records] == [*range(41), 50]


@pytest.mark.parametrize("how", [["--summary"], ["--follow"], ["--until", "done"], ["--json"], []])
def test_a_metric_that_a_resume_undid_wholly(
    how: list[str], finished: RunDir, capsys: Capture
) -> None:
    with finished.metrics.open("a") as file:
        file.write('{"step":60,"undone":1}\n{"step":40,"rewind":true}\n')
    assert main(["inspect", finished.id, *how]) == 0
    assert capsys.readouterr().err == ""


def test_whose_weights_it_began_with_and_the_rate_in_force(
    finished: RunDir, capsys: Capture
) -> None:
    def facts() -> dict[str, str]:
        capsys.readouterr()
        assert main(["inspect", finished.id]) == 0
        return dict(
            re.split("  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines()
        )

    info = read_info(finished)
    assert (facts()["learning rate"], "from" in facts()) == (
        str(info.recipe["learning_rate"]),
        False,
    )
    source = {"ref": "last", "run": "plays-1", "step": 40}
    write_info(finished, msgspec.structs.replace(info, start_from=source))
    control.record(finished, 10, "set_lr", "learning rate 0.003 → 2e-05, Muon's 0.02 → 0.01")
    assert facts()["from"] == "plays-1@40"
    assert facts()["learning rate"] == f"2e-05, at first {info.recipe['learning_rate']}"
    control.record(finished, 5, control.RESUMED, "resumed from the checkpoint")
    assert facts()["learning rate"] == str(info.recipe["learning_rate"])


# --- any log -------------------------------------------------------------------------


def test_another_programs_log_is_described(foreign: Path, capsys: Capture) -> None:
    assert main(["inspect", str(foreign)]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["log"] == str(foreign)
    assert (facts["format"], facts["step"], facts["metrics"]) == ("jsonl", "2", "loss")


@pytest.mark.parametrize("how", [[], ["--summary"], ["--follow", "--until", "loss<1.5"]])
def test_a_file_name_that_is_no_text_is_kept_in_json(
    how: list[str], foreign: Path, capsys: Capture
) -> None:
    path = foreign.with_name(os.fsdecode(b"log\xff\x9b.jsonl"))
    foreign.rename(path)
    with path.open("a") as file:
        file.write('{"step": 3, "loss": NaN}\n')
    assert main(["inspect", str(path), "--json", *how]) == 0
    out = capsys.readouterr().out
    assert clean(out) == out
    if not how:
        found = json.loads(out)
        assert (found["path"], found["step"], found["loss"]) == (str(path), 3, None)
    elif how == ["--summary"]:
        assert json.loads(out)["log"] == str(path)


def test_the_largest_step_there_is_is_shown_exactly(foreign: Path, capsys: Capture) -> None:
    foreign.write_text(log_lines(1.0, first=2**63 - 1))
    assert main(["inspect", str(foreign)]) == 0
    assert "9,223,372,036,854,775,807" in capsys.readouterr().out
    assert main(["inspect", str(foreign), "--summary"]) == 0
    out = capsys.readouterr().out
    assert out.count("9,223,372,036,854,775,807") == 2
    assert main(["inspect", str(foreign), "--follow", "--until", "loss<2"]) == 0
    assert "step 9,223,372,036,854,775,807  loss" in capsys.readouterr().out


def test_its_summary(foreign: Path, capsys: Capture) -> None:
    assert main(["inspect", str(foreign), "--summary", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["loss"]["lowest_step"] == 2
    assert found["state"] == "writing"


def test_it_is_followed_while_it_is_written(foreign: Path, capsys: Capture) -> None:
    def go_on() -> None:
        time.sleep(0.1)
        with foreign.open("a") as file:
            file.write(log_lines(0.5, 0.4, first=3))

    thread = threading.Thread(target=go_on)
    thread.start()
    assert main(["inspect", str(foreign), "--until", "loss<0.45", "--json"]) == 0
    thread.join()
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["step"], r["loss"]) for r in records] == [
        (0, 3.0), (1, 2.0), (2, 1.0), (3, 0.5), (4, 0.4),
    ]  # fmt: skip


def test_a_log_that_says_how_it_ended_ends_it(tmp_path: Path, capsys: Capture) -> None:
    state = {
        "global_step": 20, "max_steps": 20, "epoch": 1.0, "num_train_epochs": 1,
        "log_history": [{"step": 10, "epoch": 0.5, "loss": 2.0}, {"step": 20, "loss": 1.0}],
    }  # fmt: skip
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text(json.dumps(state))
    assert main(["inspect", str(tmp_path), "--until", "done"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "finished at step 20"


def test_a_log_that_is_removed_ends_it(
    foreign: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect, "ROTATION_SECONDS", 0.2)
    thread = threading.Timer(0.1, foreign.unlink)
    thread.start()
    assert main(["inspect", str(foreign), "--until", "done"]) == 1
    assert "no longer exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "line"),
    [("train.log", "step {} loss 0.5\n"), ("train.jsonl", '{{"step": {}, "loss": 0.5}}\n')],
)
def test_a_log_that_is_rotated_goes_on(name: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(line.format(1))
    (log,) = find_logs(path)
    looks = follow(log)
    assert [record["step"] for record in next(looks).records] == [1]
    path.rename(tmp_path / "old")
    assert next(looks).records == []
    path.write_text(line.format(2) + line.format(3))
    assert [record["step"] for record in next(looks).records] == [2, 3]


def test_a_folder_is_waited_for_until_a_log_is_in_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "step 1 loss 0.5\nstep 2 loss 0.4\nstep 3 loss 0.3\n"

    def appear(seconds: float) -> None:
        (tmp_path / "slurm-1.out").write_text(text)

    monkeypatch.setattr(runs, "time", SimpleNamespace(sleep=appear))
    assert main(["inspect", str(tmp_path), "--until", "2"]) == 0
    assert "no logs yet" in capsys.readouterr().err


def test_a_folder_of_several_logs_is_not_one(foreign: Path, capsys: Capture) -> None:
    (foreign.parent / "b").mkdir()
    (foreign.parent / "b" / "log.jsonl").write_text(log_lines(1.0))
    assert main(["inspect", str(foreign.parent)]) == 2
    said = capsys.readouterr().err
    assert "holds 2 logs" in said
    assert str(foreign) in said


@pytest.mark.parametrize(
    "word", ["nowhere/log.jsonl", "no\0where/x", "x" * 5000, "/", "", "\x1b[2J"]
)
def test_what_is_neither_run_nor_log_is_one_line(
    word: str, finished: RunDir, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["inspect", word.replace("/", "./", 1) if word == "/" else word]) == 2
    said = capsys.readouterr().err
    assert said.startswith("genui: ")
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_a_script_of_ones_own_is_described_by_its_config(capsys: Capture) -> None:
    create_script_run("mine", "digits", {"lr": 3e-4, "layers": 6})
    assert main(["inspect", "mine"]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["training"] == "a script's run, project digits"
    assert facts["config"] == "lr=0.0003 layers=6"
    assert facts["step"] == "0"
    assert not {"recipe", "from", "learning", "left"} & set(facts)


def test_a_living_script_whose_end_nobody_knows_has_no_time_left(capsys: Capture) -> None:
    run = create_script_run("mine", "", {})
    with RunWriter(run) as writer:
        writer.update(state="running", step=119)
        assert main(["inspect", "mine"]) == 0
        facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
        assert main(["runs"]) == 0
        row = capsys.readouterr().out.splitlines()[1].split()
    assert (facts["state"], facts["step"]) == ("running", "119")
    assert "left" not in facts
    assert row[1:3] == ["running", "119"]
    assert "–" not in row


@pytest.mark.parametrize("words", [["generate"], ["train", "--from"], ["show"]])
def test_a_script_of_ones_own_has_no_weights(words: list[str], capsys: Capture) -> None:
    create_script_run("mine", "", {})
    assert main([*words, "mine"]) == 2
    assert "belongs to a script: genui has its metrics" in capsys.readouterr().err


def test_each_host_of_a_run_is_named_once(finished: RunDir, capsys: Capture) -> None:
    machine = {"device": "cpu", "processes": 3, "hosts": ["node1", "node1", "node2"]}
    write_info(finished, msgspec.structs.replace(read_info(finished), machine=machine))
    assert main(["inspect", finished.id]) == 0
    assert "cpu, 3 processes on node1, node2\n" in capsys.readouterr().out
