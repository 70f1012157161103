"""A GAN trains by the ordinary loop: two sides, exact resuming, and what is told of the game."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from forks import train_ranks, train_until_killed
from PIL import Image
from shares import assert_shares_add_up
from torch import Tensor, nn

from genui.engine import trainer
from genui.engine.device import Machine
from genui.engine.load import stream
from genui.engine.recompute import recompute
from genui.engine.train.loop import Trainer
from genui.engine.train.optimizer import Optimizers
from genui.engine.train.task import WHOLE, Player, Sample, Share, players_of
from genui.kinds.gan import task as gan
from genui.kinds.gan.collapse import SampleSet, collapse, sample_caption_pairs
from genui.kinds.gan.recipe import GanRecipe
from genui.kinds.gan.task import WIDTH, GanTask, score_text
from genui.kinds.gan.walk import LatentSettings
from genui.logs.native import MetricsTail
from genui.protocol import ImageFrame, Start
from genui.recipes import find_recipe, override
from genui.runs import launch, models
from genui.runs.layout import RunDir, create_run, read_status
from genui.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("signals")

MakeRun = Callable[..., RunDir]


@pytest.fixture
def tiny_gan(tmp_path: Path) -> MakeRun:
    """Makes a run of a very small GAN on nine images of three captions."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, colour in (("red-tile", "red"), ("blue-tile", "blue"), ("green-tile", "green")):
        Image.new("RGB", (20, 30), colour).save(folder / f"{name}.png")

    def make(**settings: str) -> RunDir:
        small = {
            "data": str(folder), "width": "8", "blocks": "1", "latent": "6", "caption_width": "8",
            "batch": "4", "penalty_batch": "2", "steps": "6", "threads": "1",
            "precision": "fp32", "eval_every": "3", "sample_every": "3", "checkpoint_every": "2",
        } | settings  # fmt: skip
        return create_run(override(find_recipe("emoji-gan"), small), small, "tiles")

    return make


@pytest.fixture(autouse=True)
def few_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genui.kinds.gan.task.CHECKED", 8)
    monkeypatch.setattr("genui.kinds.gan.task.SCORED", 8)


def check_few(rank: int) -> None:
    gan.CHECKED = gan.SCORED = 8


def series(run: RunDir) -> dict[str, dict[int, float]]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return {
        name: dict(zip(*(part.tolist() for part in one.points[:2]), strict=True))
        for name, one in tail.series.items()
    }


def test_both_sides_are_logged_and_the_checkpoint_walks(tiny_gan: MakeRun) -> None:
    run = tiny_gan()
    assert trainer.train(run) == 0, run.console.read_text()
    found = series(run)
    for name in (
        *("generator_loss", "discriminator_loss", "generator_grad_norm", "discriminator_grad_norm"),
        *("real_score", "generated_score", "real_score_spread", "generated_score_spread"),
        *("real_penalty", "generated_penalty", "lr", "step_seconds"),
    ):
        assert list(found[name]) == list(range(1, 7)), name
        assert all(map(math.isfinite, found[name].values())), name
    assert all(0 <= share <= 1 for share in found["real_wins"].values())
    assert list(found["coverage"]) == list(found["variety"]) == [0, 3, 6]
    assert read_status(run).loss == found["generator_loss"][6]
    with Image.open(run.sample(6, ".png")) as sheet:
        assert sheet.size == (3 * 32, 6 * 32)
    assert "real" in run.sample(6, ".txt").read_text()
    request = Start(
        trace=0, model=run.id, prompt="red tile", seed=1, settings=LatentSettings(steps=2)
    )
    _, *frames = stream(request)
    assert [frame.step for frame in frames if isinstance(frame, ImageFrame)] == [0, 1, 2]


def test_killed_and_resumed_equals_never_interrupted(tiny_gan: MakeRun) -> None:
    whole, run = tiny_gan(), tiny_gan()
    assert trainer.train(whole) == 0
    train_until_killed(run, 5)
    assert not run.checkpoint(6).exists()
    assert trainer.train(run) == 0
    mine, theirs = series(run), series(whole)
    for name in ("generator_loss", "discriminator_loss", "real_wins"):
        assert mine[name] == theirs[name]
    assert run.checkpoint(6).read_bytes() == whole.checkpoint(6).read_bytes()


