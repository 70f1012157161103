"""`genui replay`: a saved generation made again, and whether it comes to the same."""

import argparse
from pathlib import Path

from msgspec.structs import replace

from genui import __version__
from genui.commands import output
from genui.commands.agreement import Comparison, compare
from genui.commands.parser import add_json
from genui.commands.samples import Generated, generate
from genui.errors import GenuiError
from genui.saved import Machine, SavedFile, SavedTree, branch_start, read, to_start

APART = 1  # the exit code where the two differ


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Prints `identical` (exit code 0) or how far apart the two are (exit code 1). The same\n"
        "bits are promised for the same weights, versions, processor and number of threads;\n"
        "where one of those is another, what differs may be rounding, and is reported as that.\n\n"
        "examples:\n"
        "  genui replay cats.png\n"
        "  genui replay play.txt --json"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a .png, .gif, .apng, .mp4, .wav, .txt, .cast or .trace file",
    )
    add_json(parser, "the comparison as JSON")


def run(args: argparse.Namespace) -> int:
    from genui.engine.replay import prepare

    file = read(args.file)
    machine = prepare(file.recipe, str(args.file))
    found = compare(file, _again(file))
    why = _why(file, machine)
    if args.json:
        output.emit(
            {
                "file": str(args.file),
                "model": file.recipe.model,
                "fingerprint": file.recipe.fingerprint,
                **found.facts,
                "otherwise": why,
            }
        )
    else:
        _say(found, why)
    return 0 if found.identical else APART


def _again(file: SavedFile) -> list[Generated]:
    """Every sample of the file, as far as it goes there."""
    recipe = file.recipe
    start, result = to_start(recipe), recipe.result
    if isinstance(file.content, SavedTree):
        start, result = branch_start(file.content), file.content.result
    if result is None or not result.digest:
        raise GenuiError(
            f"{file.path}: was saved before anything was generated, so there is nothing to "
            "compare; open it in the app, or name it as MODEL of `genui generate`"
        )
    starts = [replace(start, trace=i, seed=start.seed + i) for i in range(recipe.count)]
    return [generate(one, len(starts), until=result.steps) for one in starts]


def _why(file: SavedFile, machine: Machine) -> str:
    """What about this machine is not as it was; empty where all is."""
    there = file.recipe.machine
    names = there.differs(machine)
    if file.recipe.genui != __version__:
        names.append(f"genui {file.recipe.genui} then, {__version__} now")
    return "; ".join(names)


def _say(found: Comparison, why: str) -> None:
    output.say("identical" if found.identical else found.line)
    if found.identical:
        return
    if why:
        output.say(f"made on another machine, which may round otherwise: {why}")
    else:
        output.say("the machine and the versions are the same: the file was changed")
