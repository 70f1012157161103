"""`genui worth`: what synthetic data is worth, beside as much real data."""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

from genui.commands import output, synthetic
from genui.commands.labelled_folder import plan_in
from genui.commands.parser import add_json
from genui.commands.progress import Progress
from genui.errors import MisuseError
from genui.render.numbers import count
from genui.saved.drawn import METADATA

if TYPE_CHECKING:
    from genui.engine.probes.worth import Worth

USUAL, FEWEST = 2000, 20  # pictures generated, where a model is named
STEPS = 600


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A classifier is trained on generated pictures and another on as many real ones; both are\n"
        "tested on real pictures that neither the model nor the classifiers saw. MODEL generates\n"
        "them first, into the cache, and goes on there if it was stopped.\n\n"
        "examples:\n"
        "  genui worth fashion -n 5000\n"
        "  genui generate fashion -n 60000 --out made/ && genui worth made/ --steps 3600"
    )
    parser.add_argument(
        "what", metavar="MODEL|FOLDER", help="a picture model, or a folder that generate wrote"
    )
    parser.add_argument(
        "-n", dest="count", metavar="COUNT", type=int, help=f"pictures to generate ({USUAL:,})"
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, default=STEPS, help=f"of training each ({STEPS})"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the classifiers (1)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    if args.steps < 1:
        raise MisuseError(f"--steps {args.steps}: train for one step at the least")
    if not 0 <= args.seed < 2**31:
        raise MisuseError(f"--seed {args.seed}: between 0 and {2**31 - 1}")
    folder = Path(args.what)
    if os.path.isdir(folder) and (folder / METADATA).is_file():
        if args.count is not None:
            raise MisuseError("-n: is of a model; the folder's pictures are all taken")
    else:
        folder = _generated(args)
    plan = plan_in(folder)
    if plan is None:
        raise MisuseError(f"{folder}: is empty; genui generate MODEL -n 1000 --out {folder}")
    from genui.engine.probes.worth import worth
    from genui.runs.catalog import find_model

    progress = Progress()
    try:
        found = worth(
            folder,
            find_model(plan.model).dataset,
            args.steps,
            args.seed,
            lambda name, done, of: progress.show(f"classifier of {name} ones: step {done}/{of}"),
        )
    finally:
        progress.clear()
    for note in found.notes:
        output.note(note)
    if args.json:
        output.emit(dataclasses.asdict(found))
    else:
        _show(found, plan.model)
    return 0


def _generated(args: argparse.Namespace) -> Path:
    """The folder of pictures a model was asked for, in the cache; made where it is not whole."""
    from genui.cli import command_parser
    from genui.engine.generate.load import fingerprint
    from genui.paths import cache_dir
    from genui.runs.catalog import find_model

    number = USUAL if args.count is None else args.count
    if not FEWEST <= number <= synthetic.MOST:
        raise MisuseError(f"-n {number}: between {FEWEST} and {synthetic.MOST:,}")
    model = find_model(args.what)
    if model.medium != "image" or model.family == "classifier":
        raise MisuseError(
            f"{args.what}: a {model.family} of {model.medium}; what pictures are worth is measured"
        )
    folder = cache_dir() / "synthetic" / f"{model.name}-{fingerprint(model.path)}"
    words = [args.what, "-n", str(number), "--seed", "1", "--out", str(folder)]
    synthetic.run(command_parser("generate").parse_args(words))
    return folder


def _show(found: "Worth", model: str) -> None:
    output.table(
        ("TRAINED ON", "PICTURES", "RIGHT OF REAL ONES"),
        [
            (
                f"{score.trained_on} by {model}" if score.trained_on == "generated" else "real",
                count(score.pictures),
                f"{100 * score.right:.1f} %",
            )
            for score in found.scores
        ],
        right=(1, 2),
    )
    output.note(
        f"{found.labels} labels, {found.test:,} real test pictures, {found.steps} steps each"
    )
