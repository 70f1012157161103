"""One run trained by several processes that share out its weights and speak by gloo."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import forks
import msgspec
import pytest
import torch
from PIL import Image
from test_world import MakeRun, series, stop_at
from torch import Tensor

from genui.engine import trainer
from genui.engine.train import checkpoint, optimizer
from genui.engine.train.checkpoint import load_state
from genui.engine.train.language import TextTask
from genui.engine.train.optimizer import is_shared
from genui.recipes import find_recipe, override
from genui.runs.layout import RunDir, create_run, read_info, read_status, write_info

pytestmark = [
    pytest.mark.usefixtures("signals"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]

TEXT = {
    "dropout": "0", "layers": "2", "batch": "5", "steps": "8", "eval_every": "3",
    "ngrams": "2", "ngram_rows": "512",
}  # fmt: skip


def shared(run: RunDir) -> RunDir:
    """The run, whose weights several processes share out."""
    write_info(run, msgspec.structs.replace(read_info(run), shard=True))
    return run


def images_run(folder: Path) -> RunDir:
    folder.mkdir(exist_ok=True)
    for name, colour in (("red-tile", "red"), ("blue-tile", "blue"), ("green-tile", "green")):
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")
    small = {
        "data": str(folder), "layers": "1", "width": "32", "heads": "2", "caption_width": "16",
        "batch": "3", "canvas_batch": "3", "patch": "8", "steps": "4", "threads": "1",
        "eval_every": "2", "sample_every": "4", "checkpoint_every": "4", "precision": "fp32",
        "muon_rate": "0.02", "ema": "0",
    }  # fmt: skip
    return create_run(override(find_recipe("emoji"), small), small, "tiles")


def only_rows() -> None:
    """Let the process fail that keeps more than its rows of a tensor."""
    save = checkpoint.save

    def checks(*args: Any, **kwargs: Any) -> Path:
        tensors = [*args[3].parameters(), *args[4].parameters(), *args[5].values()]
        shared: list[Any] = [each for each in tensors if is_shared(each)]
        assert len(shared) > 3
        for tensor in shared:
            own = tensor.to_local()
            assert len(own) <= (len(tensor) + 1) // 2
            assert own.untyped_storage().nbytes() < 3 * tensor.numel() + 256  # of 4
        return save(*args, **kwargs)

    checkpoint.save = checks


def check_same(one: RunDir, other: RunDir, evaluated: str) -> None:
    """The losses of a process alone and of several, and what their checkpoints hold."""
    for name, within in (("loss", 1e-5), ("grad_norm", 1e-4), (evaluated, 1e-4)):
        assert series(other, name) == pytest.approx(series(one, name), rel=0, abs=within)
    last = read_status(one).step
    for expected, values in zip(load_state(one, last), load_state(other, last), strict=True):
        assert values.keys() == expected.keys()
        for name, value in values.items():
            if isinstance(value, Tensor):
                # Muon makes directions that are hardly more than rounding as long as the others.
                difference = value.float() - expected[name].float()
                assert difference.norm() <= 0.15 * value.float().norm() + 1e-7, name


def stop_with_only_rows(run: RunDir, rank: int) -> None:
    """Let the first evaluation after a step stop the training by a signal."""
    only_rows()
    evaluate = TextTask.evaluate

    def stops(*args: Any) -> dict[str, float]:
        if read_status(run).state == "running" and run.metrics.read_bytes().count(b"grad"):
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args)

    TextTask.evaluate = stops  # type: ignore[method-assign]


def test_ranks_with_a_share_of_the_weights_train_and_resume_as_one_process(
    tiny_run: MakeRun,
) -> None:
    whole, parts = tiny_run(**TEXT), shared(tiny_run(**TEXT))
    assert trainer.train(whole) == 0
    pids = forks.start_ranks(parts, 2, partial(stop_with_only_rows, parts))
    codes = [forks.wait(pid) for pid in pids]
    assert codes == [0, 0], parts.console.read_text() + forks.output_of(parts)
    assert (read_status(parts).state, read_status(parts).step) == ("stopped", 3)
    assert read_info(parts).machine["shard"] is True
    pid = forks.start(parts, partial(stop_at, parts, 2))  # a process alone has all weights
    assert (forks.wait(pid), read_status(parts).step) == (0, 5)
    forks.train_ranks(parts, 2)
    check_same(whole, parts, "val_loss")
    assert {p.name for p in parts.samples.iterdir()} == {p.name for p in whole.samples.iterdir()}


def measure_otherwise(rank: int) -> None:
    """Let the ranks find that bf16 is fast, or slow, as on a busy machine."""
    optimizer.multiplies_bf16 = lambda device: rank == 0


def test_ranks_agree_on_the_precision_in_which_muon_multiplies(tiny_run: MakeRun) -> None:
    run = shared(tiny_run(**TEXT | {"steps": "2"}))
    forks.train_ranks(run, 2, measure_otherwise)
    assert read_status(run).state == "finished"


def test_images_are_trained_with_a_share_of_the_weights(tmp_path: Path, genui_home: Path) -> None:
    one, two = (images_run(tmp_path / "images") for _ in range(2))
    assert trainer.train(one) == 0
    forks.train_ranks(shared(two), 2)
    check_same(one, two, "seen_loss")
    averaged, raw, _, _ = load_state(two, read_status(two).step)  # the same without an average
    assert all(torch.equal(averaged[name], value) for name, value in raw.items())


def die_at_step_5(rank: int) -> None:
    loss = TextTask.loss

    def dies(task: TextTask, step: int, *share: Any) -> Tensor:
        if step == 5 and rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(task, step, *share)

    TextTask.loss = dies  # type: ignore[method-assign]


def test_a_rank_that_dies_while_weights_are_exchanged_ends_the_run(tiny_run: MakeRun) -> None:
    run = shared(tiny_run(checkpoint_every="100000"))
    pids = forks.start_ranks(run, 2, die_at_step_5)
    assert [forks.wait(pid) for pid in pids] == [1, -signal.SIGKILL]
    error = read_status(run).error
    assert error.startswith("rank 0 lost contact: ")
    assert "; there is no checkpoint yet" in error
