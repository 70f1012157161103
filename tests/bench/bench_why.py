"""How many planted bad examples are named as a likely cause of a jump, and how many healthy ones.

    python tests/bench/bench_why.py [--steps 160] [-n 20] [--kinds rubbish repeats captions …]

For texts a tenth of tiny-shakespeare is replaced at one place and `shakespeare-quick` is trained on
it; the batches after step 60 are looked at as `genui why RUN --step N` does. For images one example
of a batch of the shipped `icons` is replaced.
"""

import argparse
import dataclasses
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from harness import home, machine

from genui.engine.data.text import load_text
from genui.engine.device import Machine
from genui.engine.kinds import build_task
from genui.engine.recompute import measure_step
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.diffusion import ImageTask
from genui.engine.train.loop import Trainer
from genui.engine.train.task import PerStep
from genui.recipes import find_recipe, override, recipe_from_dict
from genui.runs.layout import RunDir
from genui.runs.models import find_model
from genui.runs.ranks import QuietWriter
from genui.runs.recomputed import Example

SHARE = 0.1  # of the text
FIRST = 60  # step from which batches are looked at
MACHINE = Machine("cpu", "fp32", 1)

Found = list[tuple[tuple[Example, ...], set[int]]]
"""Of each step the examples, and the rows of the bad ones."""


def rubbish(size: int) -> str:
    return "".join(random.Random(0).choices([chr(each) for each in range(33, 127)], k=size))


def repeats(size: int) -> str:
    line = "The king shall have my service; but my prayers For ever and for ever.\n"
    return (line * (size // len(line) + 1))[:size]


TEXTS: dict[str, Callable[[int], str]] = {"rubbish": rubbish, "repeats": repeats}


def train_text(kind: str, steps: int, count: int) -> tuple[Found, Found]:
    """The steps with a bad example, and healthy ones."""
    text = load_text("shakespeare").train[0]
    size = int(len(text) * SHARE)
    begin = len(text) // 3
    bad_text = text[:begin] + TEXTS[kind](size) + text[begin + size :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "planted.txt"
        path.write_text(bad_text)
        settings = {"data": str(path), "steps": str(steps), "threads": "1"}
        recipe = override(find_recipe("shakespeare-quick"), settings)
        task = build_task(recipe, torch.device("cpu"), None)
        trainer = Trainer(RunDir(Path(folder)), QuietWriter(), recipe, task, MACHINE, {})
        bad: Found = []
        healthy: Found = []
        for at in range(steps):
            if at >= FIRST and min(len(bad), len(healthy)) < count:
                places = [each.place.split("-") for each in task.examples(at)]  # type: ignore[attr-defined]
                inside = [min(int(b), begin + size) - max(int(a), begin) for a, b in places]
                rows = {row for row, overlap in enumerate(inside) if overlap > 64}
                part = bad if rows else healthy
                if len(part) < count and (rows or not any(each > 0 for each in inside)):
                    part.append((measure_step(task, MACHINE, at), rows))
            trainer.train_step()
    return bad, healthy


def plant_images(kind: str, count: int) -> Found:
    """Batches of icons with the shipped weights and one bad example each."""
    model = find_model("icons")
    tensors, described = load_weights(model.path)
    recipe = recipe_from_dict(described["recipe"])
    task = build_task(recipe, torch.device("cpu"), described)
    assert isinstance(task, ImageTask)
    own = {name: value for name, value in tensors.items() if name in task.model.state_dict()}
    task.model.load_state_dict(own)
    drawn, found = task._step, []
    for at in range(count):
        row = at % recipe.batch

        def plant(step: int, at: int = at, row: int = row):
            batch, noisy, more = drawn(step)
            if step == at and kind == "captions":
                captions = [*(batch.whole_captions or batch.captions)]
                captions[row] = captions[(row + 1) % len(captions)]
                ids = noisy.token_ids.clone()
                ids[row] = task._token_ids([captions[row]])[0]
                bad = dataclasses.replace(batch, captions=captions, whole_captions=captions)
                return bad, noisy._replace(token_ids=ids), more
            if step == at and kind in ("constant", "range"):
                clean = noisy.clean.clone()
                clean[row] = 1.0 if kind == "constant" else 127.5 * (clean[row] + 1)  # as bytes
                return batch, noisy._replace(clean=clean), more
            return batch, noisy, more

        task._step = PerStep(plant)
        rows = {row} if kind != "healthy images" else set()
        found.append((measure_step(task, MACHINE, at), rows))
    return found


def report(kind: str, found: Found) -> None:
    named = sum(
        any(each.row in rows for each in examples if each.cause) for examples, rows in found
    )
    first = sum(examples[0].row in rows for examples, rows in found)
    wrong = sum(
        each.row not in rows and bool(each.cause) for examples, rows in found for each in examples
    )
    most = max(
        (each.strangeness for examples, rows in found for each in examples if each.row not in rows),
        default=0.0,
    )
    least = sorted(
        each.strangeness for examples, rows in found for each in examples if each.row in rows
    )[:5]
    count = len(found)
    if found and found[0][1]:
        print(
            f"{kind}: named in {named} of {count} steps, listed first in {first}; {wrong} healthy "
            f"ones named; least {' '.join(f'{each:.1f}' for each in least)}, healthy at most "
            f"{most:.1f}",
            flush=True,
        )
    else:
        print(
            f"{kind}: {wrong} examples of {count} healthy steps named, at most {most:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("-n", type=int, default=20, help="steps of each kind")
    kinds = [*TEXTS, "captions", "constant", "range", "healthy images"]
    parser.add_argument("--kinds", nargs="*", choices=kinds, default=kinds)
    options = parser.parse_args()
    print(machine())
    torch.set_num_threads(1)
    with home():
        for kind in options.kinds:
            if kind in TEXTS:
                bad, healthy = train_text(kind, options.steps, options.n)
                report(kind, bad)
                report(f"healthy beside {kind}", healthy)
            else:
                report(kind, plant_images(kind, options.n))
