"""Norms by layer of one step, against what torch computes from whole copies."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from genui.engine import trainer
from genui.engine.train.norms import MAX_LAYERS, NormMeter, NormRecorder, group_parameters
from genui.engine.train.optimizer import Optimizers, RowRMSProp
from genui.engine.train.task import Player
from genui.logs.native import MetricsTail
from genui.recipes import TransformerRecipe
from genui.runs.layout import RunDir
from genui.runs.norms import append_norms, rewind_norms


class Net(nn.Module):
    """A table with sparse gradients, a block with a matrix that Muon trains, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 6, sparse=True)
        self.blocks = nn.ModuleList([nn.Linear(6, 6)])
        self.head = nn.Linear(6, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks[0](self.embedding(ids)))


def norm(*tensors: torch.Tensor | None) -> float:
    return float(sum(t.to_dense().square().sum() for t in tensors if t is not None)) ** 0.5


def test_the_norms_of_a_step_are_those_of_whole_copies() -> None:
    torch.manual_seed(0)
    net, ids = Net(), torch.tensor([[1, 2, 2, 7]])
    optimizer = torch.optim.AdamW([*net.blocks.parameters(), *net.head.parameters()], 0.1)
    rows = RowRMSProp([{"params": [net.embedding.weight], "lr": 0.1}], 0.9)
    meter = NormMeter(net)
    assert meter.layers == ("embedding", "blocks.0", "head", "unused")
    assert meter.has_room()
    assert meter.copied_bytes == sum(p.numel() * 4 for p in [*net.parameters()][1:])

    meter.begin()
    net(ids).square().mean().backward()
    before = [p.detach().clone() for p in net.parameters()]
    gradients = [p.grad for p in net.parameters()]
    meter.before_update()
    optimizer.step()
    rows.step()
    found = meter.after_update()

    updates = [p.detach() - old for p, old in zip(net.parameters(), before, strict=True)]
    split = [slice(0, 1), slice(1, 3), slice(3, 5)]
    assert found["weights"][:3] == pytest.approx([norm(*before[s]) for s in split])
    assert found["gradients"][:3] == pytest.approx([norm(*gradients[s]) for s in split])
    assert found["updates"][:3] == pytest.approx([norm(*updates[s]) for s in split])
    vectors = before[0][ids]
    assert found["activations"][0] == pytest.approx(float(vectors.square().mean().sqrt()))
    assert [found[kind][3] for kind in ("gradients", "updates", "activations")] == [None] * 3
    assert found["weights"][3] is not None
    assert meter.seconds > 0


def test_a_layer_whose_matrix_muon_does_not_change_has_update_0() -> None:
    net = Net()
    recipe = TransformerRecipe(name="t", dataset="shakespeare", muon_every=2, warmup=0)
    player = Player("", net, lambda step: net(torch.tensor([[1, 2]])).square().mean())
    optimizers, meter = Optimizers([player], recipe), NormMeter(net, activations=False)
    resting = []
    for step in range(4):
        meter.begin()
        player.loss(step).backward()
        meter.before_update()
        optimizers.step(step, player)
        found = meter.after_update()
        assert "activations" not in found
        resting.append(found["updates"][1] == 0)
        assert found["updates"][2] != 0
    assert resting == [True, False, True, False]


def test_without_copies_there_are_no_updates_and_a_large_table_is_estimated() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(100_000, 4, sparse=True)
    meter, state = NormMeter(table), torch.get_rng_state()
    meter.begin()
    table(torch.arange(10)).sum().backward()
    meter.before_update(copy=False)
    found = meter.after_update()
    assert "updates" not in found
    assert found["weights"][0] == pytest.approx(float(table.weight.detach().norm()), rel=0.05)
    assert torch.equal(torch.get_rng_state(), state)


def test_many_modules_are_measured_by_those_that_contain_them() -> None:
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(40))
    groups = group_parameters(nn.Sequential(blocks, nn.Linear(2, 2)))
    assert len(groups) == 41 <= MAX_LAYERS
    assert list(groups)[:2] == ["0.0", "0.1"]
    assert list(groups)[-1] == "1"


