"""Forks of a run, which continue from its state with other settings: the real trainer on tiny
recipes."""

import random
from collections.abc import Callable
from pathlib import Path

import forks
import numpy as np
import pytest

from genui.base.errors import MisuseError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.recompute import recompute
from genui.engine.train.batches import IndexSkip, WindowSkip
from genui.logs.native import read_series
from genui.recipes import find_recipe, override
from genui.runs import launch, models
from genui.runs.layout import RunDir, create_run, format_origin, read_info, read_status, state_steps
from genui.runs.recomputed import plan_replay

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


def fork(ref: str, **settings: str) -> RunDir:
    origin = models.find_fork(ref)
    return launch.create(origin.recipe, settings, "fork", origin)


def losses(run: RunDir) -> dict[int, float]:
    series = read_series(run)["loss"]
    return dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))


@pytest.fixture
def planted(tmp_path: Path, tiny_run: MakeRun) -> RunDir:
    """A run on verses with a line of rubbish in them, and a state every 10 steps."""
    words = random.Random(1)
    verse = [" ".join(words.choices(("to", "be", "or", "not"), k=8)) for _ in range(300)]
    noise = "".join(words.choices("abcdefghijklmnopqrstuvwxyz", k=400))
    path = tmp_path / "planted.txt"
    path.write_text("\n".join([*verse[:100], noise, *verse[100:]]))
    run = tiny_run(
        data=str(path), steps="60", checkpoint_every="10", ema="0.9", dropout="0.1", eval_every="60"
    )
    assert trainer.train(run) == 0
    return run


def test_a_fork_without_a_bad_line_equals_the_run_until_its_step(planted: RunDir) -> None:
    text = Path(read_info(planted).recipe["data"]).read_text()
    begin = max(text.split("\n"), key=len)
    first = text.index(begin)
    bad = f"{first}-{first + len(begin)}"
    run = fork(f"{planted.id}@20", skip=bad)
    assert (run.path / "checkpoints" / "step-00000020.safetensors").exists()
    assert trainer.train(run) == 0, run.console.read_text()
    before, after = losses(planted), losses(run)
    assert [*after] == [*range(21, 61)]
    hit = next(step for step in range(21, 61) if after[step] != before[step])
    assert 22 < hit < 60  # the draw has clean steps first
    with_it, without = recompute(planted, hit), recompute(run, hit)
    assert without.agreement == with_it.agreement == "equal to the bit"
    places = [{each.row: each.place for each in of.examples} for of in (with_it, without)]
    other = [row for row in places[0] if places[0][row] != places[1][row]]
    assert other
    for row, place in places[0].items():
        one, end = map(int, place.split("-"))
        assert (row in other) == (one < first + len(begin) and end > first)
    assert not any("".join(begin[:20]) in each.text for each in without.examples)
    assert format_origin(read_info(run).start_from) == f"{planted.id}@20"
    with pytest.raises(MisuseError, match="has done steps 21 to 60"):
        plan_replay(run, 20)
    assert 20 in state_steps(run)


def test_two_processes_read_the_same_examples(planted: RunDir) -> None:
    settings = {"skip": "0-4000", "steps": "53", "dropout": "0"}
    run, alone = (fork(f"{planted.id}@50", **settings) for _ in range(2))
    forks.train_ranks(run, 2)
    assert trainer.train(alone) == 0
    assert losses(run) == pytest.approx(losses(alone), rel=1e-3)
    assert losses(run)[51] != losses(planted)[51]


def test_other_rates_hold_from_the_state_on_and_the_average_continues(planted: RunDir) -> None:
    same = fork(f"{planted.id}@50")
    assert trainer.train(same) == 0
    assert losses(same) == {step: losses(planted)[step] for step in range(51, 61)}
    assert read_series(same)["val_loss"].values[-1] == read_series(planted)["val_loss"].values[-1]
    slow = fork(f"{planted.id}@50", learning_rate="1e-4", grad_clip="0.5")
    assert trainer.train(slow) == 0
    rate = dict(zip(*(part.tolist() for part in read_series(slow)["lr"].points[:2]), strict=True))
    assert rate[51] == pytest.approx(1e-4 * (60 - 50) / (60 - 0.4 * 60))
    assert losses(slow)[51] == losses(planted)[51]
    assert losses(slow)[52] != losses(planted)[52]
    again = fork(f"{slow.id}@60", steps="70")  # a fork of a fork keeps its settings
    assert read_info(again).recipe["learning_rate"] == 1e-4


