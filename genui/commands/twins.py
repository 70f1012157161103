"""`genui twins`: two questions of one data set, p(y|x) and p(x|y)p(y), against its size."""

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from genui.commands import output
from genui.commands.parser import add_json
from genui.errors import MisuseError
from genui.render.numbers import count

if TYPE_CHECKING:
    from genui.engine.probes.trained_twins import Answer
    from genui.engine.probes.twins import Point

QUESTIONS = {
    "discriminative": "p(y|x), logistic regression",
    "generative": "p(x|y)p(y), naive Bayes",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Labels are learned by a discriminative model (logistic regression) and by its generative\n"
        "twin (naive Bayes), from more and more of the same examples (Ng & Jordan 2002). The\n"
        "curves are two runs whose steps are numbers of examples: genui watch shows them.\n\n"
        "examples:\n"
        "  genui twins fashion\n"
        "  genui twins speakers --counts 10,100,1000\n"
        "  genui twins fashion --model fashion-labels --model fashion\n"
        "  genui twins icons --data MY_PICTURES --json"
    )
    parser.add_argument(
        "dataset", metavar="DATASET", help="fashion, icons, emoji; speakers, python-or-prose"
    )
    parser.add_argument("--data", metavar="PATH", default="", help="your own labelled data")
    parser.add_argument(
        "--counts", metavar="N,N,…", default="", help="numbers of training examples (10 to all)"
    )
    parser.add_argument(
        "--repeats", metavar="N", type=int, default=5, help="draws of few examples (5)"
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
        "--tested", metavar="N", type=int, default=200, help="pictures that MODEL labels (200)"
    )
    parser.add_argument("--name", metavar="NAME", default="", help="what to call the run")
    add_json(parser, "the points as JSON")


def run(args: argparse.Namespace) -> int:
    from genui.engine.probes.twins import curves, load_examples
    from genui.runs.api import init
    from genui.runs.media import Text

    counts = _counts(args.counts)
    for option, value in (("repeats", args.repeats), ("tested", args.tested)):
        if value < 1:
            raise MisuseError(f"--{option} {value}: one at the least")
    examples = load_examples(args.dataset, args.data)
    output.note(
        f"{examples.name}: {len(examples.labels)} labels, {len(examples.x):,} examples to train "
        f"on, {len(examples.test_x):,} held out, {examples.features}"
    )
    points = curves(examples, counts, args.repeats)
    first = next(points)  # before a run is begun: it says whether the counts can be had
    answers = _answers(args)
    # A run a question, so that the Training screen draws one curve over the other.
    runs = {
        name: init(
            project="twins",
            name=f"{args.name or examples.name}-{name}",
            config={"dataset": examples.name, "features": examples.features, "step": "examples"},
            reinit="create_new",
        )
        for name in examples.pair
    }
    found = []
    for point in (first, *points):
        found.append(point)
        for name, run in runs.items():
            run.log(dataclasses.asdict(point.scores[name]), step=point.examples)
        output.note(f"{point.examples:,} examples")
    for name, run in runs.items():
        text = _sample(found, name, QUESTIONS[name])
        run.log({"table": Text(text)}, step=found[-1].examples)
        run.finish()
    ids = {name: run.id for name, run in runs.items()}
    if args.json:
        output.emit(
            {
                "runs": ids,
                "points": [{"examples": p.examples, **_flat(p)} for p in found],
                "models": answers,
            }
        )
    else:
        heads, rows = _table(found)
        output.table(heads, rows, right=range(len(heads)))
        output.say("; ".join(f"{name}: {question}" for name, question in QUESTIONS.items()))
        for each in answers:
            output.say(_words(each))
        output.note(f"curves: genui watch {' '.join(ids.values())}   (o: both; Y: logarithmic)")
    return 0


def _answers(args: argparse.Namespace) -> list["Answer"]:
    """What the named models say of held-out pictures."""
    if not args.models:
        return []
    from genui.engine.probes.trained_twins import answer

    found = []
    for model in args.models:
        output.note(f"{model}: labels {args.tested:,} pictures")
        found.append(answer(model, args.dataset, args.tested))
    return found


def _words(found: "Answer") -> str:
    by = "p(y|x)" if found.question == "discriminative" else "p(x|y)p(y), Bayes' rule"
    scores = found.scores
    return (
        f"{found.model}, {by}: {scores.accuracy:.1%} right, log-loss {scores.log_loss:.3f}, "
        f"calibration {scores.calibration_error:.3f} ({found.tested:,} pictures, trained on "
        f"{found.examples:,})"
    )


def _counts(text: str) -> tuple[int, ...]:
    """`"10,100"` as numbers. Raises MisuseError where one is none."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise MisuseError(f"--counts {text!r}: give whole numbers, as in 10,100,1000") from None


def _flat(point: "Point") -> dict[str, Any]:
    """Metric name, `accuracy/discriminative`, to value."""
    return {
        f"{measure}/{name}": value
        for name, scores in point.scores.items()
        for measure, value in dataclasses.asdict(scores).items()
    }


def _table(points: list["Point"]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: a point a row, and every measure of both models."""
    names = tuple(points[0].scores)
    heads = ["EXAMPLES"]
    for title in ("ACCURACY", "LOG-LOSS", "CALIBRATION"):
        heads += [f"{title} {name[:4].upper()}." for name in names]
    rows = []
    for point in points:
        row = [count(point.examples)]
        row += [f"{point.scores[name].accuracy:.1%}" for name in names]
        row += [f"{point.scores[name].log_loss:.3f}" for name in names]
        row += [f"{point.scores[name].calibration_error:.3f}" for name in names]
        rows.append(row)
    return heads, rows


def _sample(points: list["Point"], name: str, question: str) -> str:
    """What lies beside the curves of one model."""
    lines = [question, "", "examples  right  log-loss  calibration"]
    for point in points:
        scores = point.scores[name]
        lines.append(
            f"{point.examples:>8,}  {scores.accuracy:5.1%}  {scores.log_loss:8.3f}"
            f"  {scores.calibration_error:11.3f}"
        )
    return "\n".join(lines)