def test_a_loss_that_is_no_number_names_its_side(
    tiny_gan: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_gan()
    loss = GanTask._discriminator_loss
    monkeypatch.setattr(
        GanTask, "_discriminator_loss", lambda self, *of: loss(self, *of) * float("nan")
    )
    assert trainer.train(run) == 1
    assert "the discriminator's loss became nan at step 1" in read_status(run).error
    assert "Traceback" not in capsys.readouterr().err


# --- the game ----------------------------------------------------------------------------


def task_of(run: RunDir) -> GanTask:
    from genui.recipes import recipe_from_dict
    from genui.runs.layout import read_info

    recipe = recipe_from_dict(read_info(run).recipe)
    assert isinstance(recipe, GanRecipe)
    return GanTask(recipe, torch.device("cpu"))


class Plane(nn.Module):
    """A score that rises evenly: its slope is `weight`, wherever the image is."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        return (images * self.weight).sum(dim=(1, 2, 3))


def test_the_penalty_is_the_squared_slope_of_the_score(tiny_gan: MakeRun) -> None:
    task = task_of(tiny_gan())
    weight = torch.randn(3, 32, 32)
    task.model.discriminator = Plane(weight)  # type: ignore[assignment]
    real, drawn = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    scores, penalties = task._penalties(real, drawn, torch.zeros(3, 12, dtype=torch.long))
    assert scores[0].tolist() == pytest.approx(
        (real * weight).sum(dim=(1, 2, 3)).tolist(), abs=1e-3
    )
    length = float(weight.square().sum())
    assert penalties.tolist() == pytest.approx([length, length])
    penalties.sum().backward()  # it teaches the discriminator to be flat
    slope = task.model.discriminator.weight.grad
    assert slope is not None
    assert torch.allclose(slope, 4 * weight, rtol=1e-4)


def test_the_same_step_sees_the_same_images_and_latents(tiny_gan: MakeRun) -> None:
    one, other = task_of(tiny_gan()), task_of(tiny_gan())
    for task in (one, other):
        task.model.load_state_dict(one.model.state_dict())
    for step in (3, 0, 3):
        for mine, theirs in zip(one.players, other.players, strict=True):
            assert float(mine.loss(step).detach()) == float(theirs.loss(step).detach())
    assert_shares_add_up(one)  # one of three has no pair with a penalty


def test_two_processes_play_the_same_game(tiny_gan: MakeRun) -> None:
    one, two = (tiny_gan(precision="fp32") for _ in range(2))
    assert trainer.train(one) == 0
    train_ranks(two, 2, check_few)
    expected, found = series(one), series(two)
    for name in ("generator_loss", "discriminator_loss", "real_score", "real_penalty", "coverage"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name


class Tug(nn.Module):
    """Two numbers, each a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.left.weight)
        nn.init.ones_(self.right.weight)


class TugTask:
    """The left pulls the product down, the right pulls it up."""

    unit, units_per_step, units_per_epoch, data_line, notes = "it", 1, 1, "", ()

    def __init__(self) -> None:
        self.model, self.extra = Tug(), {}
        self.seen: list[tuple[float, bool]] = []

    def _product(self) -> Tensor:
        return (self.model.left.weight * self.model.right.weight).sum()

    def _left(self, step: int, share: Share = WHOLE) -> Tensor:
        return self._product()

    def _right(self, step: int, share: Share = WHOLE) -> Tensor:
        left = self.model.left.weight
        self.seen.append((float(left.detach()), left.requires_grad))
        return -self._product()

    @property
    def players(self) -> tuple[Player, ...]:
        return Player("left", self.model.left, self._left), Player(
            "right", self.model.right, self._right, lambda: {"tug": 1.0}
        )

    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        return {}

    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        return Sample(".txt", b"tug"), Sample(".wav", b"RIFF")


def test_every_side_moves_only_its_own_part_in_order(genui_home: Path) -> None:
    plain = {"steps": "1", "warmup": "0", "decay_from": "1", "learning_rate": "0.1"}
    recipe = override(find_recipe("emoji-gan"), plain)
    run = create_run(recipe, plain, "tug")
    task = TugTask()
    with RunWriter(run) as writer:
        Trainer(run, writer, recipe, task, Machine("cpu", "fp32", 1), {}).train()
    assert float(task.model.left.weight.detach()) == pytest.approx(0.9)
    assert float(task.model.right.weight.detach()) == pytest.approx(1.1)
    assert task.seen == [(pytest.approx(0.9), False)]  # the left had moved, and is held
    logged = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    step: Mapping[str, float] = next(record for record in logged if record.get("step") == 1)
    assert step["left_loss"] == pytest.approx(1.0)
    assert step["right_loss"] == pytest.approx(-0.9)
    assert step["tug"] == 1.0
    assert "loss" not in step
    assert run.sample(1, ".wav").read_bytes() == b"RIFF"


