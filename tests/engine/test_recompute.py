"""A step of a run that is computed again, by the real trainer on tiny recipes."""

import hashlib
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import forks
import pytest

from genui.base.errors import GenuiError, MisuseError
from genui.engine import trainer
from genui.engine.recompute import recompute
from genui.recipes import find_recipe, override
from genui.runs import control
from genui.runs.layout import RunDir, create_run
from genui.runs.recomputed import Progress, Recomputed, command_for, decode_line, plan_replay

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


def hash_files(run: RunDir) -> dict[str, str]:
    files = (path for path in run.path.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_step_is_the_logged_one_to_the_bit_and_the_folder_is_unchanged(
    tiny_run: MakeRun, plays: Path
) -> None:
    run = tiny_run(dropout="0.1", steps="14", micro_batches="2")
    assert trainer.train(run) == 0
    before = hash_files(run)
    for step in (2, 11, 14):
        found = recompute(run, step)
        assert found.agreement == "equal to the bit"
        assert found.metrics["grad_norm"] == found.logged["grad_norm"]
        assert (found.replayed, found.notes) == (step - found.began, ())
    assert hash_files(run) == before
    assert [*found.norms] == [*range(found.began + 1, 15)]
    kinds = {name.partition("/")[0] for name in found.norms[14]}
    assert kinds == {"gradients", "updates", "weights", "activations"}
    assert sorted(each.row for each in found.examples) == [0, 1, 2, 3]
    example = found.examples[0]
    assert plays.name in example.source
    begin = int(example.place.partition("-")[0])
    line = plays.read_text()[:begin].count("\n") + 1
    assert example.source == f"{plays.name}, line {line:,}"
    assert example.text == plays.read_text()[begin : begin + 33]


def test_a_changed_learning_rate_holds_from_its_step(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="8", warmup="0", checkpoint_every="100")
    control.send(run, "set_lr", 0.0012345678)
    assert trainer.train(run) == 0
    for path in run.checkpoints.glob("step-00000000*"):
        path.unlink()
    found = recompute(run, 6)
    assert (found.began, found.agreement) == (0, "equal to the bit")
    assert found.learning_rate == pytest.approx(0.0012345678 * (8 - 5) / (8 - 0.4 * 8))


def test_a_step_of_two_processes_is_computed_in_one_by_their_parts(tiny_run: MakeRun) -> None:
    run = tiny_run(dropout="0.1", steps="6")
    forks.train_ranks(run, 2)
    found = recompute(run, 6)
    assert found.difference < 1e-3
    assert found.agreement in (
        "equal to the bit",
        f"relative difference {found.difference:.1g}: as logged",
    )


def test_the_weights_alone_measure_the_examples_without_training(tiny_run: MakeRun) -> None:
    run = tiny_run()
    assert trainer.train(run) == 0
    found = recompute(run, 12, weights_alone=True)
    assert (found.replayed, found.metrics) == (0, {})
    assert found.agreement == f"the losses are those of the weights of step {found.began}"
    assert all(each.measures["loss"] for each in found.examples)


def test_rubbish_and_a_repeated_line_are_named(tmp_path: Path, tiny_run: MakeRun) -> None:
    words = random.Random(1)
    verses = "".join(
        " ".join(words.choices(("to", "be", "or", "not", "that", "is", "the", "question"), k=8))
        + "\n"
        for _ in range(400)
    )
    noise = "".join(words.choices("abcdefghijklmnopqrstuvwxyz", k=1400))
    path = tmp_path / "planted.txt"
    path.write_text(verses[:6000] + noise + verses[6000:])
    run = tiny_run(data=str(path), steps="150", learning_rate="0.01", checkpoint_every="50")
    assert trainer.train(run) == 0
    named = 0
    for step in range(143, 150):
        found = recompute(run, step, weights_alone=True)
        for example in found.examples:
            begin, end = map(int, example.place.split("-"))
            if begin >= 6000 and end <= 7400:
                assert example.cause.startswith("far harder than others")
                assert found.examples[0].cause
                named += 1
            elif end <= 6000 or begin >= 7400:
                assert not example.cause
    assert named


def test_images_have_their_sigma_and_the_loss_without_caption(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in (("red-tile", "red"), ("blue-tile", "blue"), ("green-tile", "green")):
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")
    small = {
        "data": str(folder), "layers": "1", "width": "32", "heads": "2", "caption_width": "16",
        "batch": "4", "canvas_batch": "4", "patch": "8", "steps": "4", "threads": "1",
        "eval_every": "9", "sample_every": "9", "checkpoint_every": "2",
    }  # fmt: skip
    run = create_run(override(find_recipe("emoji"), small), small, "tiles")
    assert trainer.train(run) == 0, run.console.read_text()
    found = recompute(run, 4)
    assert found.agreement == "equal to the bit"
    assert len(found.examples) == 4
    for example in found.examples:
        assert {"loss", "sigma", "without_caption"} <= example.measures.keys()
        assert example.deviations.keys() == {"loss_given_sigma", "caption_effect"}
        assert example.image.startswith(b"\x89PNG")
        assert "tile" in example.text or example.text in ("red", "blue", "green")
        file = ("blue-tile.png", "green-tile.png", "red-tile.png")[int(example.place)]
        assert example.source == f"images {example.place} ({file})"


def test_what_cannot_be_computed_again_says_why(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="5")
    assert trainer.train(run) == 0
    with pytest.raises(MisuseError, match="has done steps 1 to 5"):
        plan_replay(run, 6)
    damaged = run.checkpoint_state(4)
    damaged.write_bytes(b"")
    with pytest.raises(GenuiError, match=damaged.name):
        recompute(run, 5)


def test_the_process_prints_its_progress_and_ends_when_told(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="8")
    assert trainer.train(run) == 0
    done = subprocess.run(command_for(run, 7), capture_output=True, check=True)
    *progress, last = map(decode_line, done.stdout.splitlines())
    assert isinstance(last, Recomputed)
    # It was trained in this process, after other tests: seldom a loss differs in its seventh digit.
    assert last.agreement.endswith(("equal to the bit", "as logged"))
    assert progress
    assert all(isinstance(each, Progress) and each.steps == 3 for each in progress)
    wrong = subprocess.run(command_for(run, 9), capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("genui: --step 9")
    assert wrong.stderr.count("\n") == 1
    with subprocess.Popen(command_for(run, 7), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM
