"""`genui.watch`: norms by layer of a script's model."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

import genui
from genui.logs.native import MetricsTail
from genui.runs.layout import RunDir
from genui.runs.listing import list_runs


def train(run: Any, model: nn.Module, *optimizers: torch.optim.Optimizer, steps: int = 12) -> None:
    for step in range(steps):
        loss = model(torch.ones(3, 4)).square().mean()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        run.log({"loss": loss.item()}, step=100 * step)


def norms() -> dict[str, list[int]]:
    (summary,) = list_runs()
    tail = MetricsTail(RunDir(summary.run.path).norms)
    while tail.read():
        pass
    return {name: one.steps.tolist() for name, one in tail.series.items()}


def test_a_watched_model_is_measured_at_the_steps_that_the_script_logs() -> None:
    run, model = genui.init(project="watched"), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    genui.watch(model, log_freq=5)
    train(run, model, torch.optim.Adam(model.parameters(), 0.01))
    found = norms()
    assert set(found) == {
        f"{kind}/{layer}"
        for kind in ("weights", "gradients", "updates", "activations")
        for layer in "01"
    }
    # The first step only shows which optimisers there are.
    assert all(steps == [500, 1000] for steps in found.values())
    run.finish()


def test_two_optimisers_make_one_step_and_others_none() -> None:
    run, model = genui.init(project="watched"), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    other = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    genui.watch(model, log="parameters", log_freq=4)
    both = [torch.optim.SGD(part.parameters(), 0.1) for part in model]
    train(run, model, both[0], other, both[1])
    assert norms() == {
        f"{kind}/{layer}": [400, 800] for kind in ("weights", "updates") for layer in "01"
    }
    run.finish()


@pytest.mark.parametrize("arguments", [{"log": None}, {"log": "nothing"}, {"models": 3}])
def test_what_cannot_be_watched_raises_nothing(arguments: dict[str, Any]) -> None:
    watch: Any = genui.watch
    watch(nn.Linear(1, 1))  # before init
    run, model = genui.init(project="watched"), nn.Linear(4, 1)
    watch(**{"models": model, **arguments})
    train(run, model, torch.optim.SGD(model.parameters(), 0.1))
    assert not (RunDir(list_runs()[0].run.path)).norms.exists()
    run.finish()


def test_a_run_that_has_ended_is_measured_no_more() -> None:
    run, model = genui.init(project="watched"), nn.Linear(4, 1)
    run.watch(model, log_freq=1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    train(run, model, optimizer, steps=4)
    run.finish()
    before = norms()
    train(run, model, optimizer, steps=4)
    assert norms() == before


def test_two_models_that_are_watched_outlive_their_run() -> None:
    run, models = genui.init(project="watched"), [nn.Linear(4, 4), nn.Linear(4, 1)]
    for model in models:
        genui.watch(model, log="gradients", log_freq=1)
    optimizers = [torch.optim.SGD(model.parameters(), 0.1) for model in models]
    train(run, nn.Sequential(*models), *optimizers, steps=4)
    run.finish()
    train(run, nn.Sequential(*models), *optimizers, steps=4)


def test_importing_genui_imports_no_torch() -> None:
    code = "import genui, sys; assert 'torch' not in sys.modules; genui.watch"
    subprocess.run([sys.executable, "-c", code], check=True)
