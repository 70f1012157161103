"""The share of a training's time that its norms by layer take, by the time inside the hooks.

    python -m tests.bench layers --repeats 60

`--repeats` is the number of steps of each training: shipped recipes with `norms=auto`, and a script
with `genui.watch`. Beside it the share of one measurement each step.
"""

from collections.abc import Callable

import torch
from harness import Figure, arguments, home, machine, report
from torch import nn

import genui
from genui.engine import trainer
from genui.engine.train import loop, watch
from genui.engine.train.norms import TIME_SHARE, NormRecorder
from genui.recipes import find_recipe
from genui.runs.layout import create_run

RECIPES = ("shakespeare-quick", "icons")


def train_recipe(name: str, steps: int) -> None:
    """Train a recipe in this process, with few evaluations and samples."""
    rarely = {"eval_every": "100000", "sample_every": "100000", "checkpoint_every": "100000"}
    settings = {"steps": str(steps), "norms": "auto", "eval_batches": "1", "threads": "1", **rarely}
    assert trainer.train(create_run(find_recipe(name), settings, name)) == 0


def train_script(steps: int) -> None:
    """Train a small network as a script does."""
    layers = [nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    with genui.init(project="script") as run:
        genui.watch(model)
        for step in range(steps):
            x = torch.randn(512, 64)
            loss = nn.functional.cross_entropy(model(x), x[:, :10].argmax(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"loss": loss.item()}, step=step)


def measure(name: str, train: Callable[[], None]) -> list[Figure]:
    """The share that the measurements of a training took, and what each step would take."""
    made: list[NormRecorder] = []

    class Kept(NormRecorder):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[arg-type]
            made.append(self)

    loop.NormRecorder = watch.NormRecorder = Kept
    train()
    (norms,) = made
    cost = sorted(norms._costs)[len(norms._costs) // 2]
    each = 100 * cost * (norms._steps - 1) / norms._seconds
    share = 100 * norms.spent / norms._seconds
    return [
        Figure(f"{name}, chosen steps", share, "%", limit=100 * TIME_SHARE),
        Figure(f"{name}, if each step were measured", each, "%"),
        Figure(f"{name}, one measurement", 1000 * cost, "ms"),
    ]


if __name__ == "__main__":
    options = arguments("the share of time that norms by layer take", 60)
    before = machine()
    with home():
        figures = [
            figure
            for name in RECIPES
            for figure in measure(name, lambda name=name: train_recipe(name, options.repeats))
        ]
        figures += measure("a script", lambda: train_script(20 * options.repeats))
    report(before, figures, options.json)
