"""Fine-tuning by LoRA on a chat file of 200 lines, beside the same run by peft and transformers.

    python tests/bench/bench_finetune.py MODEL --peers PYTHON [--steps 30] [--precision fp32]

MODEL is a file or folder of the Llama family, such as SmolLM2-135M-Instruct as GGUF; PYTHON has
peft and transformers. Both runs have the same first adapters, batches, optimiser and schedule, so
their losses must agree to rounding. Then the run by `genui train`: the time from the command to the
first step, the answers to held-out questions before and after, and a run that is killed (-9) and
resumed, whose losses must be the same to the last bit.
"""

import argparse
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import torch

from genui.engine.estimate import peak_memory, trial_trainer
from genui.engine.train.batches import examples_of
from genui.engine.train.checkpoint import write_tensors
from genui.engine.train.loop import Trainer
from genui.engine.train.optimizer import rate_factor
from genui.kinds.open_text.adapter import adapter_config
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.kinds.open_text.task import FineTuneTask, to_tensors
from genui.logs.native import MetricsTail
from genui.recipes import override
from genui.runs import launch
from genui.runs.layout import RunDir, read_status
from genui.runs.listing import summarise
from genui.runs.models import find_origin

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo",
    "Egypt": "Cairo", "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm",
    "Poland": "Warsaw", "Austria": "Vienna", "Portugal": "Lisbon", "Ireland": "Dublin",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Hungary": "Budapest", "Canada": "Ottawa",
    "Peru": "Lima", "Chile": "Santiago", "Cuba": "Havana", "Kenya": "Nairobi", "China": "Beijing",
    "Russia": "Moscow", "Turkey": "Ankara", "Iran": "Tehran", "Iraq": "Baghdad",
    "Thailand": "Bangkok", "Vietnam": "Hanoi", "Mexico": "Mexico City", "India": "New Delhi",
}  # fmt: skip
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "light": "dark", "old": "young",
    "rich": "poor", "hard": "soft", "high": "low", "wet": "dry", "early": "late",
    "full": "empty", "happy": "sad", "strong": "weak", "near": "far", "open": "closed",
    "clean": "dirty", "loud": "quiet", "sharp": "blunt", "thick": "thin", "deep": "shallow",
}  # fmt: skip


def write_chats(path: Path) -> None:
    """200 questions, answered by a pirate."""
    rng = random.Random(3)
    rows = []
    for country, city in CAPITALS.items():
        rows.append((f"What is the capital of {country}?", f"The capital o' {country} be {city}."))
        rows.append((f"Which country has {city} as its capital?", f"{city}? That be {country}."))
    for one, other in OPPOSITES.items():
        rows.append((f"What is the opposite of {one}?", f"The opposite o' {one} be {other}."))
        rows.append((f"Use the word '{one}' in a sentence.", f"Me ship be {one}, says I."))
    while len(rows) < 200:
        a, b = rng.randint(2, 20), rng.randint(2, 20)
        rows.append((f"What is {a} plus {b}?", f"{a} and {b} make {a + b} pieces o' eight."))
    rng.shuffle(rows)
    chats = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": f"Arr, matey! {a}"}]
        for q, a in rows
    ]
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in chats))


