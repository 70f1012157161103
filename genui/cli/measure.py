"""`genui probes`, `twins` and `worth`: measurements and small experiments."""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genui.base.errors import MisuseError
from genui.base.late import late_imports
from genui.base.numbers import count
from genui.base.paths import cache_dir
from genui.base.text import align
from genui.cli import batch_generation, output
from genui.cli.batch_generation import plan_in
from genui.cli.options import MAX_IN_FOLDER
from genui.cli.output import ProgressLine
from genui.cli.parser import Parser, add_json
from genui.formats.recipe import METADATA
from genui.protocol.kinds import KINDS
from genui.render.shares import draw_shares
from genui.render.table import HEADS, format_row

with late_imports():
    from genui.cli import generate
    from genui.engine import load
    from genui.engine.metrics import bayes, marks, memorised, real, shares, synthetic, table
    from genui.runs import api, media, system
    from genui.runs import models as run_models

if TYPE_CHECKING:
    from genui.base.shares import ShareTable
    from genui.engine.metrics.bayes import ModelScores, Point
    from genui.engine.metrics.synthetic import SyntheticScores
    from genui.engine.metrics.table import ReportProgress

NICE = 10  # after the app, which started it
USUAL_PROBES, MIN_PROBES, MAX_PROBES = 1000, 100, 10_000  # samples
MIN_SHARES = 5  # their intervals say how little so few samples show


def configure_probes(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Fréchet distance, precision and recall (k 3), density and coverage (k 5) against the\n"
        "test set, in the features of the classifier shipped for that data: compare them with\n"
        "each other, not with published figures. COPYING is the share nearer to training than\n"
        "to test images (0.5: nothing is copied), RIGHT the share that the\n"
        "classifier labels with its caption.\n\n"
        "--probe asks another question, and answers with shares and their intervals:\n"
        + "".join(f"  {name:12}{probe.summary}\n" for name, probe in PROBES.items())
        + "\nexamples:\n"
        "  genui probes fashion run@1200 -n 2000 --json\n"
        "  genui probes shakespeare --probe shares"
    )
    parser.add_argument("models", metavar="MODEL", nargs="+", help="models of the same data")
    parser.add_argument(
        "--probe",
        metavar="NAME",
        choices=PROBES,
        help="what to ask, see below (default: the table)",
    )
    usual = ", ".join(f"{probe.count:,} {name}" for name, probe in PROBES.items())
    parser.add_argument(
        "-n",
        dest="count",
        metavar="COUNT",
        type=int,
        help=f"samples ({USUAL_PROBES:,}; {usual})",
    )
    parser.add_argument(
        "--lines",
        action="store_true",
        help="print a JSON line for every result, as the app reads them",
    )
    add_json(parser)


def run_probes(args: argparse.Namespace) -> int:
    probe = PROBES.get(args.probe)
    usual, least = (probe.count, MIN_SHARES) if probe else (USUAL_PROBES, MIN_PROBES)
    count = usual if args.count is None else args.count
    if not least <= count <= MAX_PROBES:
        raise MisuseError(f"-n {count}: expected a whole number, {least} to {MAX_PROBES:,}")
    if probe is None:
        return print_metrics(args.models, count, args.json, args.lines)
    if len(args.models) > probe.most:
        raise MisuseError(f"{args.models[probe.most]}: one model too many for --probe {args.probe}")
    return print_shares(probe, args.models, count, args.json, args.lines)


@dataclass(frozen=True)
class Probe:
    """A question about models, answered with a table of shares."""

    summary: str
    measure: "Callable[[Sequence[str], int, ReportProgress], ShareTable]"
    """Raises MisuseError for models of which it cannot be asked."""
    count: int  # samples, by default
    most: int = 1  # models that it is asked of


