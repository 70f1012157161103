"""What the parts of the text recipes are worth, and how long a training takes beside nanoGPT's.

    python tests/bench/bench_text.py [--recipe shakespeare-quick] [--seconds 12] [--seeds 1]
    python tests/bench/bench_text.py --nanogpt FOLDER [--threads 2]
    python tests/bench/bench_text.py --budgets 1,3,10,30

The first trains the recipe, and the recipe with one part changed at a time, for as many seconds of
processor time each, and prints the loss on the last tenth of the training text: settings are
chosen there, and the validation split is not read. Steps are timed first, and the number of steps
follows from that, so a part that makes a step slower has fewer steps.

The second runs whole processes one after another, from launch to exit: nanoGPT's recipe for a CPU
from its README, in a copy of FOLDER (github.com/karpathy/nanoGPT) with the same text, and
`genui train` with its evaluations, samples and checkpoints. Losses are on nanoGPT's validation
split, the last tenth of the text: its own estimate of 20 batches, and ours of the whole split. The
goals are its loss in a tenth of its time, and 1.50 nats in its time.

The third trains with `genui train --minutes` and prints the loss that each budget reaches on that
split, with the size and steps that it chose and the processor seconds that it took.
"""

import argparse
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import Figure, home, machine, report, report_figure, report_machine

from genui.recipes import TransformerRecipe, find_recipe, override

PARTS: Mapping[str, Mapping[str, str]] = {
    "without n-grams": {"ngrams": "1"},
    "2-grams only": {"ngrams": "2"},
    "up to 3-grams": {"ngrams": "3"},
    "up to 4-grams": {"ngrams": "4"},
    "up to 6-grams": {"ngrams": "6"},
    "n-grams of half the columns": {"ngram_width": "HALF"},
    "without dropout of n-grams": {"ngram_dropout": "0"},
    "constant context": {"context_start": "0"},
    "context growing from 64": {"context_start": "64"},
    "constant context of the start": {"context_start": "0", "context": "START"},
    "batches of the same number of tokens": {"batch_start": "0"},
    "fp32": {"precision": "fp32"},
    "Muon at every step": {"muon_every": "1"},
    "Muon at every fourth step": {"muon_every": "4"},
    "AdamW alone": {"muon_rate": "0"},
    "one layer less": {"layers": "LESS"},
    "one layer more": {"layers": "MORE"},
    "weight decay 0.1": {"weight_decay": "0.1"},
    "average of weights 0.99": {"ema": "0.99"},
}

SIZES = (
    "block_size=64 batch_size=12 n_layer=4 n_head=4 n_embd=128 max_iters=2000 lr_decay_iters=2000"
)
OPTIONS = f"device=cpu compile=False eval_iters=20 log_interval=1 {SIZES} dropout=0.0"
NANOGPT = ["config/train_shakespeare_char.py", *(f"--{option}" for option in OPTIONS.split())]
RACES = {
    "a tenth": ("shakespeare-quick", {"steps": "100", "sample_every": "100", "eval_every": "100"}),
    "its time": (
        "shakespeare-quick",
        {
            "steps": "2700",
            "layers": "2",
            "context": "256",
            "context_start": "64",
            "context_full": "0.6",
            "batch": "4",
            "ngrams": "4",
            "ngram_dropout": "0.3",
            "warmup": "20",
            "sample_every": "900",
            "eval_every": "900",
            "checkpoint_every": "2700",
        },
    ),
}
GOAL, TENTH = 1.50, 0.1


def settings_of_part(recipe: TransformerRecipe, changes: Mapping[str, str]) -> dict[str, str]:
    """The settings of a part, with HALF, START, LESS and MORE replaced by numbers."""
    numbers = {
        "HALF": (recipe.ngram_width or recipe.width) // 2,
        "START": recipe.context_start or recipe.context,
        "LESS": max(1, recipe.layers - 1),
        "MORE": recipe.layers + 1,
    }
    return {key: str(numbers.get(value, value)) for key, value in changes.items()}


