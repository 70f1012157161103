"""`genui generate`: samples of a model, in the terminal or in files."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from genui.base.late import late_imports
from genui.cli import output
from genui.cli.options import MAX_IN_FOLDER, MAX_SAMPLES, add_settings, generated_with
from genui.cli.parser import add_json
from genui.protocol.kinds import KINDS, add_options
from genui.protocol.messages import LogitBase
from genui.protocol.settings import AXIS_NAMES, FROM_DATA

with late_imports():
    from genui.cli import batch_generation, generation, kinds
    from genui.cli import request as requests

if TYPE_CHECKING:
    from genui.cli.request import Request


def configure_generate(parser: argparse.ArgumentParser) -> None:
    examples = dict.fromkeys(line for kind in KINDS.values() for line in kind.examples)
    suffixes = dict.fromkeys(suffix for kind in KINDS.values() for suffix in kind.files)
    parser.epilog = (
        "Without --seed a random seed is used and printed on stderr, so that you can repeat it.\n"
        "Every file contains its recipe: `genui show FILE` prints it, `genui replay FILE` repeats\n"
        "it, and given as MODEL it starts a new generation.\n\n"
        "examples:\n"
        "  genui generate shakespeare --prompt $'JULIET:\\n' --temperature 0.7\n"
        "  genui generate python --prompt $'def area(r):\\n    return <FILL> * r ** 2'\n"
        "  genui generate icons --prompt 'green cat on white' --seed 7 -n 4 --out cats.png\n"
        "  genui generate icons --prompt 'red heart' --out heart.gif --scale 8\n"
        "  genui generate icons -n 1000 --out made/     a labelled folder to train on\n"
        "  genui generate icons --seed 1 --drafts 24 --stop-at 4 --out sheet.png\n"
        "  genui generate icons --seeds 3,17 --out cat.png\n"
        "  genui generate cats.png --fork 6:guidance=6 --out other.png\n"
        "  genui generate icons --grid seed=1..6 --grid guidance=1,2,4 --out grid.png\n"
        "  genui generate last --prompt 'def '          the newest checkpoint of your newest run"
        + "".join(f"\n  {line}" for line in examples)
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a name that `genui models` lists, a run, RUN@STEP, a .safetensors file, or a file "
        "that contains a recipe",
    )
    add_start(parser)
    parser.add_argument(
        "-n",
        dest="count",
        metavar="COUNT",
        type=int,
        help=f"samples, from seeds N, N+1, … (at most {MAX_SAMPLES}; {MAX_IN_FOLDER:,} "
        "in a folder)",
    )
    parser.add_argument(
        "--seeds",
        metavar="A,B,…",
        help="one sample per seed; --out cat.png writes cat-A.png, cat-B.png, …",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help=f"write to a {', '.join(suffixes)} file, replacing any there; - is standard output; "
        "a folder takes many samples with their labels",
    )
    parser.add_argument(
        "--trace", metavar="FILE", type=Path, help="save the trace as a .trace file to continue"
    )
    parser.add_argument(
        "--sign",
        action="store_true",
        help="sign the file of --out: content credentials (genui help verify)",
    )
    parser.add_argument("--rate", metavar="R", type=float, help="steps per second of an animation")
    add_json(parser, "one JSON line per sample")
    _add_looks(parser)
    _add_image_files(parser)


def _add_image_files(parser: argparse.ArgumentParser) -> None:
    """Add the options for files of images."""
    image = parser.add_argument_group("files of image models")
    image.add_argument("--film", metavar="FILE", type=Path, help="a filmstrip as .png")
    image.add_argument("--frames", metavar="DIR", type=Path, help="every step as a .png")
    image.add_argument("--scale", metavar="K", type=int, help="enlarge images in files K times")
    image.add_argument(
        "--drafts",
        metavar="COUNT",
        type=int,
        help="stop COUNT seeds (N, N+1, …) early and write them, numbered, on one sheet, --out "
        "FILE.png; --seeds finishes some",
    )
    image.add_argument(
        "--stop-at",
        metavar="STEP",
        type=int,
        help="with --drafts: where to stop (a third of all steps)",
    )


def _add_looks(parser: argparse.ArgumentParser) -> None:
    """Add the options that print how a sample was chosen."""
    parser.add_argument(
        "--every-step",
        action="store_true",
        help="print one JSON line per step instead; for a token: "
        "its candidates, the filter that dropped each, and the random draw",
    )
    parser.add_argument(
        "--attention", metavar="STEP", help="print the attention of that step's token instead"
    )
    parser.add_argument(
        "--layers",
        metavar="STEP",
        help="print each layer's prediction for that step's token instead (the logit lens) and "
        "how much each head and feed-forward added to its logit",
    )
    parser.add_argument(
        "--nearest",
        action="store_true",
        help="print the nearest training data instead: images with their distances, or passages "
        "copied word for word, with their sources",
    )
    parser.add_argument(
        "--over",
        choices=get_args(LogitBase),
        default="other",
        help="with --layers: compare the added logit with the likeliest other token or with "
        "the mean of all tokens",
    )


def add_start(parser: argparse.ArgumentParser) -> None:
    """The options that describe a trace: its start and its edits."""
    parser.add_argument("--prompt", metavar="TEXT", help="the text to continue, or the caption")
    parser.add_argument("--seed", metavar="N", help="the same seed gives the same sample")
    parser.add_argument(
        "--fork",
        metavar="STEP:EDIT",
        action="append",
        default=[],
        help="edit the trace at a step and continue; may be repeated. EDIT is seed=N, a setting "
        "(temperature=0.5, guidance=4, …), token=TEXT or #ID, text=TEXT, say=TEXT (the next "
        "message of a chat), caption=TEXT, noise=STEP (back to the noise of that step), denoise, "
        "or inside the network ablate=LAYER.HEAD, steer=LAYER:STRENGTH:TEXT|TEXT, "
        "patch=LAYER:POSITION:TEXT",
    )
    chat = parser.add_argument_group("models with a chat template")
    chat.add_argument("--chat", action="store_true", help="--prompt is the first message of a chat")
    chat.add_argument("--system", metavar="TEXT", help="the system prompt of the chat")
    chat.add_argument(
        "--say",
        metavar="TEXT",
        action="append",
        default=[],
        help="the next message of the chat, sent after the answer; may be repeated",
    )
    add_settings(parser, *generated_with())
    add_options(parser, "generate")
    image = parser.add_argument_group("initial images")
    image.add_argument(
        "--init", metavar="IMAGE", help=f"start from an image; {FROM_DATA} is a training image"
    )
    image.add_argument(
        "--strength",
        metavar="S",
        help="img2img strength, 0 to 1: the share of the schedule that is re-noised; 1 ignores "
        "the image",
    )
    image.add_argument(
        "--forward",
        action="store_true",
        help="run the forward process on --init instead: add noise",
    )
    image.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="with --fork STEP:noise=K: inpaint only where this image is white",
    )
    image.add_argument(
        "--grid",
        metavar="X=V,V,…",
        action="append",
        default=[],
        help=f"vary {', '.join(AXIS_NAMES)} along x (captions are separated by ;); given "
        "twice, along y as well",
    )


_LOOKS = ("attention", "layers", "nearest")
_OF_WHOLE = "out trace film frames sign count seeds drafts every_step scale rate"


def _look(args: argparse.Namespace, request: "Request", look: str, *others: str) -> None:
    """Print what is inside of a step, or what a sample is nearest to, in place of the sample.
    Raises MisuseError for options that do not fit."""
    reason = f"leave it out with --{look}, which prints no sample"
    requests.refuse_options(args, " ".join((*others, _OF_WHOLE)), reason)
    _tell_seed(request)
    start = request.starts[0]
    match look:
        case "attention":
            generation.show_attention(start, args.attention, args.json)
        case "layers":
            generation.show_layers(start, args.layers, args.json, args.over)
        case _:
            generation.show_nearest(start, args.json)


def _tell_seed(request: "Request") -> None:
    if request.random_seed is not None:
        output.note(f"seed {request.random_seed} (repeat with --seed {request.random_seed})")


def run_generate(args: argparse.Namespace) -> int:
    # Late import, command line to command: --help needs neither numpy nor the codecs.
    if batch_generation.is_wanted(args):
        return batch_generation.write(args)
    request = requests.parse_request(args)
    if looks := [name for name in _LOOKS if requests.is_given(args, name)]:
        _look(args, request, *looks)
        return 0
    until = generation.find_stop(args, request)
    generation.check(args, request)
    _tell_seed(request)
    generations, prints = [], kinds.prints_of(request.kind)
    quiet = args.json or args.every_step
    live = request.kind.streams and args.out is None and not quiet
    interrupted = False
    try:
        for one in generation.generate_all(request.starts, live, until, request.says, keep=True):
            generations.append(one)
            if args.every_step:
                for frame in one.frames:
                    output.print_json(frame.facts(), indent=False)
            elif args.json:
                output.print_json(prints.as_json(one, args.scale or 1), indent=False)
    except KeyboardInterrupt:
        if not generations:
            raise
        interrupted = True
        output.note(
            f"interrupted: {len(generations)} of {len(request.starts)} samples are complete"
        )
    if request.fingerprint not in ("", generations[0].started.fingerprint):
        output.note(f"{args.model} was generated with different weights ({request.fingerprint})")
    generation.write_output(args, generations, request.kind)
    if prints.draw is not None and not (quiet or generation.has_files(args)):
        prints.draw(generations)
    if (fault := generations[-1].fault) is not None:
        raise fault
    if interrupted:
        raise KeyboardInterrupt
    return 0