def test_optimisers_of_two_sides_come_back_from_their_state() -> None:
    recipe = find_recipe("emoji-gan")
    task = TugTask()
    optimizers = Optimizers(players_of(task), recipe)
    for player in task.players:
        player.loss(0).backward()
        optimizers.step(0, player)
    kept = optimizers.state()
    assert {key.split(".")[0] for key in kept} == {"learning_rate", "left_adamw", "right_adamw"}
    other = Optimizers(players_of(TugTask()), recipe)
    other.load(kept)
    assert {k: v.tolist() for k, v in other.state().items()} == {
        k: v.tolist() for k, v in kept.items()
    }


# --- what is told of it ------------------------------------------------------------------


def blobs(seed: int, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(spread * rng.standard_normal((200, 1, 8, 8)), np.ones((1, 1, 4, 4))).astype(
        np.float32
    )


def test_coverage_and_variety_fall_where_samples_grow_alike() -> None:
    first, second = blobs(1), blobs(2)
    healthy = collapse(SampleSet(first, blobs(3)), SampleSet(second, blobs(4)))
    alike = collapse(SampleSet(first, blobs(3, 0.05)), SampleSet(second, blobs(4, 0.05)))
    assert healthy["variety"] == pytest.approx(1, abs=0.1)
    assert alike["variety"] < 0.1
    one = np.repeat(first[:1], 200, axis=0)
    stuck = collapse(SampleSet(first, one), SampleSet(second, one))
    assert stuck["coverage"] < 0.1 < healthy["coverage"]
    assert collapse(SampleSet(first, first), SampleSet(second, second))["coverage"] == 1.0


def test_pairs_share_their_caption_and_are_two() -> None:
    captions = ["a"] * 5 + ["b"] * 3 + ["c"]
    rng = np.random.default_rng(0)
    one, other = sample_caption_pairs(captions, np.arange(9), 400, rng)
    for i, j in zip(one.tolist(), other.tolist(), strict=True):
        assert captions[i] in (captions[j], "c")
        assert i != j or captions[i] == "c"
    assert set(one.tolist()) == set(range(9))


def test_histograms_say_who_is_ahead_without_colour() -> None:
    rng = np.random.default_rng(0)
    generated = rng.standard_normal(500).astype(np.float32)
    text = score_text(generated + 3, generated)
    lines = text.splitlines()
    assert "real is higher: 100%" in lines[-1]
    assert all(len(line) <= WIDTH for line in lines)
    real, drawn = lines[1], lines[2]
    assert real[: WIDTH // 4].strip() == ""  # the real ones lie to the right
    assert drawn[: WIDTH // 4].strip() != ""
    assert score_text(np.zeros(4, np.float32), np.zeros(4, np.float32))  # all alike


def test_a_width_that_cannot_be_halved_is_refused() -> None:
    from genui.base.errors import MisuseError

    with pytest.raises(MisuseError, match="width=7 is odd"):
        override(find_recipe("fashion-gan"), {"width": "7"})


def test_a_step_is_computed_again_with_each_loss_in_both_networks(tiny_gan: MakeRun) -> None:
    run = tiny_gan(steps="3")
    assert trainer.train(run) == 0
    found = recompute(run, 3)
    assert found.agreement == "equal to the bit"
    assert found.metrics["discriminator_loss"] == found.logged["discriminator_loss"]
    assert len(found.examples) == 4
    for example in found.examples:
        assert example.measures.keys() == {"generator_loss", "discriminator_loss"}
        assert example.image.startswith(b"\x89PNG")
        assert "tile" in example.text


def test_a_fork_leaves_an_image_out(tiny_gan: MakeRun) -> None:
    run = tiny_gan()
    assert trainer.train(run) == 0
    place = recompute(run, 3).examples[0].place
    origin = models.find_fork(f"{run.id}@2")
    fork = launch.create(origin.recipe, {"skip": place}, "fork", origin)
    assert trainer.train(fork) == 0, fork.console.read_text()
    for step in (3, 6):
        before, after = (recompute(each, step).examples for each in (run, fork))
        assert place not in [each.place for each in after]
        kept = {each.row: each.image for each in after}
        same = [each for each in before if each.place != place]
        assert [kept[each.row] for each in same] == [each.image for each in same]
    assert series(fork)["generator_loss"].keys() == {3, 4, 5, 6}
