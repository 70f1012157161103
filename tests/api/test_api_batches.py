"""`run.log_batch`: the last batches of a script, for when its loss jumps."""

import math
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genui
from genui.cli.main import main
from genui.runs.batches import KEPT, batch_steps
from genui.runs.layout import RunDir
from genui.ui.watcher import load_sample, sample_files


def train(run: Any, losses: Sequence[float], **more: Any) -> RunDir:
    for step, loss in enumerate(losses):
        run.log_batch([f"easy {step}", f"hard {step}"], losses=[0.5, loss])
        run.log({"loss": loss, **more}, step=step)
    return RunDir(Path(run.dir))


def test_the_last_eight_are_kept_and_only_their_owner_reads_them() -> None:
    with genui.init(project="ring") as run:
        folder = train(run, [1.0] * 30)
    assert batch_steps(folder.batches) == list(range(30 - KEPT, 30))
    assert not folder.frozen_batches.exists()
    path = folder.batches / "step-00000029.txt"
    assert path.read_text() == "[batch, loss 1]\nhard 29\n\n[batch, loss 0.5]\neasy 29\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.batches.stat().st_mode) == 0o700


@pytest.mark.parametrize("bad", [9.0, math.nan])
def test_a_jump_of_the_loss_freezes_them_at_once(
    bad: float, capsys: pytest.CaptureFixture[str]
) -> None:
    run = genui.init(project="ring")
    folder = train(run, [1.0] * 150 + [bad])
    assert batch_steps(folder.frozen_batches) == list(range(151 - KEPT, 151))
    run.log({"loss": 1.0}, step=200)
    run.finish()
    assert batch_steps(folder.frozen_batches)[-1] == 150
    sample = load_sample(sample_files(folder)[150], 150)
    assert "hard 150" in sample.text
    assert main(["inspect", run.id]) == 0
    assert "steps 143 to 150, before an alert" in capsys.readouterr().out
    assert main(["inspect", run.id, "--json"]) == 0
    assert '"batches"' in capsys.readouterr().out


def test_a_loss_that_stays_nan_keeps_the_batches_before_it() -> None:
    with genui.init(project="ring") as run:
        folder = train(run, [1.0] * 20 + [math.nan] * 20)
    assert batch_steps(folder.frozen_batches) == list(range(21 - KEPT, 21))


def test_an_alert_of_the_script_freezes_them_and_a_note_does_not() -> None:
    run = genui.init(project="ring")
    folder = train(run, [1.0] * 3)
    run.alert("all is well")
    assert not folder.frozen_batches.exists()
    run.alert("the rate is too high", level="WARN")
    assert batch_steps(folder.frozen_batches) == [0, 1, 2]
    run.finish()


def test_images_are_a_sheet_with_the_hardest_first() -> None:
    from PIL import Image

    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[2] = 255
    with genui.init(project="ring") as run:
        run.log_batch(images, losses=np.array([1, 2, 3, 0.5]))
        run.log({"loss": 1.0}, step=7)
        folder = RunDir(Path(run.dir))
    sheet = np.asarray(Image.open(folder.batches / "step-00000007.png"))
    assert sheet.shape == (16, 16, 3)
    assert sheet[0, 0, 0] == 255


def test_examples_of_several_calls_belong_to_the_next_record() -> None:
    with genui.init(project="ring") as run:
        run.log_batch("one")
        run.log_batch(["two", "three"])
        run.log({"loss": 1.0})
        folder = RunDir(Path(run.dir))
    text = (folder.batches / "step-00000000.txt").read_text()
    assert [word for word in text.split() if word.isalpha()] == ["one", "two", "three"]


@pytest.mark.parametrize("examples", [3, {"a": 1}, [], ["a"], "x" * 10**7, [b"a"]])
def test_what_cannot_be_kept_raises_nothing(examples: Any) -> None:
    with genui.init(project="ring") as run:
        for step in range(20):
            run.log_batch(examples, losses=[1, 2, 3])
            run.log({"loss": 1.0}, step=step)
        folder = RunDir(Path(run.dir))
    assert sum(path.stat().st_size for path in folder.path.glob("batches/*")) < 1 << 20
