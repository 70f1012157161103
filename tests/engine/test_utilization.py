"""The FLOPs of a step, the kept peak of matrix products, and what the time of a step goes to."""

import dataclasses
import json
import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_recipes import HERE
from torch import nn

from genui.base.errors import MisuseError
from genui.engine import utilization
from genui.engine.device import Machine
from genui.engine.estimate import trial_trainer
from genui.engine.train.recompute import checkpoint_blocks
from genui.engine.train.task import players_of
from genui.engine.trainer import train
from genui.engine.utilization import FlopCounter, Utilization
from genui.recipes import Recipe, find_recipe, override
from genui.runs.layout import RunDir, read_status

MACHINE = Machine("cpu", "fp32", 1)
SMALL = HERE | {"layers": "1", "width": "16", "heads": "2", "context": "16", "batch": "2"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_has_two_flops_for_each_multiplication(dtype: torch.dtype) -> None:
    m, k, n = 3, 5, 7
    with FlopCounter() as counter, torch.autocast("cpu", dtype, dtype != torch.float32):
        y = nn.Linear(k, n)(torch.ones(m, k))
    assert counter.flops == 2 * m * k * n
    with FlopCounter() as counter:
        y.sum().backward()
    assert counter.flops == 2 * m * k * n  # of the weights; the input has no gradient


def test_attention_counts_both_products_and_twice_as_many_backward() -> None:
    B, H, T, D = 2, 3, 8, 4
    q, k, v = (torch.randn(B, H, T, D, requires_grad=True) for _ in range(3))
    with FlopCounter() as counter:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert counter.flops == 2 * 2 * B * H * T * T * D
    with FlopCounter() as counter:
        y.sum().backward()
    assert counter.flops == 2 * 2 * 2 * B * H * T * T * D


Bits = tuple[torch.Tensor, ...]


def train_two_steps(recipe: Recipe, is_counted: bool = True) -> tuple[Bits, int]:
    """The weights and the state of the random numbers afterwards, and the FLOPs of a step."""
    trainer, task, _ = trial_trainer(recipe)
    if not is_counted:
        trainer.utilization = Utilization(MACHINE)
        trainer.utilization.counter = None
    for _ in range(2):
        trainer.train_step()
    state = (*task.model.state_dict().values(), torch.get_rng_state())
    return state, trainer.utilization.flops


@pytest.mark.parametrize("name", ["shakespeare", "icons"])
def test_counting_and_computing_activations_twice_change_no_bit(name: str) -> None:
    kinds = {"shakespeare": SMALL | {"dropout": "0.1"}, "icons": dict(SMALL, caption_width="16")}
    known = {field.name for field in dataclasses.fields(find_recipe(name))}
    recipe = override(find_recipe(name), {k: v for k, v in kinds[name].items() if k in known})
    bits, flops = train_two_steps(recipe)
    uncounted, none = train_two_steps(recipe, is_counted=False)
    twice, same = train_two_steps(override(recipe, {"checkpoint_activations": "true"}))
    assert (same, none) == (flops, 0)  # what is computed twice counts once
    assert flops > 0
    assert all(map(torch.equal, bits, uncounted))
    assert all(map(torch.equal, bits, twice))


def test_activations_of_blocks_are_not_kept() -> None:
    small = dict(SMALL, layers="4", batch="16", context="64")
    kept = []
    for value in ("false", "true"):
        settings = small | {"checkpoint_activations": value}
        _, task, _ = trial_trainer(override(find_recipe("shakespeare"), settings))
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = players_of(task)[0].loss(0)
        kept.append(sum(sizes.values()))
        assert loss.requires_grad
    assert kept[1] < kept[0] / 2


def test_a_network_without_blocks_cannot_compute_them_twice() -> None:
    with pytest.raises(MisuseError, match=r"checkpoint_activations=true: .* has no blocks"):
        checkpoint_blocks(nn.Sequential(nn.Linear(2, 2)))


def test_a_run_says_its_share_of_the_peak(tiny_run: Callable[..., RunDir], signals: None) -> None:
    run = tiny_run(steps="3")
    assert train(run) == 0
    mfu = read_status(run).mfu
    assert mfu is not None
    assert mfu > 0
    (line,) = [line for line in run.console.read_text().splitlines() if "FLOP" in line]
    assert "matrix products reach" in line


def test_a_run_says_what_it_cost(tiny_run: Callable[..., RunDir], signals: None) -> None:
    run = tiny_run(steps="3")
    began = time.process_time()
    assert train(run) == 0
    used = time.process_time() - began
    status = read_status(run)
    assert 0 < status.energy.joules < 4.1 * used  # at 4 W a core
    assert (status.energy.source, status.samples) == ("estimate", 2)
    assert 0 < status.sample_joules < status.energy.joules
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    logged = [record["joules_estimate"] for record in records if "joules_estimate" in record]
    assert 0 < logged[-1] <= status.energy.joules


def test_a_step_of_longer_sequences_is_counted_anew() -> None:
    stages = {"context_start": "8", "context_full": "0.5", "steps": "4", "dropout": "0"}
    trainer, _, _ = trial_trainer(override(find_recipe("shakespeare"), SMALL | stages))
    flops = []
    for _ in range(4):
        trainer.train_step()
        flops.append(trainer.utilization.flops)
    assert 0 < flops[0] == flops[1] < flops[2] == flops[3]  # attention looks further back


def test_flops_as_text() -> None:
    assert utilization.format_flops(2.7e9) == "2.7 GFLOP"
    assert utilization.format_flops(312) == "312 FLOP"