class Training:
    """A training in this process on one thread, without a run."""

    def __init__(self, recipe: TransformerRecipe) -> None:
        import torch

        from genui.engine import device
        from genui.engine.kinds import build_task
        from genui.engine.train.optimizer import EMA, Optimizers
        from genui.engine.train.task import players_of

        self.recipe = recipe
        self.machine = device.choose("cpu", recipe.precision, 1, recipe.widest)
        self.task = build_task(recipe, torch.device("cpu"), None)
        (self._player,) = players_of(self.task)
        self._optimizers = Optimizers((self._player,), recipe)
        self._ema = EMA(self.task.model, recipe.ema)

    def step(self, step: int) -> None:
        import torch

        from genui.engine.device import autocast
        from genui.engine.train.optimizer import gradient_norm

        torch.manual_seed((self.recipe.seed << 32) + step)
        self.task.model.train()
        with autocast(self.machine):
            loss = self._player.loss(step)
        loss.backward()
        gradient_norm(self.task.model.parameters(), self.recipe.grad_clip)
        self._optimizers.step(step, self._player)
        self._ema.update(step)

    def loss(self) -> float:
        """The loss on all held-out text."""
        self._ema.model.eval()
        return self.task.evaluate(self._ema.model, self.machine, whole=True)["val_loss"]


def seconds_per_step(recipe: TransformerRecipe) -> float:
    """Processor seconds of a step, on average over the stages of the recipe."""
    training = Training(recipe)
    ends = [*(stage.first for stage in recipe.stages[1:]), recipe.steps]
    total = 0.0
    for stage, end in zip(recipe.stages, ends, strict=True):
        times = []
        for step in range(stage.first, min(stage.first + 12, end)):
            begin = time.process_time()
            training.step(step)
            times.append(time.process_time() - begin)
        pairs = [sum(times[i : i + 2]) / 2 for i in range(2, len(times) - 1, 2)]  # Muon's rhythm
        total += (end - stage.first) * sorted(pairs)[len(pairs) // 2]
    return total / recipe.steps


def train_for(recipe: TransformerRecipe, seconds: float) -> tuple[float, int]:
    """The held-out loss after so many processor seconds of steps, and their number."""
    steps = max(30, round(seconds / seconds_per_step(override_text(recipe, steps="1000"))))
    training = Training(override_text(recipe, steps=str(steps)))
    for step in range(steps):
        training.step(step)
    return training.loss(), steps


def override_text(recipe: TransformerRecipe, **settings: str) -> TransformerRecipe:
    changed = override(recipe, settings)
    assert isinstance(changed, TransformerRecipe)
    return changed


def training_part(folder: Path, recipe: TransformerRecipe) -> Path:
    """A file with the training text alone, whose last tenth is then held out."""
    from genui.engine.data.text import load_text

    path = folder / "training.txt"
    path.write_text("\n".join(load_text(recipe.dataset, recipe.data).train))
    return path


def compare_parts(args: argparse.Namespace) -> None:
    report_machine(machine())
    with home() as folder:
        recipe = find_recipe(args.recipe)
        assert isinstance(recipe, TransformerRecipe)
        settings = dict(pair.split("=", 1) for pair in args.set)
        base = override_text(recipe, data=str(training_part(folder, recipe)), **settings)
        reference = None
        for name, changes in {"the recipe": {}, **PARTS}.items():
            if args.part and args.part not in name and reference is not None:
                continue
            changed = settings_of_part(base, changes)
            if changed and all(str(getattr(base, key)) == v for key, v in changed.items()):
                continue  # the recipe itself
            results = [
                train_for(override_text(base, seed=str(seed), **changed), args.seconds)
                for seed in range(1, args.seeds + 1)
            ]
            loss = float(np.mean([loss for loss, _ in results]))
            reference = loss if reference is None else reference
            figure = Figure(f"{name}, {results[0][1]} steps", loss, "nats", reference, "the recipe")
            report_figure(figure)


# --- Whole processes --------------------------------------------------------------------------


@dataclass(frozen=True)
class Race:
    wall: float
    cpu: float
    loss: float


def timed(command: list[str], folder: Path, threads: int) -> tuple[float, float, str]:
    """Wall and processor seconds of a process, and what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout + done.stderr


def run_nanogpt(source: Path, folder: Path, threads: int) -> Race:
    """nanoGPT's recipe in a copy of its folder, with its text encoded as its prepare.py does."""
    from genui.engine.data.text import load_text

    copy = folder / "nanogpt"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".git"))
    data = load_text("shakespeare")
    characters = sorted(set("".join(data.train + data.validation)))
    ids = {character: i for i, character in enumerate(characters)}
    target = copy / "data" / "shakespeare_char"
    for name, documents in (("train", data.train), ("val", data.validation)):
        encoded = [ids[character] for character in "".join(documents)]
        np.array(encoded, np.uint16).tofile(target / f"{name}.bin")
    meta = {"vocab_size": len(ids), "itos": dict(enumerate(characters)), "stoi": ids}
    (target / "meta.pkl").write_bytes(pickle.dumps(meta))
    wall, cpu, printed = timed([sys.executable, "train.py", *NANOGPT], copy, threads)
    losses = re.findall(r"val loss ([\d.]+)", printed)
    return Race(wall, cpu, float(losses[-1]))