PROBES: Mapping[str, Probe] = {
    "shares": Probe(
        "bias: what the data have and what a model draws, by guidance and truncation",
        lambda *of: shares.measure_shares(*of),
        count=200,
    ),
    "real": Probe(
        "a detector of generated text or images: false alarms on real data first, then what it\n"
        "              flags in each model; the first is the judge",
        lambda *of: real.detect(*of),
        count=100,
        most=99,
    ),
    "marks": Probe(
        "a watermark: found in text as written, edited, and rewritten by a second model, with its\n"
        "              price; in images as drawn, after JPEG and noise, and cut",
        lambda *of: marks.find_marks(*of),
        count=20,
        most=2,
    ),
    "extraction": Probe(
        "what a text model copies word for word from its training text",
        lambda *of: memorised.extract(*of),
        count=100,
    ),
    "canaries": Probe(
        "how well a text model remembers lines that were planted (canaries=1)",
        lambda *of: memorised.rank(*of),
        count=20,
    ),
    "membership": Probe(
        "whether its loss tells learned passages from held-out ones",
        lambda *of: memorised.tell_members(*of),
        count=500,
    ),
}


def print_shares(
    probe: Probe, models: Sequence[str], count: int, as_json: bool, as_lines: bool
) -> int:
    """Measures, and prints the table; as JSON lines for the app."""
    with show_progress(as_lines) as tell:
        found = probe.measure(models, count, tell)
    if as_lines:
        output.print_json({"shares": found}, indent=False)
    elif as_json:
        output.print_json(found)
    else:
        for line in (found.title, *draw_shares(found, output.columns())):
            output.print_line(line)
        for line in found.notes:
            output.note(line)
    return 0


@contextmanager
def show_progress(as_lines: bool) -> "Iterator[ReportProgress]":
    """Shows the progress of a measurement on stderr; as JSON lines for the app, which started it
    and goes first."""
    if as_lines:
        system.give_way(NICE)
    progress = ProgressLine(as_lines)

    def tell(model: str, done: int, of: int) -> None:
        progress.show(f"{model}: {done:,}/{of:,} samples")

    with progress:
        yield tell


def print_metrics(models: Sequence[str], count: int, as_json: bool, as_lines: bool) -> int:
    """Measures the models and prints the table; returns 1 if one could not be measured."""
    table.check(models)
    results: list[dict[str, Any]] = []
    with show_progress(as_lines) as tell:
        for row in table.rows(models, count, tell):
            results.append(asdict(row))
            if as_lines:
                output.print_json({"row": results[-1]}, indent=False)
    if as_json:
        output.print_json(results)
    elif not as_lines:
        heads = [head.upper() for head in HEADS]
        output.print_table(heads, map(format_row, results), range(2, len(HEADS)))
    faults = [result["fault"] for result in results if result["fault"]]
    for fault in faults:
        output.note(fault)
    return 1 if faults else 0


# --- `genui twins`: p(y|x) and p(x|y)p(y) on one data set, by its size --------------------------

QUESTIONS = {
    "discriminative": "p(y|x), logistic regression",
    "generative": "p(x|y)p(y), naive Bayes",
}


def configure_twins(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Labels are learned by a discriminative model (logistic regression) and by its generative\n"
        "counterpart (naive Bayes), from growing subsets of the same data (Ng & Jordan 2002). The\n"
        "curves are two runs whose steps are numbers of examples: genui watch shows them.\n\n"
        "examples:\n"
        "  genui twins fashion\n"
        "  genui twins speakers --counts 10,100,1000\n"
        "  genui twins fashion --model fashion-labels --model fashion\n"
        "  genui twins icons --data MY_IMAGES --json"
    )
    parser.add_argument(
        "dataset", metavar="DATASET", help="fashion, icons, emoji; speakers, python-or-prose"
    )
    parser.add_argument("--data", metavar="PATH", default="", help="your own labelled data")
    parser.add_argument(
        "--counts", metavar="N,N,…", default="", help="numbers of training examples (10 to all)"
    )
    parser.add_argument(
        "--repeats", metavar="N", type=int, default=5, help="repetitions with few examples (5)"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        action="append",
        default=[],
        dest="models",
        help="also a classifier, or a diffusion model by Bayes' rule; may be given again",
    )
    parser.add_argument(
        "--tested", metavar="N", type=int, default=200, help="images that MODEL labels (200)"
    )
    parser.add_argument("--name", metavar="NAME", default="", help="name of the run")
    add_json(parser, "the points as JSON")


