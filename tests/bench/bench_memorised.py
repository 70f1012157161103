"""What text models give back of their training text, beside held-out text.

    python tests/bench/bench_memorised.py [--model shakespeare] [-n 500]
    python tests/bench/bench_memorised.py --duplicates [--steps 300] [-n 40]

The first prints the probes of a model, and the area of a score that asks another model, which saw
neither part of the text: away from .5 it says that the two parts differ whatever was learned. The
second trains one small model on a text in which 20 paragraphs stand 30 times each, every time with
other slips, and one on that text without near duplicates; it prints what comes back of each.
"""

import argparse
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import machine

from genui.base.shares import ShareTable
from genui.engine import trainer
from genui.engine.data.text import load_text, load_training_text
from genui.engine.load import find_and_load
from genui.engine.metrics.exposure import token_nats
from genui.engine.metrics.memorised import extract, tell_members
from genui.engine.metrics.shares import area_under_curve, take_passages
from genui.engine.sample.text import TextGenerator
from genui.recipes import TextRecipe, find_recipe, override
from genui.render.shares import draw_shares
from genui.runs.layout import create_run

WIDTH = 160
REPEATED, TIMES = 20, 30
BASE = 150_000  # characters of the plays
SLIPS = 0.01  # of the characters of a repeated paragraph


def show(table: ShareTable) -> None:
    print("\n".join([table.title, *draw_shares(table, WIDTH), *table.notes, ""]), flush=True)


def tell(what: str, done: int, of: int) -> None:
    print(f"\r{what}: {done}/{of}   ", end="", file=sys.stderr, flush=True)


def measure_blind(reference: str, count: int) -> float:
    """The area under the ROC curve of the loss of a model that saw neither part."""
    data, generator = load_text("shakespeare"), find_and_load(reference)
    assert isinstance(generator, TextGenerator)
    losses = []
    for part in (data.train, data.validation):
        token_ids = [generator.tokenizer.encode(each) for each in take_passages(part, count, 256)]
        nats = token_nats(generator.model, generator.machine, token_ids)
        losses.append(np.array([each.sum() for each in nats]))
    trained, held = losses
    return area_under_curve(trained, held)


def write_repeats(path: Path) -> None:
    """Plays in which REPEATED paragraphs come TIMES times more, with slips."""
    rng = np.random.default_rng(0)
    paragraphs = re.split(r"\n\n", load_text("shakespeare").train[0][:BASE])
    long = [each for each in paragraphs if 250 < len(each) < 500][:REPEATED]
    copies = []
    for each in long * TIMES:
        letters = list(each)
        for at in np.flatnonzero(rng.random(len(letters)) < SLIPS):
            letters[at] = "e"
        copies.append("".join(letters))
    cut = len(paragraphs) * 3 // 5  # the rest is longer than what is held out
    mixed = paragraphs[:cut] + copies
    rng.shuffle(mixed)
    path.write_text("\n\n".join([*mixed, *paragraphs[cut:]]))


def compare_duplicates(steps: int, count: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "repeats.txt"
        write_repeats(path)
        for least in ("0", "0.7"):
            changes = {
                "data": str(path), "steps": str(steps), "near_duplicates": least,
                "eval_every": str(steps), "sample_every": str(steps), "threads": "1",
                "checkpoint_every": str(steps),
            }  # fmt: skip
            recipe = override(find_recipe("shakespeare-quick"), changes)
            assert isinstance(recipe, TextRecipe)
            data = load_training_text(recipe)
            print(f"near_duplicates={least}: {data.describe()}", *data.notes, sep="\n", flush=True)
            run = create_run(recipe, changes, "repeats")
            if trainer.train(run):
                sys.exit(run.console.read_text()[-2000:])
            show(extract([run.id], count, tell))


def main() -> int:
    parser = argparse.ArgumentParser(description="what text models give back")
    parser.add_argument("--model", default="shakespeare")
    parser.add_argument("--reference", default="python", help="a model that saw neither part")
    parser.add_argument("-n", dest="count", type=int, default=500, help="samples")
    parser.add_argument("--duplicates", action="store_true", help="train with repeats and without")
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    begin = time.perf_counter()
    if args.duplicates:
        compare_duplicates(args.steps, args.count)
    else:
        show(tell_members([args.model], args.count, tell))
        if args.model == "shakespeare":
            area = measure_blind(args.reference, args.count)
            print(f"loss of {args.reference}, which saw neither part: area {area:.2f}\n")
        show(extract([args.model], args.count, tell))
    print(f"{time.perf_counter() - begin:.0f} s")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