def run_genui(recipe: str, settings: Mapping[str, str], folder: Path, threads: int) -> Race:
    """`genui train --foreground`, and the loss that it logged last."""
    from genui.runs.layout import read_status
    from genui.runs.listing import find_run

    pairs = [f"{key}={value}" for key, value in {**settings, "threads": str(threads)}.items()]
    words = [word for pair in pairs for word in ("--set", pair)]
    command = [sys.executable, "-m", "genui", "train", recipe, "--foreground", *words]
    wall, cpu, _ = timed(command, folder, threads)
    loss = read_status(find_run("last")).val
    assert loss is not None
    return Race(wall, cpu, loss)


def race(args: argparse.Namespace) -> None:
    before = machine()
    figures = []
    with home(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = run_nanogpt(args.nanogpt, folder, args.threads)
        figures += [
            Figure("nanoGPT, seconds from launch to exit", peer.wall, "s"),
            Figure("nanoGPT, processor seconds", peer.cpu, "s"),
            Figure("nanoGPT, loss by its own estimate", peer.loss, "nats"),
        ]
        goals = {"a tenth": (TENTH, peer.loss), "its time": (1.0, GOAL)}
        for label, (recipe, settings) in RACES.items():
            ours = run_genui(recipe, settings, folder, args.threads)
            share, loss = goals[label]
            title = f"{recipe} within {label}"
            figures += [
                Figure(f"{title}, wall", ours.wall, "s", peer.wall, "nanoGPT", share * peer.wall),
                Figure(f"{title}, processor", ours.cpu, "s", peer.cpu, "nanoGPT", share * peer.cpu),
                Figure(f"{title}, loss of the whole split", ours.loss, "nats", limit=loss),
            ]
    report(before, figures, args.json)


def compare_budgets(args: argparse.Namespace) -> None:
    from genui.runs.layout import read_info, read_status
    from genui.runs.listing import find_run

    report_machine(machine())
    with home() as folder:
        for minutes in args.budgets.split(","):
            command = [sys.executable, "-m", "genui", "train", args.recipe, "--minutes", minutes]
            command += ["--set", f"threads={args.threads}"]
            timed([*command, "--dry-run"], folder, args.threads)  # the speeds are kept
            wall, cpu, _ = timed([*command, "--foreground"], folder, args.threads)
            run = find_run("last")
            status, chosen = read_status(run), read_info(run).recipe
            assert status.val is not None
            names = ("layers", "width", "context", "steps")
            title = ", ".join(f"{name} {chosen[name]}" for name in names if name in chosen)
            seconds = 60 * float(minutes)
            for figure in (
                Figure(f"{minutes} min: {title}, loss of the whole split", status.val, "nats"),
                Figure(f"{minutes} min, processor", cpu, "s", seconds, "the budget"),
                Figure(f"{minutes} min, wall", wall, "s", seconds, "the budget"),
            ):
                report_figure(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipe", default="shakespeare-quick", metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--part", default="", metavar="TEXT", help="only parts with this in them")
    parser.add_argument("--seconds", type=float, default=12, help="of processor time each (12)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each part (1)")
    parser.add_argument(
        "--nanogpt", type=Path, metavar="FOLDER", help="a checkout, to compare with"
    )
    parser.add_argument("--budgets", metavar="MINUTES", help="budgets to compare, as 1,3,10,30")
    parser.add_argument("--threads", type=int, default=1, help="with --nanogpt and --budgets (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.nanogpt:
        race(args)
    elif args.budgets:
        compare_budgets(args)
    else:
        compare_parts(args)


if __name__ == "__main__":
    main()