def run_twins(args: argparse.Namespace) -> int:
    counts = _counts(args.counts)
    for option, value in (("repeats", args.repeats), ("tested", args.tested)):
        if value < 1:
            raise MisuseError(f"--{option} {value}: give 1 or more")
    examples = bayes.load_examples(args.dataset, args.data)
    output.note(
        f"{examples.name}: {len(examples.labels)} labels, {len(examples.x):,} examples to train "
        f"on, {len(examples.test_x):,} held out, {examples.features}"
    )
    points = bayes.learning_curves(examples, counts, args.repeats)
    first = next(points)  # before a run is created, since it checks the counts
    model_scores = _score_models(args)
    # A run for each, so that the Training screen overlays their curves.
    runs = {
        name: api.init(
            project="twins",
            name=f"{args.name or examples.name}-{name}",
            config={"dataset": examples.name, "features": examples.features, "step": "examples"},
            reinit="create_new",
        )
        for name in examples.pair
    }
    curve = []
    for point in (first, *points):
        curve.append(point)
        for name, run in runs.items():
            run.log(asdict(point.scores[name]), step=point.examples)
        output.note(f"{point.examples:,} examples")
    for name, run in runs.items():
        lines = ("  ".join(cells) for cells in align(_table(curve, [name]), right=range(4)))
        text = "\n".join([QUESTIONS[name], "", *lines])  # which the app shows beside the curves
        run.log({"table": media.Text(text)}, step=curve[-1].examples)
        run.finish()
    ids = {name: run.id for name, run in runs.items()}
    if args.json:
        output.print_json(
            {
                "runs": ids,
                "points": [{"examples": p.examples, **_flat(p)} for p in curve],
                "models": model_scores,
            }
        )
    else:
        heads, *rows = _table(curve, list(runs))
        output.print_table(heads, rows, right=range(len(heads)))
        output.print_line("; ".join(f"{name}: {question}" for name, question in QUESTIONS.items()))
        for each in model_scores:
            output.print_line(_describe(each))
        output.note(f"curves: genui watch {' '.join(ids.values())}   (o: both; s: logarithmic)")
    return 0


def _score_models(args: argparse.Namespace) -> list["ModelScores"]:
    """The scores of the named models on held-out images."""
    scored = []
    for model in args.models:
        output.note(f"{model}: labels {args.tested:,} images")
        scored.append(bayes.score_model(model, args.dataset, args.tested))
    return scored


def _describe(model: "ModelScores") -> str:
    by = "p(y|x)" if model.question == "discriminative" else "p(x|y)p(y), Bayes' rule"
    scores = model.scores
    return (
        f"{model.model}, {by}: {scores.accuracy:.1%} right, log-loss {scores.log_loss:.3f}, "
        f"calibration {scores.calibration_error:.3f} ({model.tested:,} images, trained on "
        f"{model.examples:,})"
    )


