"""`genui replay` and `genui compare`: compare two generations."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from genui import __version__
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import sanitize
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.generate import add_start
from genui.cli.generation import Generation, LoadingLine, generate, generate_all
from genui.cli.kinds import prints_of
from genui.cli.output import ProgressLine
from genui.cli.parser import add_json
from genui.cli.request import Request, parse_request
from genui.formats import codec
from genui.formats.codec import SavedFile, read
from genui.formats.kinds import saves_of_name
from genui.formats.recipe import Digests, Machine, result_of
from genui.formats.sample import first_difference
from genui.protocol import ImageFrame
from genui.protocol.kinds import add_options
from genui.ui.traces.compare import Difference, describe_tokens, differing_step, image_difference

with late_imports():
    from genui.engine import replay


@dataclass(frozen=True)
class Comparison:
    """Whether two generations are the same, and their difference as a line and as numbers."""

    identical: bool
    line: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """The comparison as JSON data for scripts."""
        line = {"difference": self.line} if self.line else {}
        return {"identical": self.identical, **line, **self.numbers}


def compare(file: SavedFile, generations: Sequence[Generation]) -> Comparison:
    """Compares a file with its samples generated again.

    The content of the file is compared by its codec, then all frames by their digest, since a file
    may have fewer colours, only some frames, or none, like a `.trace`.
    """
    result = result_of(*(one.frames for one in generations))
    same_frames, lossy = result == file.result, file.codec.lossy
    difference = codec.compare(file, [one.sample for one in generations])
    if difference is not None:
        line = difference.line
        if same_frames and lossy:
            name = file.codec.suffix[1:].upper()
            line += f"; every frame agrees by digest, so only the {name}'s colours differ"
        return Comparison(False, line, difference.numbers)
    if not same_frames:
        return _compare_results(file.result, result)
    by_digest = lossy or not file.codec.difference
    return Comparison(True, numbers={"compared": "by digest"} if by_digest else {})


def _compare_results(saved: Digests, again: Digests) -> Comparison:
    """The difference between the results in the recipes, if the contents are the same."""
    for number, (one, other) in enumerate(zip_longest(saved.tokens, again.tokens, fillvalue=()), 1):
        at = first_difference(one, other)
        if at is not None:
            line = f"other tokens from step {at + 1} on"
            line += f" of sample {number}" if len(again.tokens) > 1 else ""
            return Comparison(False, line, {"step": at + 1})
    if saved.steps != again.steps:
        line = f"ended at step {again.steps}, not {saved.steps}"
    elif saved.digest != again.digest:
        line = "the last step differs (the digests of the frames do)"
    else:
        line = "the last step is the same, but steps before it differ"
    return Comparison(False, line, {"compared": "by digest"})


# --- `genui replay`: generate a saved sample again and compare the two -------------------------

DIFFERENT = 1  # the exit code if the two differ


def configure_replay(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Prints `identical` (exit code 0) or how the two differ (exit code 1). The same\n"
        "bits are promised for the same weights, versions, processor and number of threads;\n"
        "if one of those differs, a difference may be rounding, and is reported as such.\n\n"
        "examples:\n"
        "  genui replay cats.png\n"
        "  genui replay play.txt --json"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a file that genui wrote, such as a .png, .gif, .wav, .txt or .trace",
    )
    parser.set_defaults(again=False)
    add_options(parser, "replay")
    add_json(parser, "the comparison as JSON")


def run_replay(args: argparse.Namespace) -> int:
    file = read(args.file)
    if args.again and not file.recipe.record:
        raise MisuseError(
            f"--again: {sanitize(str(args.file), 200)} holds no answers of its model, so it "
            "is computed anew anyway; leave --again out"
        )
    comparison, why = repeat(file, args.again)
    if args.json:
        output.print_json(
            {
                "file": str(args.file),
                "model": file.recipe.model,
                "fingerprint": file.recipe.fingerprint,
                **comparison.facts,
                "otherwise": why,
            }
        )
    else:
        _print_comparison(comparison, why, args.again)
    return 0 if comparison.identical else DIFFERENT


def repeat(
    file: SavedFile, again: bool = False, line: ProgressLine | None = None
) -> tuple[Comparison, str]:
    """Generates the samples of a file again and compares them with it; also, how this machine and
    version differ from the file's, or "". With `again` a model that computes elsewhere is asked.

    Raises GenuiError, one line, if the model is missing or has other weights.
    """
    line = line or ProgressLine()
    loading, record = LoadingLine(line), file.recipe.record
    with loading.shown(file.recipe.model):
        machine = replay.prepare(file.recipe, str(file.path), loading.progress)
    generations = _generate_again(file, b"" if again else record, line)
    comparison = compare(file, generations)
    if again:
        comparison = _compare_odds(file, generations, comparison)
    return comparison, "" if record else _machine_differences(file, machine)


def _generate_again(file: SavedFile, record: bytes, line: ProgressLine) -> list[Generation]:
    """Generates the samples of the file, up to its last step, by the `record` of its model."""
    start, result = file.start, file.result
    if not result.digest:
        raise GenuiError(
            f"{file.path}: was saved before anything was generated, so there is nothing to "
            "compare; open it in the app, or name it as MODEL of `genui generate`"
        )
    count = file.recipe.count
    start = replace(start, record=record)
    starts = [replace(start, trace=i, seed=start.seed + i) for i in range(count)]
    return list(generate_all(starts, until=result.steps, line=line))


def _compare_odds(
    file: SavedFile, generations: Sequence[Generation], comparison: Comparison
) -> Comparison:
    """The comparison, with the first step at which the odds differ from those in the file."""
    compare = saves_of_name(file.recipe.kind).first_change
    texts = [one.recorded for one in generations]
    changed = compare(file.recipe.record, texts) if compare is not None else None
    if changed is None:
        return comparison
    line = f"the model's odds differ from step {changed.step} on, by {changed.most:.2%} there"
    both = (comparison.line or "the text is the same") + f"; {line}"
    numbers = {"odds_step": changed.step, "odds_difference": changed.most}
    return Comparison(comparison.identical, both, comparison.numbers | numbers)


def _machine_differences(file: SavedFile, machine: Machine) -> str:
    """The differences to the machine and version of the file; empty if there are none."""
    differences = file.recipe.machine.differs(machine)
    if file.recipe.genui != __version__:
        differences.append(f"genui {file.recipe.genui} then, {__version__} now")
    return "; ".join(differences)


def _print_comparison(comparison: Comparison, why: str, again: bool) -> None:
    output.print_line(comparison.line or "identical")
    if comparison.identical or again:
        return
    if why:
        output.print_line(
            f"made on another machine or by other versions, which may round differently: {why}"
        )
    else:
        output.print_line("the machine and the versions are the same: the file was changed")


# --- `genui compare`: two generations, and the step from which they differ -------------------


def configure_compare(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Two models start from the same prompt, seed and settings; a saved file is generated\n"
        "again from its recipe, with its edits.\n\n"
        "examples:\n"
        "  genui compare emoji icons --prompt 'cat on black' --seed 7\n"
        "  genui compare heart.png other.png\n"
        "  genui compare run@400 run@1200 --prompt $'ROMEO:\\n'"
    )
    for name in ("one", "other"):
        parser.add_argument(
            name, metavar="MODEL", help="a model, RUN@STEP, or a file that contains a recipe"
        )
    add_start(parser)
    add_json(parser, "as JSON")


def run_compare(args: argparse.Namespace) -> int:
    one = _request(args, args.one)
    if one.random_seed is not None:
        args.seed = str(one.random_seed)
    other = _request(args, args.other)
    if one.random_seed is not None:
        output.note(f"seed {one.random_seed} (repeat with --seed {one.random_seed})")
    draw, other_draw = (prints_of(request.kind).draw for request in (one, other))
    if draw is not other_draw:
        raise MisuseError(
            f"{args.one} makes {one.kind.makes} and {args.other} {other.kind.makes}: name two "
            "that make the same"
        )
    generations = [generate(each.starts[0], says=each.says) for each in (one, other)]
    facts = _facts(generations)
    if args.json:
        output.print_json(facts)
        return 0
    if draw is not None:
        draw(generations)
    else:
        _print_texts(args, generations)
    output.print_line(_describe(facts, generations))
    return 0


def _request(args: argparse.Namespace, model: str) -> Request:
    return parse_request(argparse.Namespace(**vars(args), model=model))


def _facts(generations: list[Generation]) -> dict[str, Any]:
    """The first step that differs, the steps of each, and the difference of the last images."""
    facts: dict[str, Any] = {
        "part_at": differing_step([one.frames for one in generations]),
        "steps": [one.frames[-1].step for one in generations],
        "fingerprints": [one.started.fingerprint for one in generations],
    }
    last = [one.frames[-1] for one in generations]
    if isinstance(last[0], ImageFrame) and isinstance(last[1], ImageFrame):
        pixels = image_difference(last[0], last[1], "x")
        if pixels is not None:
            facts |= {"differing_pixels": pixels.share, "mean_difference": pixels.mean}
    else:
        facts["texts"] = [one.text for one in generations]
    return facts


def _print_texts(args: argparse.Namespace, generations: list[Generation]) -> None:
    for name, one in zip((args.one, args.other), generations, strict=True):
        output.print_line(f"--- {name}, seed {one.start.seed}")
        print(one.text)
    output.print_line("---")


def _describe(facts: dict[str, Any], generations: list[Generation]) -> str:
    """Returns `they differ from step 12 on: ‘e’ and ‘a’`, or that they are identical."""
    at = facts["part_at"]
    if at is None:
        both = facts["steps"]
        if both[0] == both[1]:
            return f"identical, {both[0]} steps"
        return f"identical up to step {min(both)}, where one of them ends"
    words = f"they differ from step {at} on"
    if "mean_difference" not in facts:
        first = generations[0].frames[0].step
        return f"{words}{describe_tokens([one.frames[at - first] for one in generations])}"
    pixels = Difference(facts["differing_pixels"], facts["mean_difference"])
    return f"{words}; in the end {pixels.text}"
