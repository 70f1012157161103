"""`genui generate`: text as it is written, an image as it stands, in the terminal or a file."""

import argparse
from pathlib import Path

from genui.cli import output
from genui.cli.options import MOST_IN_FOLDER, MOST_SAMPLES, add_settings, generated_with
from genui.cli.parser import add_json
from genui.protocol.registry import resolve
from genui.protocol.settings import AXIS_NAMES, FROM_DATA


def configure_generate(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Without --seed one is drawn and printed on stderr, so that any sample can be repeated.\n"
        "Every file carries its recipe: `genui show FILE` prints it, `genui replay FILE` makes\n"
        "it again and compares, and as MODEL it is the start of another.\n\n"
        "examples:\n"
        "  genui generate shakespeare --prompt $'JULIET:\\n' --temperature 0.7\n"
        "  genui generate python --prompt $'def area(r):\\n    return <FILL> * r ** 2'\n"
        "  genui generate icons --prompt 'green cat on white' --seed 7 -n 4 --out cats.png\n"
        "  genui generate icons --prompt 'red heart' --out heart.gif --scale 8\n"
        "  genui generate video --prompt 'red heart moving up on black' --out up.gif --scale 8\n"
        "  genui generate voice --prompt 'four two seven jackson' --out 427.wav\n"
        "  ssh box genui generate voice --prompt '4 2 7' --out - | aplay     heard here\n"
        "  genui generate chorales --prompt 'G minor, 3/4' --out tune.mid\n"
        "  genui generate chorales --melody hymn.mid --out four.wav\n"
        "  genui generate icons -n 1000 --out made/     a labelled folder to train on\n"
        "  genui generate cats.png --fork 10:guidance=6 --out other.png\n"
        "  genui generate icons --grid seed=1..6 --grid guidance=1,2,4 --out grid.png\n"
        "  genui generate fashion-gan --prompt sneaker --direction 2 --out walk.gif --scale 8\n"
        "  genui generate last --prompt 'def '          the newest checkpoint of your newest run"
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a name that `genui models` lists, a run, RUN@STEP, a .safetensors file, or a file "
        "that carries a recipe",
    )
    add_start(parser)
    parser.add_argument(
        "-n",
        dest="count",
        metavar="COUNT",
        type=int,
        help=f"samples, from seeds N, N+1, … (at most {MOST_SAMPLES}; {MOST_IN_FOLDER:,} "
        "in a folder)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="write to a .png, .gif, .apng, .mp4, .wav, .mid, .txt or .cast file; - is standard "
        "output; a folder takes many samples, with their labels",
    )
    parser.add_argument(
        "--trace", metavar="FILE", type=Path, help="save the trace to a .trace file to go on from"
    )
    parser.add_argument("--rate", metavar="R", type=float, help="steps a second of what moves")
    add_json(parser, "one JSON line a sample")
    parser.add_argument(
        "--every-step",
        action="store_true",
        help="print one JSON line a step instead: of a token "
        "its candidates, what each filter did to them and how the choice fell",
    )
    parser.add_argument(
        "--attention", metavar="STEP", help="print what the token of that step looked at instead"
    )
    image = parser.add_argument_group("files of image models")
    image.add_argument("--film", metavar="FILE", type=Path, help="a filmstrip as .png")
    image.add_argument("--frames", metavar="DIR", type=Path, help="every step as a .png")
    image.add_argument(
        "--denoising",
        action="store_true",
        help="of a clip: --out shows all its frames at every step, not the clip",
    )
    image.add_argument("--scale", metavar="K", type=int, help="pixels drawn a pixel in files")


def add_start(parser: argparse.ArgumentParser) -> None:
    """The options that say what a trace begins from and how it goes on."""
    parser.add_argument("--prompt", metavar="TEXT", help="the text to go on from, or the caption")
    parser.add_argument("--seed", metavar="N", help="the same seed gives the same sample")
    parser.add_argument(
        "--fork",
        metavar="STEP:EDIT",
        action="append",
        default=[],
        help="change the trace at a step and go on; may be given again. EDIT is seed=N, a setting "
        "(temperature=0.5, guidance=4, …), token=TEXT or #ID, text=TEXT, caption=TEXT, noise=STEP "
        "(back to the noise of that step) or denoise",
    )
    add_settings(parser, *generated_with())
    music = parser.add_argument_group("music models")
    music.add_argument(
        "--melody", metavar="FILE", help="a MIDI file to harmonise: its highest part is the soprano"
    )
    music.add_argument(
        "--gm",
        action="store_true",
        help="with --out FILE.wav: play it with General MIDI instruments, by fluidsynth",
    )
    music.add_argument(
        "--voices", metavar="V,V", help="those of its tracks that are given, as soprano,bass"
    )
    image = parser.add_argument_group("what images begin from")
    image.add_argument(
        "--init", metavar="IMAGE", help=f"begin from an image; {FROM_DATA} is a training image"
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
        help="with --fork STEP:noise=K: only what is white in this image changes",
    )
    image.add_argument(
        "--grid",
        metavar="X=V,V,…",
        action="append",
        default=[],
        help=f"vary {', '.join(AXIS_NAMES)} along x, and given again along y",
    )


def run_generate(args: argparse.Namespace) -> int:
    # From the command line to what it does: numpy and the codecs are not needed for --help.
    from genui.cli import dataset
    from genui.cli.generation import check, generate, has_files, show_attention, write_output
    from genui.cli.request import parse_request

    if dataset.is_wanted(args):
        return dataset.write(args)
    request = parse_request(args)
    if args.attention is not None:
        show_attention(request.starts[0], args.attention, args.json)
        return 0
    check(args, request)
    if request.drawn is not None:
        output.note(f"--seed {request.drawn}")
    generations = []
    quiet = args.json or args.every_step
    live = request.kind.streams and args.out is None and not quiet
    for start in request.starts:
        if live and len(request.starts) > 1:
            output.say(f"--- seed {start.seed}")
        generations.append(generate(start, len(request.starts), live))
        if args.every_step:
            for frame in generations[-1].frames:
                output.emit(frame.facts(), indent=False)
        elif args.json:
            output.emit(
                resolve(request.kind.as_json)(generations[-1], args.scale or 1), indent=False
            )
    if request.fingerprint not in ("", generations[0].started.fingerprint):
        output.note(f"{args.model} was generated with other weights ({request.fingerprint})")
    write_output(args, generations, request.kind)
    if request.kind.draw and not (quiet or has_files(args)):
        resolve(request.kind.draw)(generations)
    return 0
