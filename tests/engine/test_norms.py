"""Norms by layer of one step, against what torch computes from whole copies."""

import pytest
import torch
from torch import nn

from genui.engine.train.norms import MAX_LAYERS, NormMeter, group_parameters
from genui.engine.train.optimizer import Optimizers, RowRMSProp
from genui.engine.train.task import Player
from genui.recipes import TransformerRecipe


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
    assert meter.copied_bytes == sum(p.numel() * 4 for p in net.parameters())

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


def test_the_hooks_can_be_removed() -> None:
    net = Net()
    meter = NormMeter(net)
    meter.remove()
    meter.begin()
    net(torch.tensor([[1]])).sum().backward()
    meter.before_update()
    assert "activations" not in meter.after_update()
