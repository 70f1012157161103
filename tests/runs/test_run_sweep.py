"""Sweeps: what their settings mean, and what becomes of trials; the trainings take no time."""

import math
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import psutil
import pytest
from sweep_world import EVERY, World, install
from waiting import wait_for

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import cannot_write
from genui.recipes import find_recipe
from genui.runs import control, coordinator, launch, sweep
from genui.runs.control import read_events
from genui.runs.coordinator import Coordinator
from genui.runs.layout import RunDir, RunLock, create_run, read_status
from genui.runs.listing import find_sweep, list_runs, observe_state, summarise
from genui.runs.metric import MetricReader
from genui.runs.search import Search
from genui.runs.sweep import (
    Range,
    Sweep,
    SweepReader,
    SweepState,
    combinations,
    parse_axes,
    read_sweep,
)

RECIPE = find_recipe("shakespeare")


def by_width(recipe: Mapping[str, Any]) -> list[float]:
    """The narrower the better, and four evaluations long."""
    return [recipe["width"] / 100 + 4 - at + recipe["seed"] / 1000 for at in range(4)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return install(monkeypatch, by_width)


def a_sweep(*pairs: tuple[str, str], **fields: Any) -> RunDir:
    axes = parse_axes(RECIPE, pairs)
    trials = [] if fields.get("search") else combinations(axes.lists)
    fields = {"points": len({trial.point for trial in trials}), **fields}
    return sweep.create(
        Sweep(
            name="wide",
            recipe=msgspec.to_builtins(RECIPE),
            settings=axes.fixed,
            lists=axes.lists,
            ranges=axes.ranges,
            trials=trials,
            **fields,
        )
    )


def states(view: SweepState) -> dict[int, str]:
    return {one.trial.number: one.state for one in view.results}


WIDTHS = ("width", "128,256,64")


# --- What settings mean -----------------------------------------------------------------------


def test_settings_are_values_lists_and_ranges() -> None:
    axes = parse_axes(
        RECIPE,
        [
            ("learning_rate", "1e-3, 0.001,3e-3"),
            ("steps", "500"),
            ("muon_rate", "1e-3..3e-3"),
            ("width", "64..250:64"),
            ("dropout", "0..0.5"),
            ("context", "16..256"),
            ("beta2", ".9..0.99:log"),
            ("sample_prompt", "Good, sir"),
            ("sample_prompt", "Ho.."),
            ("tokenizer", "chars,bytes"),
        ],
    )
    assert axes.fixed == {"steps": "500"}
    assert axes.lists == {
        "learning_rate": ["1e-3", "3e-3"],  # the same number twice is one value
        "sample_prompt": ["Good, sir", "Ho.."],
        "tokenizer": ["chars", "bytes"],
    }
    assert axes.ranges == {
        "muon_rate": Range(low=1e-3, high=3e-3, log=True),
        "width": Range(low=64, high=192, step=64, whole=True),
        "dropout": Range(low=0, high=0.5),
        "context": Range(low=16, high=256, log=True, whole=True),
        "beta2": Range(low=0.9, high=0.99, log=True),
    }


@pytest.mark.parametrize(
    ("key", "text", "fault"),
    [
        ("widht", "1,2", "--set widht.*did you mean 'width'"),
        ("width", "64,wide", "--set width=wide: expected a whole number"),
        ("width", "64,,128", "--set width="),
        ("learning_rate", "1e-3,20", "--set learning_rate=20: expected"),
        ("learning_rate", "1e-3..20", "--set learning_rate=1e-3..20: expected"),
        ("learning_rate", "1e-2..1e-3", "the first number must be the smaller"),
        ("learning_rate", "1e-3..", "expected LOW..HIGH"),
        ("dropout", "0..0.5:log", "begins above 0"),
        ("width", "64..128:1.5", "log, linear or a step"),
        ("width", "64..128:often", "log, linear or a step"),
        ("dropout", "0..0.5:1e-320", "log, linear or a step"),
        ("seed", "1..3", "list the seeds"),
        ("name", "a,b", "no such setting"),
    ],
)
def test_a_wrong_value_is_refused_by_its_setting(key: str, text: str, fault: str) -> None:
    with pytest.raises(MisuseError, match=fault) as error:
        parse_axes(RECIPE, [(key, text)])
    assert "\n" not in str(error.value)
    with pytest.raises(MisuseError, match="one range, or values"):
        parse_axes(RECIPE, [("width", "64..128"), ("width", "32")])


def test_a_grid_has_all_combinations_in_order_and_a_point_for_each_setting() -> None:
    trials = combinations({"width": ["64", "128"], "seed": ["1", "2"], "layers": ["1", "2"]})
    settings = [(one.settings["width"], one.settings["seed"], one.settings["layers"])
                for one in trials]  # fmt: skip
    assert settings[:4] == [("64", "1", "1"), ("64", "1", "2"), ("64", "2", "1"), ("64", "2", "2")]
    assert [one.number for one in trials] == list(range(1, 9))
    assert [one.point for one in trials] == [0, 1, 0, 1, 2, 3, 2, 3]
    with pytest.raises(MisuseError, match="at most 1,000"):
        combinations({"seed": [str(seed) for seed in range(1001)]})


def test_a_name_is_free_and_a_sweep_is_found_by_it(world: World) -> None:
    assert sweep.choose_name("", "shakespeare") == "shakespeare-sweep"
    folder = a_sweep(WIDTHS)
    assert find_sweep("wide") == folder
    assert sweep.list_sweeps() == [folder]
    for strange in ("", ".", "..", "../sweeps/wide", "wi", "a\0b"):
        assert find_sweep(strange) is None
    with pytest.raises(MisuseError, match="genui resume wide"):
        sweep.choose_name("wide", "shakespeare")
    with pytest.raises(MisuseError, match="choose another --name"):
        sweep.create(sweep.read_sweep(folder))
    launch.launch(RECIPE, {}, "mine")
    with pytest.raises(MisuseError, match="a run has the name 'mine'"):
        sweep.choose_name("mine", "shakespeare")
    with pytest.raises(MisuseError, match="at most"):
        sweep.choose_name("n" * 44, "shakespeare")


# --- How trials go ----------------------------------------------------------------------------


def test_every_setting_is_trained_so_many_at_once_and_the_best_is_first(world: World) -> None:
    view = world.carry_out(a_sweep(WIDTHS, ("steps", "40"), jobs=2))
    assert world.most == 2
    assert world.started == ["wide.1", "wide.2", "wide.3"]
    assert view.state == "finished"
    assert [one.trial.settings["width"] for one in view.results] == ["64", "128", "256"]
    assert [one.value for one in view.results] == pytest.approx([1.641, 2.281, 3.561])
    runs = {summary.info.name: summary for summary in list_runs()}
    assert runs["wide.2"].info.overrides == {"width": "256", "steps": "40"}
    assert runs["wide.2"].info.sweep["setting"] == "width=256"


def test_a_stopped_sweep_goes_on_with_what_was_cut_and_repeats_nothing(world: World) -> None:
    folder = a_sweep(WIDTHS)
    world.at_tick = lambda tick: control.send(folder, "stop") if tick == 6 else None
    view = world.carry_out(folder)
    assert view.state == "stopped"
    assert states(view) == {1: "finished", 2: "stopped", 3: "waiting"}
    world.at_tick = lambda tick: None
    view = world.carry_out(folder)
    assert view.state == "finished"
    assert world.started == ["wide.1", "wide.2", "wide.2", "wide.3"]
    assert {one.value for one in view.results} == {by_width({"width": w, "seed": 1})[3]
                                                   for w in (64, 128, 256)}  # fmt: skip
    with pytest.raises(GenuiError, match="all 3 trials have ended"):
        sweep.resume(folder)


class Kill(BaseException):
    """The coordinator is killed."""


def test_after_a_kill_another_coordinator_takes_over_what_still_trains(world: World) -> None:
    folder = a_sweep(WIDTHS, jobs=2)

    def kill(tick: int) -> None:
        if tick == 2:
            raise Kill

    world.at_tick = kill
    with pytest.raises(Kill):
        world.carry_out(folder)
    assert observe_state(folder, read_status(folder)) == "dead"
    killed = read_sweep(folder)
    # It had not yet written down that it had started the second trial.
    forgotten = msgspec.structs.replace(killed.trials[1], run="", state="waiting")
    trials = [killed.trials[0], forgotten, killed.trials[2]]
    sweep.write_sweep(folder, msgspec.structs.replace(killed, trials=trials))
    world.end(world.live["wide.1"])  # killed too
    world.at_tick = lambda tick: None
    view = world.carry_out(folder)
    assert view.state == "finished"
    assert world.started == ["wide.1", "wide.2", "wide.1", "wide.3"]
    assert len(list_runs()) == 3


def test_trials_that_fail_or_are_stopped_by_hand_do_not_end_the_sweep(world: World) -> None:
    world.curve = lambda recipe: [0.1, math.nan] if recipe["width"] == 256 else by_width(recipe)

    def by_hand(tick: int) -> None:
        if "wide.1" in world.live and tick == 2:
            control.send(world.live["wide.1"], "stop")

    world.at_tick = by_hand
    folder = a_sweep(WIDTHS)
    view = world.carry_out(folder)
    assert view.state == "finished"
    assert states(view) == {1: "stopped", 2: "failed", 3: "finished"}
    assert [one.trial.number for one in view.results] == [3, 1, 2]  # the lowest value had diverged
    assert "became nan" in view.results[-1].note
    with pytest.raises(GenuiError, match="--again repeats 2"):
        sweep.resume(folder)
    world.curve, world.at_tick = by_width, lambda tick: None
    assert world.started == ["wide.1", "wide.2", "wide.3"]
    sweep.resume(folder, again=True)
    assert set(states(world.carry_out(folder)).values()) == {"finished"}
    assert world.started[-2:] == ["wide.1", "wide.2"]


def test_a_removed_run_is_shown_and_a_removed_sweep_ends(world: World) -> None:
    folder = a_sweep(WIDTHS)

    def remove(tick: int) -> None:
        if tick == 2:
            shutil.rmtree(world.live["wide.1"].path)

    world.at_tick = remove
    view = world.carry_out(folder)
    assert states(view) == {1: "removed", 2: "finished", 3: "finished"}
    world.at_tick = lambda tick: shutil.rmtree(folder.path)
    with RunLock(folder):
        other = msgspec.structs.replace(read_sweep(folder), trials=combinations({"seed": ["1"]}))
        sweep.write_sweep(folder, other)
        assert Coordinator(folder, world.tick).run() == "failed"


def test_a_run_that_claims_to_be_a_trial_does_not_end_the_sweep(world: World) -> None:
    folder = a_sweep(WIDTHS)
    for number in (None, "one", [1]):
        create_run(RECIPE, {}, "strange", {"name": "wide", "trial": number})
    assert world.carry_out(folder).state == "finished"


def test_a_killed_trial_goes_on_and_is_given_up_after_three_starts(world: World) -> None:
    def kill(tick: int) -> None:
        if "wide.1" in world.live:
            world.end(world.live["wide.1"])

    world.at_tick = kill
    view = world.carry_out(a_sweep(WIDTHS))
    assert world.started == ["wide.1"] * 3 + ["wide.2", "wide.3"]
    assert states(view)[1] == "dead"
    assert "killed" in view.results[-1].note or "killed" in str([r.note for r in view.results])


def test_what_makes_every_trial_fail_ends_the_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_data(run: RunDir, command: object, lock: RunLock) -> None:
        world.detach(run, [], lock)
        world.end(run, "failed", error="the data are gone")

    monkeypatch.setattr(launch, "detach", no_data)
    view = world.carry_out(a_sweep(("seed", "1,2,3,4,5")))
    assert view.state == "failed"
    assert view.error == "3 trials failed before their first step: the data are gone"
    assert len(world.started) == 3


def test_a_full_disk_ends_the_sweep_and_loses_no_trial(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = launch.launch, True

    def create(*words: Any, **options: Any) -> RunDir:
        if full and len(world.started) == 1:
            raise cannot_write(sweep.paths.runs_dir(), OSError(28, "No space left on device"))
        return real(*words, **options)

    monkeypatch.setattr(launch, "launch", create)
    folder = a_sweep(WIDTHS)
    view = world.carry_out(folder)
    assert view.state == "failed"
    assert "no space left" in view.error
    assert "genui resume wide" in view.error
    full = False
    assert states(world.carry_out(folder)) == dict.fromkeys((1, 2, 3), "finished")


def test_an_unexpected_error_is_one_line_that_names_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = a_sweep(WIDTHS)
    monkeypatch.setattr(Coordinator, "run", lambda self: 1 / 0)
    monkeypatch.setattr(coordinator.signal, "signal", lambda *_: None)
    assert coordinator.main([str(folder.path)]) == 1
    status = read_status(folder)
    assert status.state == "failed"
    assert "ZeroDivisionError" in status.error
    assert str(folder.console) in status.error
    assert "\n" not in status.error
    assert "Traceback" in capfd.readouterr().err


def test_seeds_are_repetitions_of_a_setting(world: World) -> None:
    view = world.carry_out(a_sweep(("seed", "1,2,3"), ("width", "256,64"), jobs=6))
    best, other = view.settings
    assert best.settings == {"width": "64"}
    assert [one.trial.settings["seed"] for one in best.results] == ["1", "2", "3"]
    assert best.mean == pytest.approx(1.642)
    assert best.spread == pytest.approx(0.001)
    assert (best.counted, other.counted) == (3, 3)


def test_a_metric_that_is_never_logged_or_never_a_number_is_named(world: World) -> None:
    folder = a_sweep(WIDTHS, metric="accuracy", goal="max")
    notes: list[str] = []
    world.at_tick = lambda tick: notes.append(SweepReader(folder).read().results[0].note)
    view = world.carry_out(folder)
    assert notes[1] == "no accuracy yet: it logs loss, val_loss"  # while it is training
    assert [one.value for one in view.results] == [None] * 3
    assert view.results[0].note == "it does not log accuracy; it logs loss, val_loss"


def test_a_metric_is_read_as_it_grows_and_a_resumed_run_replaces_what_it_repeats(
    world: World,
) -> None:
    run = launch.create(RECIPE, {})
    reader = MetricReader(run.metrics, "acc")
    reader.read()
    with run.metrics.open("ab") as file:
        file.write(b'{"step":0,"acc":0.9}\n{"step":10,"acc":0.5}\nnot json "acc"\n[1,"acc"]\n')
        file.write(b'{"step":20,"acc":0.8}\n{"step":30,"acc":"NaN"}\n{"step":40,"a')
        file.flush()
        reader.read()
        assert reader.values.keys() == {0, 10, 20, 30}
        assert sweep.best(reader.values, "max") == 0.8  # step 0 is of the first weights
        file.write(b'cc":0.6}\n{"step":10,"rewind":true}\n')
        file.flush()
    reader.read()
    assert reader.values == {0: 0.9, 10: 0.5}
    assert sweep.best({0: 0.9}, "max") is None
    assert sweep.best({3: math.nan}, "max") is None


def test_only_one_coordinator_has_a_sweep_and_without_one_its_trials_are_stopped(
    world: World,
) -> None:
    folder = a_sweep(WIDTHS)
    with pytest.raises(GenuiError, match="nothing to stop"):
        sweep.stop(folder)
    sweep.start(folder)
    for start in (sweep.start, sweep.resume):
        with pytest.raises(GenuiError, match="is running already"):
            start(folder)
    sweep.stop(folder)
    assert [one.command for one in control.poll(folder)] == ["stop"]

    def kill(tick: int) -> None:
        raise Kill

    world.at_tick = kill
    with pytest.raises(Kill):
        world.carry_out(folder)
    sweep.stop(folder)
    assert [one.command for one in control.poll(world.live["wide.1"])] == ["stop"]
    assert read_sweep(folder).trials[0].state == "cut"


# --- The search -------------------------------------------------------------------------------


def searched(**fields: Any) -> RunDir:
    pytest.importorskip("optuna")
    pairs = [("learning_rate", "1e-4..1e-2"), ("width", "64..256:64"), ("tokenizer", "chars,bytes")]
    return a_sweep(*pairs, ("steps", "80"), search=True, points=12, **fields)


def by_rate(recipe: Mapping[str, Any]) -> list[float]:
    distance = abs(math.log10(recipe["learning_rate"]) + 3)
    return [5 - at * (2 - distance) / 3 for at in range(8)]


def proposals(folder: RunDir) -> list[dict[str, str]]:
    return [one.settings for one in read_sweep(folder).trials]


def test_a_search_stays_in_its_ranges_and_goes_on_as_if_it_was_not_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = install(monkeypatch, by_rate)
    folder = searched()
    view = world.carry_out(folder)
    assert view.state == "finished"
    whole = proposals(folder)
    assert len(whole) == 12
    for one in whole:
        assert 1e-4 <= float(one["learning_rate"]) <= 1e-2
        assert one["width"] in {"64", "128", "192", "256"}
        assert one["tokenizer"] in {"chars", "bytes"}
    assert len({one["learning_rate"] for one in whole}) > 8
    best = view.results[0].trial.settings
    assert abs(math.log10(float(best["learning_rate"])) + 3) < 0.5
    shutil.rmtree(folder.path)
    shutil.rmtree(sweep.paths.runs_dir())
    folder = searched()
    begin = world._ticks

    def interrupt(tick: int) -> None:
        if tick == begin + 20:
            control.send(folder, "stop")
        if tick == begin + 40:
            raise Kill

    world.at_tick = interrupt
    assert world.carry_out(folder).state == "stopped"
    with pytest.raises(Kill):
        world.carry_out(folder)
    assert world.carry_out(folder).state == "finished"
    assert proposals(folder) == whole


def test_a_trial_that_is_behind_the_others_is_pruned_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = install(monkeypatch, by_rate)
    folder = searched()
    view = world.carry_out(folder)
    pruned = [one for one in view.results if one.state == "pruned"]
    assert pruned
    assert {one.trial.state for one in pruned} == {"pruned"}
    assert all(20 <= one.step < 80 for one in pruned)
    run = sweep.run_of(pruned[0].trial)
    assert "pruned: behind the others at step" in read_events(run)[-1].text
    finished = [one.value for one in view.results if one.state == "finished"]
    assert min(v for v in finished if v) < min(one.value for one in pruned if one.value)
    assert view.count("finished") + len(pruned) == 12
    journal = (folder.path / "optuna.log").read_text()
    assert '"state":' in journal
    launch.resume(run)
    world.tick()
    control.send(run, "stop")
    world.tick()
    assert summarise(run).state == "stopped"  # by hand
    again = next(one for one in SweepReader(folder).read().results if one.trial.run == run.id)
    assert (again.state, again.step) == ("stopped", pruned[0].step + EVERY)


def test_without_pruning_every_trial_of_a_search_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = install(monkeypatch, by_rate)
    view = world.carry_out(searched(pruning=False, jobs=3))
    assert set(states(view).values()) == {"finished"}


def test_the_seeds_of_a_search_are_one_point(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    world = install(monkeypatch, by_rate)
    pairs = [("learning_rate", "1e-4..1e-2"), ("seed", "1,2"), ("steps", "80")]
    folder = a_sweep(*pairs, search=True, points=8)
    view = world.carry_out(folder)
    assert len(view.results) == 16
    for setting in view.settings:
        assert [one.trial.settings["seed"] for one in setting.results] == ["1", "2"]
        kinds = {one.state for one in setting.results}
        assert kinds in ({"finished"}, {"pruned"})


def test_a_search_needs_its_metric_and_a_whole_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    world = install(monkeypatch, by_rate)
    folder = searched(metric="accuracy", goal="max")
    view = world.carry_out(folder)
    assert view.state == "failed"
    assert "it does not log accuracy" in view.error
    assert len(world.started) == 1
    journal = folder.path / "optuna.log"
    with journal.open("ab") as file:
        file.write(b'{"torn')  # by a kill: it is cut off
    (folder.path / "optuna.log.lock").symlink_to(journal)
    Coordinator(folder)
    journal.write_text("no json\n" * 3)
    with pytest.raises(GenuiError, match=r"optuna\.log is damaged"):
        Coordinator(folder)


def test_without_optuna_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from genui.runs.search import load_optuna

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(GenuiError, match=r"pip install 'optuna"):
        load_optuna()


def test_a_proposal_is_not_rounded_out_of_its_range() -> None:
    pytest.importorskip("optuna")
    folder = a_sweep(("dropout", "0.123456..0.123461"), search=True, points=4)
    search = Search(folder.path, read_sweep(folder))
    values = [float(search.ask()[1]["dropout"]) for _ in range(4)]
    assert all(0.123456 <= value <= 0.123461 for value in values)


def test_a_search_takes_steps_as_they_are_typed() -> None:
    pytest.importorskip("optuna")
    folder = a_sweep(("steps", "1e1"), ("dropout", "0.1..0.2"), search=True, points=1)
    assert 0.1 <= float(Search(folder.path, read_sweep(folder)).ask()[1]["dropout"]) <= 0.2


# --- As processes -----------------------------------------------------------------------------

_COORDINATOR = """
import sys
from genui.runs import coordinator, launch
coordinator.POLL = 0.01
trainer = '''
import sys
from pathlib import Path
from genui.runs import control
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter
run = RunDir(Path(sys.argv[1]))
with RunWriter(run) as writer:
    writer.update(state="running")
    first = run.id.startswith("wide.1")
    while first and not (run.path / "go").exists() and not control.poll(run):
        pass
    writer.log(10, val_loss=2.0)
    writer.update(state="finished", step=10)
'''
launch.foreground = lambda run: [sys.executable, "-c", trainer, str(run.path)]
sys.exit(coordinator.main())
"""


def test_the_coordinator_is_a_process_that_a_kill_does_not_undo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sweep.command(RunDir(sweep.paths.sweeps_dir()))[1:3] == ["-m", "genui.runs.coordinator"]
    monkeypatch.setattr(
        sweep, "command", lambda folder: [sys.executable, "-c", _COORDINATOR, str(folder.path)]
    )
    folder = a_sweep(("seed", "1,2"))

    def now() -> SweepState:
        return SweepReader(folder).read()

    sweep.start(folder)
    wait_for(lambda: states(now())[1] == "running" and now().state == "running")
    pid = read_status(folder).pid
    assert os.getsid(pid) == psutil.Process(pid).ppid()  # the shell that waits for it
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: now().state == "dead")
    assert states(now()) == {1: "running", 2: "waiting"}
    sweep.resume(folder)
    wait_for(lambda: now().state == "running")
    (sweep.run_of(read_sweep(folder).trials[0]).path / "go").touch()
    wait_for(lambda: now().state == "finished")
    assert [one.trial.starts for one in now().results] == [1, 1]
    assert len(list_runs()) == 2