def test_the_modules_have_hooks_during_a_measured_step_alone() -> None:
    net = Net()
    meter = NormMeter(net)
    meter.begin()
    assert any(module._forward_hooks for module in net.modules())
    net(torch.tensor([[1]])).sum().backward()
    meter.before_update()
    assert not any(module._forward_hooks for module in net.modules())
    net(torch.tensor([[1]]))
    assert len(meter.after_update()["activations"]) == len(meter.layers)


# --- in a training -------------------------------------------------------------------


MakeRun = Callable[..., RunDir]


def read(path: Path) -> dict[str, dict[int, float]]:
    tail = MetricsTail(path)
    while tail.read():
        pass
    points = {name: one.points for name, one in tail.series.items()}
    return {
        name: dict(zip(p[0].tolist(), p[1].tolist(), strict=True)) for name, p in points.items()
    }


@pytest.mark.usefixtures("signals")
def test_a_run_records_its_norms_and_trains_to_the_same_bits(tiny_run: MakeRun) -> None:
    plain, measured = tiny_run(steps="12"), tiny_run(steps="12", norms="3")
    for run in (plain, measured):
        assert trainer.train(run) == 0
    assert not plain.norms.exists()
    assert read(plain.metrics)["loss"] == read(measured.metrics)["loss"]
    norms = read(measured.norms)
    kinds = {name.partition("/")[0] for name in norms}
    assert kinds == {"weights", "gradients", "updates", "activations"}
    assert all(set(values) <= {3, 6, 9, 12} for values in norms.values())
    total = sum(values[12] ** 2 for name, values in norms.items() if name.startswith("gradients/"))
    assert total**0.5 <= 1.01  # as clipped
    assert "copies" in measured.console.read_text()


@pytest.mark.usefixtures("signals")
def test_muon_rests_at_steps_that_the_record_has(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="6", norms="1", muon_every="2")
    assert trainer.train(run) == 0
    norms = read(run.norms)
    block = next(name for name in norms if name.startswith("updates/blocks.0"))
    assert [norms[block][step] == 0 for step in range(1, 7)] == [True, False] * 3


@pytest.mark.usefixtures("signals")
def test_norms_of_steps_that_were_undone_are_dropped(tiny_run: MakeRun) -> None:
    run = tiny_run(steps="4", norms="1")
    append_norms(run, 3, {"weights/old": 1.0})
    append_norms(run, 0, {"weights/first": 1.0})
    rewind_norms(run, 2)
    assert set(read(run.norms)) == {"weights/first"}


def recorder(every: int, cost: float, multiple: int = 1) -> list[int]:
    """The steps that are measured if one step takes 1 s, and a measurement so long."""
    steps: list[int] = []
    net = nn.Linear(2, 2)
    norms = NormRecorder({"": net}, every, lambda step, _: steps.append(step), print, multiple)
    for step in range(1, 1001):
        norms.begin(step)
        net(torch.zeros(1, 2)).sum().backward()
        norms.before_update("")
        norms.after_update("")
        for meter in norms._meters.values():
            meter.seconds = cost
        norms.finish(step, 1.0 + (cost if steps and steps[-1] == step else 0.0))
    if not every:
        assert norms.spent <= 0.021 * 1000
    return steps


@pytest.mark.parametrize(
    ("cost", "multiple", "gap"), [(0.001, 1, 2), (0.1, 1, 5), (0.1, 2, 6), (0.5, 4, 28)]
)
def test_the_chosen_steps_take_a_fiftieth_of_the_time(cost: float, multiple: int, gap: int) -> None:
    steps = recorder(0, cost, multiple)
    assert steps[0] == 4
    assert abs(steps[-1] - steps[-2] - gap) <= multiple
    assert all(step % multiple == 0 for step in steps[-10:])


def test_a_number_of_steps_can_be_asked_for() -> None:
    assert recorder(200, 0.5) == [200, 400, 600, 800, 1000]