def test_what_cannot_be_forked_says_why(
    planted: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "--from", f"{planted.id}@20", "--keep-state"]
    assert main(["train", "--from", f"{planted.id}@25", "--keep-state"]) == 2
    assert "keeps no state of step 25: it has only those of 10, 20" in capsys.readouterr().err
    assert main([*train, "--steps", "20"]) == 2
    assert "has done 20 of 20 steps" in capsys.readouterr().err
    assert main(["train", "shakespeare", *train[1:]]) == 2
    assert main([*train, "--minutes", "1"]) == 2
    assert main(["train", "shakespeare", "--keep-state"]) == 2
    capsys.readouterr()
    run = fork(f"{planted.id}@20", skip="0-99999999")
    assert trainer.train(run) == 2
    assert "leaves no example" in read_status(run).error
    assert main(["train", "chorales", "--set", "skip=3"]) == 2
    assert "has no such setting" in capsys.readouterr().err
    assert main([*train, "--set", "skip=a line"]) == 2
    assert capsys.readouterr().err.count("\n") <= 2


def test_other_rows_stay_and_skipped_places_are_never_drawn() -> None:
    indices = np.arange(10, 30)
    skip = IndexSkip("12,20-25", indices)
    for step in range(50):
        one, other = (np.random.default_rng((1, step)) for _ in range(2))
        drawn = one.choice(indices, 16)
        other.choice(indices, 16)
        new = skip.replace(drawn, one)
        assert not np.isin(new, [12, 20, 21, 22, 23, 24]).any()
        kept = ~np.isin(drawn, [12, 20, 21, 22, 23, 24])
        assert (new[kept] == drawn[kept]).all()
        assert one.random() == other.random()  # what is drawn later stays
    windows = WindowSkip("0-90,95-100", 120, 4)
    starts = windows.replace(np.arange(16) * 7, 4, np.random.default_rng(0))
    assert all(start in (90, 91, *range(100, 117)) for start in starts.tolist())
    with pytest.raises(MisuseError, match="leaves no example"):
        WindowSkip("0-118", 120, 4)
    with pytest.raises(MisuseError, match="leaves no example"):
        IndexSkip("0-30", indices)


def test_a_resume_on_other_data_says_so(tmp_path: Path, tiny_run: MakeRun) -> None:
    path = tmp_path / "own.txt"
    path.write_text("abcdefgh \n" * 2000)
    run = tiny_run(data=str(path), steps="6", checkpoint_every="2", eval_every="6")
    forks.train_until_killed(run, 4)
    path.write_text("hgfedcba \n" * 2000)
    assert trainer.train(run) == 0
    assert "its data have changed since" in run.console.read_text()
    assert "its data have changed since" in run.events.read_text()


def test_an_image_is_left_out(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in (("red-tile", "red"), ("blue-tile", "blue"), ("green-tile", "green")):
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")
    small = {
        "data": str(folder), "layers": "1", "width": "32", "heads": "2", "caption_width": "16",
        "batch": "4", "canvas_batch": "4", "patch": "8", "steps": "6", "threads": "1",
        "eval_every": "9", "sample_every": "9", "checkpoint_every": "2",
    }  # fmt: skip
    run = create_run(override(find_recipe("emoji"), small), small, "tiles")
    assert trainer.train(run) == 0, run.console.read_text()
    place = recompute(run, 3).examples[0].place
    other = fork(f"{run.id}@2", skip=place)
    assert trainer.train(other) == 0, other.console.read_text()
    for step in range(3, 7):
        with_it, without = (
            {each.row: each for each in recompute(of, step).examples} for of in (run, other)
        )
        for row, example in with_it.items():
            if example.place == place:
                assert without[row].place != place
            else:
                assert without[row].image == example.image
                assert without[row].measures["sigma"] == example.measures["sigma"]


def test_a_fork_that_is_killed_begins_again_from_its_state(planted: RunDir) -> None:
    whole, killed = (fork(f"{planted.id}@20", grad_clip="0.5", steps="40") for _ in range(2))
    assert trainer.train(whole) == 0
    forks.train_until_killed(killed, 6)
    assert trainer.train(killed) == 0
    assert "resumed from the checkpoint at step 20" in killed.console.read_text()
    assert losses(killed) == losses(whole)