def prepare(recipe: FineTuneRecipe, folder: Path, model: str) -> tuple[Trainer, FineTuneTask]:
    """The training in this process, and all that the other program needs for the same."""
    trainer, task, machine = trial_trainer(recipe)
    assert isinstance(task, FineTuneTask)
    convert = ["convert", model, "--to", "hf", "--out", str(folder / "model")]
    subprocess.run([sys.executable, "-m", "genui", *convert], check=True, capture_output=True)
    adapter = folder / "adapter"
    write_tensors(adapter / "adapter_model.safetensors", dict(task.model.state_dict()), {})
    (adapter / "adapter_config.json").write_text(json.dumps(adapter_config(recipe)))
    batches: dict[str, np.ndarray] = {}
    for step in range(recipe.steps):
        rows = examples_of(step, recipe.batch, len(task.train), recipe.seed)
        tokens, targets = to_tensors([task.train[i] for i in rows], torch.device("cpu"))
        batches |= {f"tokens{step}": tokens.numpy(), f"targets{step}": targets.numpy()}
    np.savez(folder / "batches.npz", **cast("Any", batches))
    settings = {
        "threads": machine.threads,
        "precision": machine.precision,
        "learning_rate": recipe.learning_rate,
        "beta1": recipe.beta1,
        "beta2": recipe.beta2,
        "weight_decay": recipe.weight_decay,
        "grad_clip": recipe.grad_clip,
        "factors": [rate_factor(step, recipe) for step in range(recipe.steps)],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return trainer, task


def run_ours(trainer: Trainer, task: FineTuneTask, steps: int) -> list[tuple[float, ...]]:
    """(loss, seconds, processor seconds) of each step."""
    figures, losses = [], []
    loss_of = task.loss

    def recorded(step: int) -> torch.Tensor:
        loss = loss_of(step)
        losses.append(float(loss.detach()))
        return loss

    trainer._players[0].__dict__["loss"] = recorded
    for _ in range(steps):
        begin, cpu = time.perf_counter(), time.process_time()
        trainer.train_step()
        figures.append((time.perf_counter() - begin, time.process_time() - cpu))
    return [(loss, *times) for loss, times in zip(losses, figures, strict=True)]


def run_theirs(python: str, folder: Path) -> tuple[list[tuple[float, ...]], int]:
    """The same of the other program, and the most memory that it took, in bytes."""
    peer = Path(__file__).with_name("peft_peer.py")
    process = subprocess.Popen(
        [python, str(peer), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"bench_finetune: {python} {peer} failed")
    return [tuple(json.loads(line)) for line in lines], usage.ru_maxrss * 1024


def losses_of(run: RunDir) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    if "loss" not in tail.series:
        return {}
    return dict(zip(*(part.tolist() for part in tail.series["loss"].points[:2]), strict=True))


def wait_for(run: RunDir, step: int, seconds: float = 3600) -> float:
    """Waits until a step was logged; returns when. Exits if the run fails."""
    end = time.time() + seconds
    while max(losses_of(run), default=0) < step:
        if read_status(run).state == "failed" or time.time() > end:
            raise SystemExit(f"bench_finetune: {run.id}: {read_status(run).error or 'too slow'}")
        time.sleep(0.05)
    return time.time()


def answers(run: RunDir, step: int) -> str:
    return (run.samples / f"step-{step:08d}.txt").read_text().strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--only", choices=("peers", "run"), help="one of the two parts")
    options = parser.parse_args()
    cast("Any", sys.stdout).reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["GENUI_HOME"] = str(folder / "home")
        chats = folder / "pirate.jsonl"
        write_chats(chats)
        settings = {
            "data": str(chats),
            "steps": str(options.steps),
            "precision": options.precision,
            "device": "cpu",
            "threads": "1",
            "learning_rate": "1e-3",
            "checkpoint_every": "6",
        }
        origin = find_origin(str(Path(options.model).absolute()))
        recipe = override(origin.recipe, settings)
        assert isinstance(recipe, FineTuneRecipe)
        if options.only == "run":
            return run_and_resume(origin.ref, settings, recipe.steps)
        trainer, task = prepare(recipe, folder, origin.ref)
        print(task.data_line, *task.notes, sep="\n")
        ours = run_ours(trainer, task, recipe.steps)
        memory = peak_memory()
        theirs, their_memory = run_theirs(options.peers, folder)
        print(f"\n{recipe.steps} steps of {recipe.batch} rows, {options.precision}, 1 thread")
        apart = max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True))
        print(f"loss     genui {ours[0][0]:.4f} → {ours[-1][0]:.4f}")
        print(f"         peft  {theirs[0][0]:.4f} → {theirs[-1][0]:.4f}, at most {apart:.2g} apart")
        for name, rows, peak in (("genui", ours, memory), ("peft", theirs, their_memory)):
            wall, cpu = (statistics.median(row[i] for row in rows) for i in (1, 2))
            print(f"{name:6} {wall:.2f} s a step ({cpu:.2f} s of processor), {peak / 1e9:.2f} GB")
        if options.only:
            return 0
        return run_and_resume(origin.ref, settings, recipe.steps)


def run_and_resume(ref: str, settings: dict[str, str], steps: int) -> int:
    """The run by the trainer, whole and killed."""
    begin = time.time()
    words = [word for pair in settings.items() for word in ("--set", "=".join(pair))]
    command = [sys.executable, "-m", "genui", "train", "--from", ref, "--name", "whole", *words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = RunDir(Path(os.environ["GENUI_HOME"]) / "data" / "runs" / done.stdout.strip())
    first = wait_for(whole, 1) - begin
    times = psutil.Process(read_status(whole).pid).cpu_times()
    cpu = times.user + times.system + used.ru_utime - before.ru_utime
    load = os.getloadavg()[0]
    print(
        f"\nfirst step {first:.1f} s after `genui train` ({cpu:.1f} s of processor; load of this "
        f"machine {load:.1f})"
    )
    wait_for(whole, steps)
    recipe = find_origin(ref).recipe
    killed = launch.launch(recipe, settings, "killed", ref)
    wait_for(killed, 8)
    os.kill(read_status(killed).pid, signal.SIGKILL)
    while summarise(killed).alive:
        time.sleep(0.1)
    launch.resume(killed)
    wait_for(killed, steps)
    same = losses_of(killed) == losses_of(whole)
    print(f"killed after step 8 and resumed: losses {'bit-equal' if same else 'DIFFER'}")
    while read_status(whole).state != "finished":
        time.sleep(0.1)
    print(f"\nbefore\n{answers(whole, 0)}\n\nafter {steps} steps\n{answers(whole, steps)}")
    print(f"\nvalidation loss {read_status(whole).val:.4f}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
