"""`genui generate`: text as it is written, a picture as it stands in the terminal or a file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from genui.commands import output, outputs, steps, synthetic
from genui.commands.parser import add_json
from genui.commands.request import MOST, asked
from genui.commands.samples import Generated, generate
from genui.edits import sample_step
from genui.protocol import BASES, FROM_DATA, SAMPLERS


def configure(parser: argparse.ArgumentParser) -> None:
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
        help=f"samples, from seeds N, N+1, … (at most {MOST}; {synthetic.MOST:,} in a folder)",
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
    image = parser.add_argument_group("files of picture models")
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
    text = parser.add_argument_group("text models")
    text.add_argument("--tokens", metavar="N", help="how many to write")
    text.add_argument("--temperature", metavar="T", help="0 takes the likeliest token each time")
    text.add_argument("--top-k", metavar="K", help="only the K likeliest tokens (0: all)")
    text.add_argument("--top-p", metavar="P", help="only the likeliest that reach P together")
    text.add_argument("--min-p", metavar="P", help="only those P times as likely as the likeliest")
    text.add_argument("--repetition-penalty", metavar="R", help="1 is none")
    text.add_argument("--dry", metavar="M", help="how much less likely a repeated run of tokens is")
    text.add_argument("--dry-length", metavar="N", help="tokens that may be repeated freely")
    text.add_argument("--grammar", metavar="NAME", help="refuse what cannot be: python, or none")
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
    image = parser.add_argument_group("picture models")
    image.add_argument("--steps", metavar="N", help="denoising steps, or moves of a walk")
    image.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    image.add_argument("--guidance", metavar="G", help="how hard the caption pulls (1: as trained)")
    image.add_argument(
        "--autoguidance", metavar="W", help="how far from its weaker copy (1: not; fashion has one)"
    )
    image.add_argument("--eta", metavar="E", help="fresh noise a step of DPM++ and DDIM, 0 to 1")
    image.add_argument("--s-tmin", metavar="σ", help="no fresh noise at or under this noise level")
    image.add_argument(
        "--sigma-min", metavar="σ", help="the last noise level before 0 (what suits the steps)"
    )
    image.add_argument("--rho", metavar="R", help="how noise levels crowd to the least, 1 to 20")
    image.add_argument(
        "--init", metavar="IMAGE", help=f"begin from a picture; {FROM_DATA} is a training picture"
    )
    image.add_argument("--strength", metavar="S", help="how much of --init drowns (1: all of it)")
    image.add_argument("--forward", action="store_true", help="drown --init in noise instead")
    image.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="with --fork STEP:noise=K: only what is white in this picture changes",
    )
    image.add_argument(
        "--grid",
        metavar="X=V,V,…",
        action="append",
        default=[],
        help="vary seed, caption, guidance, eta or sampler along x, and given again along y",
    )
    walk = parser.add_argument_group("GANs: a walk through latent space")
    walk.add_argument("--direction", metavar="D", help="walk along the D-th strongest direction")
    walk.add_argument("--basis", metavar="NAME", help=f"finds directions: {', '.join(BASES)}")
    walk.add_argument("--reach", metavar="R", help="how far to either side, in standard deviations")
    walk.add_argument("--to", metavar="SEED", help="walk to another seed's picture instead")
    walk.add_argument("--share", metavar="S", help="of the way there that is gone (1: all of it)")
    walk.add_argument("--blend", metavar="N,N,…", help="seeds mixed in with --seed, in equal parts")
    walk.add_argument(
        "--truncation", metavar="T", help="below 1: nearer to the average picture (0: all alike)"
    )


def run(args: argparse.Namespace) -> int:
    if synthetic.wanted(args):
        return synthetic.run(args)
    what = asked(args)
    if args.attention is not None:
        steps.show_attention(what.starts[0], args.attention, args.json)
        return 0
    outputs.check(args, what)
    if what.drawn is not None:
        output.note(f"--seed {what.drawn}")
    made = []
    quiet = args.json or args.every_step
    live = what.kind.pane == "text" and args.out is None and not quiet
    for start in what.starts:
        if live and len(what.starts) > 1:
            output.say(f"--- seed {start.seed}")
        made.append(generate(start, len(what.starts), live))
        if args.every_step:
            for frame in made[-1].frames:
                output.emit(steps.facts(frame), indent=False)
        elif args.json:
            output.emit(outputs.as_json(made[-1], args.scale or 1), indent=False)
    if what.fingerprint not in ("", made[0].started.fingerprint):
        output.note(f"{args.model} was made with other weights ({what.fingerprint})")
    outputs.write(args, made, what.kind)
    if what.kind.pane != "text" and not (quiet or outputs.wanted(args)):
        _draw(made)
    return 0


def _draw(made: Sequence[Generated]) -> None:
    """The pictures in the terminal, as many in a row as fit; of music a piano roll."""
    if made[0].started.medium == "music":
        from genui.commands.rolls import draw_rolls

        draw_rolls(made)
        return
    from genui.commands.terminal import columns, draw
    from genui.render.film import sheet
    from genui.saved.write import last_picture

    steps = [sample_step(one.start, one.frames[-1].step) for one in made]
    pictures = [last_picture(one.sample, step) for one, step in zip(made, steps, strict=True)]
    draw(sheet(pictures, max(1, columns() // pictures[0].shape[1])))