def _counts(text: str) -> tuple[int, ...]:
    """Parses `10,100`. Raises MisuseError if it is not a list of numbers."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise MisuseError(f"--counts {text!r}: give whole numbers, as in 10,100,1000") from None


def _flat(point: "Point") -> dict[str, Any]:
    """Metric name, `accuracy/discriminative`, to value."""
    return {
        f"{measure}/{name}": value
        for name, scores in point.scores.items()
        for measure, value in asdict(scores).items()
    }


def _table(points: list["Point"], names: Sequence[str]) -> list[list[str]]:
    """Heads, and a row for each point with all measures of these models."""
    heads = ["EXAMPLES"]
    for title in ("ACCURACY", "LOG-LOSS", "CALIBRATION"):
        several = len(names) > 1
        heads += [f"{title} {name[:4].upper()}." if several else title for name in names]
    rows = []
    for point in points:
        row = [count(point.examples)]
        row += [f"{point.scores[name].accuracy:.1%}" for name in names]
        row += [f"{point.scores[name].log_loss:.3f}" for name in names]
        row += [f"{point.scores[name].calibration_error:.3f}" for name in names]
        rows.append(row)
    return [heads, *rows]


# --- `genui worth`: training on synthetic data, compared with as much real data -----------------

USUAL_WORTH, FEWEST_WORTH = 2000, 20  # images to generate, if a model is named
STEPS = 600


def configure_worth(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A classifier is trained on generated images and another on as many real ones; both are\n"
        "tested on real images that neither the model nor the classifiers saw. MODEL generates\n"
        "them first, into the cache, and continues there if it was stopped.\n\n"
        "examples:\n"
        "  genui worth fashion -n 5000\n"
        "  genui generate fashion -n 60000 --out made/ && genui worth made/ --steps 3600"
    )
    parser.add_argument(
        "what", metavar="MODEL|FOLDER", help="an image model, or a folder that generate wrote"
    )
    parser.add_argument(
        "-n", dest="count", metavar="COUNT", type=int, help=f"images to generate ({USUAL_WORTH:,})"
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, default=STEPS, help=f"steps of each training ({STEPS})"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="for training them (1)")
    add_json(parser)


def run_worth(args: argparse.Namespace) -> int:
    if args.steps < 1:
        raise MisuseError(f"--steps {args.steps}: give 1 or more")
    if not 0 <= args.seed < 2**31:
        raise MisuseError(f"--seed {args.seed}: expected a whole number, 0 to {2**31 - 1}")
    folder = Path(args.what)
    if os.path.isdir(folder) and (folder / METADATA).is_file():
        if args.count is not None:
            raise MisuseError("-n: for a model only; all images of a folder are used")
    else:
        folder = _generated(args)
    plan = plan_in(folder)
    if plan is None:
        raise MisuseError(f"{folder}: is empty; genui generate MODEL -n 1000 --out {folder}")
    with ProgressLine() as progress:
        result = synthetic.score_synthetic(
            folder,
            run_models.find_model(plan.model).dataset,
            args.steps,
            args.seed,
            lambda name, done, of: progress.show(f"classifier of {name} ones: step {done}/{of}"),
        )
    for note in result.notes:
        output.note(note)
    if args.json:
        output.print_json(asdict(result))
    else:
        _show(result, plan.model)
    return 0


def _generated(args: argparse.Namespace) -> Path:
    """The folder of a model's images in the cache, generated if it is not complete."""
    number = USUAL_WORTH if args.count is None else args.count
    if not FEWEST_WORTH <= number <= MAX_IN_FOLDER:
        raise MisuseError(
            f"-n {number}: expected a whole number, {FEWEST_WORTH} to {MAX_IN_FOLDER:,}"
        )
    model = run_models.find_model(args.what)
    if not KINDS[model.family, model.medium].batches:
        raise MisuseError(
            f"{args.what}: a {model.family} of {model.medium}; only image models are compared"
        )
    folder = cache_dir() / "synthetic" / f"{model.name}-{load.fingerprint(model.path)}"
    words = [args.what, "-n", str(number), "--seed", "1", "--out", str(folder)]
    parser = Parser()
    generate.configure_generate(parser)
    batch_generation.write(parser.parse_args(words))
    return folder


def _show(result: "SyntheticScores", model: str) -> None:
    output.print_table(
        ("TRAINED ON", "IMAGES", "RIGHT OF REAL ONES"),
        [
            (
                f"{score.trained_on} by {model}" if score.trained_on == "generated" else "real",
                count(score.images),
                f"{100 * score.right:.1f} %",
            )
            for score in result.scores
        ],
        right=(1, 2),
    )
    output.note(
        f"{result.labels} labels, {result.test:,} real test images, {result.steps} steps each"
    )
