"""`genui generate`: text as it is written, an image as it stands, in the terminal or a file."""

import argparse
import base64
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from genui.base.errors import GenuiError, MisuseError
from genui.base.text import clean
from genui.cli import files, options, output
from genui.cli.options import (
    MOST_IN_FOLDER,
    MOST_SAMPLES,
    Request,
    add_settings,
    first_edit_fits,
    generated_with,
    parse_request,
)
from genui.cli.output import Progress, columns
from genui.cli.parser import add_json
from genui.formats import midi, score
from genui.formats.codec import Sample, codec_of, encode
from genui.formats.favourites import SavedTree, chain_branches, save_tree
from genui.formats.image import film_steps
from genui.formats.midi import ScoreFile, grid_of_frames
from genui.formats.recipe import TraceRecipe, View, recipe_of, result_of
from genui.formats.text import body
from genui.protocol import (
    FROM_DATA,
    Attention,
    Frame,
    ImageFrame,
    SetSettings,
    Start,
    Started,
    TextFrame,
    chorale,
)
from genui.protocol.edits import sample_step
from genui.protocol.registry import Kind, resolve
from genui.protocol.settings import AXIS_NAMES
from genui.render.piano_roll import Column, format_roll


@dataclass(frozen=True)
class Generation:
    """A trace to its end: how it began and its frames."""

    start: Start
    started: Started
    frames: list[Frame]

    @property
    def sample(self) -> Sample:
        """As files are written from it."""
        prompt, suffix = clean(self.started.prompt), clean(self.started.suffix)
        return Sample(self.start.seed, prompt, self.frames, suffix)

    @property
    def text(self) -> str:
        """Prompt and what was written, of a text."""
        return body([self.sample])


def generate(start: Start, of: int = 1, live: bool = False, until: int | None = None) -> Generation:
    """One trace, to its end or to step `until`, with progress on stderr; where `live` its text
    goes to stdout instead, token by token.

    Raises MisuseError where an edit is at a step that the trace does not have.
    """
    from genui.engine.load import stream

    which = f"sample {start.trace + 1}/{of}  " if of > 1 else ""
    messages = _note_once(start, stream(start))
    progress, started, frames = Progress(), None, []
    try:
        for message in _print_text(messages) if live else messages:
            if isinstance(message, Started):
                started = message
                first_edit_fits(start, started.total_steps)
            elif isinstance(message, Frame):
                frames.append(message)
                if started is not None and not live:
                    progress.show(f"{which}step {message.step}/{started.total_steps}")
                if message.step == until:
                    break
    finally:
        progress.clear()
    if started is None or not frames:
        raise GenuiError(f"{start.model}: nothing came; `genui doctor` says what is installed")
    return Generation(start, started, frames)


def _note_once(start: Start, messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The trace; what the model notes about the prompt is printed once."""
    for message in messages:
        if isinstance(message, Started) and message.note and start.trace == 0:
            output.note(message.note)
        yield message


def _print_text(messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """Print the text of a trace as it comes, between prompt and suffix; the last line is ended."""
    last = suffix = ""
    try:
        for message in messages:
            if isinstance(message, Started | TextFrame):
                text = clean(message.prompt if isinstance(message, Started) else message.text)
                last = text or last
                sys.stdout.write(text)
                sys.stdout.flush()
            if isinstance(message, Started):
                suffix = clean(message.suffix)
            yield message
        sys.stdout.write(suffix)
        last = suffix or last
    finally:
        if last and not last.endswith("\n"):
            print(flush=True)


# --- Music in the terminal: a piano roll in characters ----------------------------------------


def draw_rolls(generations: Sequence[Generation]) -> None:
    """Each piece under what it began as."""
    for one in generations:
        grid, opening = grid_of_frames(one.started.init, one.started.prompt, one.frames)
        output.say(f"{chorale.spell_opening(opening)}, seed {one.start.seed}")
        _draw(grid.columns, opening.bar, opening.begins)


def draw_score(file: ScoreFile, recipe: TraceRecipe) -> None:
    """The notes of a saved file, which begin with the first bar's silence."""
    init = recipe.init if isinstance(recipe.init, str) else None
    bar = score.grid_of(init, recipe.prompt)[1].bar
    end = max((note.last for note in file.notes), default=0)
    _draw(score.columns_of(file.notes, end), bar, 0)


def _draw(sounds: Sequence[Column], bar: int, begins: int) -> None:
    for line in format_roll(sounds, columns(), bar, begins).split("\n"):
        output.say(line)


# --- The files that `genui generate` leaves -----------------------------------------------------

MOST_SCALE = 32
LEAST_RATE, MOST_RATE = 0.1, 50.0  # steps a second: a GIF counts in hundredths of one


def has_files(args: argparse.Namespace) -> bool:
    """Whether any image goes to a file."""
    return any(getattr(args, name) is not None for name in ("out", "film", "frames"))


def check(args: argparse.Namespace, request: Request) -> None:
    """Refuse what could not be written, before anything is generated.

    Raises MisuseError for what cannot be meant and GenuiError where the disk refuses.
    """
    several = len(request.starts) > 1
    if args.scale is not None and not 1 <= args.scale <= MOST_SCALE:
        raise MisuseError(f"--scale {args.scale}: between 1 and {MOST_SCALE}")
    if args.rate is not None and not LEAST_RATE <= args.rate <= MOST_RATE:
        raise MisuseError(f"--rate {args.rate}: between {LEAST_RATE} and {MOST_RATE:.0f}")
    if args.denoising and args.out is None:
        raise MisuseError("--denoising: says what --out shows of a clip; give it with --out")
    if args.gm:
        _check_orchestra(args, request)
    if args.out == files.DASH:
        files.check_pipe(args, request.kind)
    elif args.out is not None:
        files.check_target(args.out, request.kind, request.model.medium)
        codec = codec_of(args.out)
        if several and request.kind.streams and codec is not None and codec.one_text:
            raise MisuseError(f"--out {args.out}: a recording is of one text; leave out -n")
    if args.trace is not None:
        files.check_file(args.trace, "--trace", (".trace",), "a trace")
        if several:
            raise MisuseError(f"--trace {args.trace}: a trace is one sample; leave out -n")
    if args.film is not None:
        files.check_file(args.film, "--film", (".png",), "a filmstrip")
    if args.frames is not None:
        files.check_folder(args.frames)


def _check_orchestra(args: argparse.Namespace, request: Request) -> None:
    from genui.formats import midi

    codec = args.out and codec_of(files.name_piped(args.out, request.kind))
    if not codec or codec.shows != "sound":
        raise MisuseError("--gm: says how --out FILE.wav of a music model is played; give one")
    midi.fluidsynth()


def write_output(args: argparse.Namespace, generations: Sequence[Generation], kind: Kind) -> None:
    """Write every file that the options name, with a note for each."""
    samples = [one.sample for one in generations]
    scale = args.scale or 1
    if args.out is not None:
        target = files.name_piped(args.out, kind)
        view = _view(target, generations[0], args.denoising, scale)
        if args.gm:
            view = msgspec.structs.replace(view, kind="orchestra")
        recipe = _recipe(generations, view)
        if args.out == files.DASH:
            files.write_pipe(encode(target.suffix, samples, recipe, args.rate))
        else:
            files.write_file(target, samples, recipe, args.rate)
            output.note(f"wrote {target}")
    if args.film is not None:
        view = View(kind="film", steps=film_steps(samples), scale=scale)
        files.write_file(args.film, samples, _recipe(generations, view))
        output.note(f"wrote {args.film}")
    if args.frames is not None:
        count = _write_frames(args.frames, generations, scale)
        output.note(f"wrote {count} frames to {args.frames}")
    if args.trace is not None:
        save_tree(_tree(args.trace.stem[:200], generations[0]), args.trace)
        output.note(f"wrote {args.trace}")


def file_bytes(generation: Generation, name: Path) -> bytes:
    """One sample as the bytes of a file of that name, with its recipe."""
    view = _view(name, generation, denoising=False)
    return encode(name.suffix, [generation.sample], _recipe([generation], view))


def score_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One piece as a script reads it: its recipe and its notes."""
    piece = midi.piece_of(generation.started.init, generation.started.prompt, generation.frames)
    recipe = msgspec.to_builtins(_recipe([generation], View(kind="score")))
    return {**recipe, "notes": [note._asdict() for note in piece.notes]}


def text_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One text as a script reads it: its recipe and the text."""
    return {
        **msgspec.to_builtins(_recipe([generation], View(kind="text"))),
        "text": generation.text,
    }


def image_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One sample as a script reads it: its recipe, and a PNG in base64."""
    recipe = _recipe([generation], _still(generation, scale))
    data = base64.b64encode(encode(".png", [generation.sample], recipe)).decode()
    return {**msgspec.to_builtins(recipe), "png_base64": data}


def _view(target: Path, generation: Generation, denoising: bool, scale: int = 1) -> View:
    """How a file of that name shows a generation."""
    codec, last = codec_of(target), generation.frames[-1]
    shows = codec.shows if codec is not None else "frame"
    if shows == "frame":
        return _still(generation, scale)
    if shows == "animation" and isinstance(last, TextFrame):
        shows = "text"
    elif shows == "animation" and isinstance(last, ImageFrame) and last.images > 1:
        shows = "animation" if denoising else "clip"
    return View(kind=shows, scale=scale)


def _still(generation: Generation, scale: int) -> View:
    """How a file of one image shows it: its last step, or the one that is the sample."""
    last = generation.frames[-1].step
    step = sample_step(generation.start, last)
    return View(steps=() if step == last else (step,), scale=scale)


def _recipe(generations: Sequence[Generation], view: View) -> TraceRecipe:
    """What makes these samples again, in a file that shows them like this."""
    from genui.engine.replay import machine

    result = result_of(*(one.frames for one in generations))
    first = generations[0]
    return recipe_of(
        first.start, first.started, machine(), result, view=view, count=len(generations)
    )


def _write_frames(folder: Path, generations: Sequence[Generation], scale: int) -> int:
    """An image a step; what an earlier command left there goes."""
    samples = [one.sample for one in generations]
    recipe = _recipe(generations, View(scale=scale))
    names = set()
    for frame in generations[0].frames:
        view = View(steps=(frame.step,), scale=scale)
        target = files.frame_file(folder, frame.step)
        files.write_file(target, samples, recipe.showing(view))
        names.add(target.name)
    files.remove_frames(folder, names)
    return len(names)


def _tree(name: str, generation: Generation) -> SavedTree:
    """The trace as the app opens it: a branch an edit, each grown from the one before."""
    from genui.engine.replay import machine

    start, started = generation.start, generation.started
    root = msgspec.structs.replace(start, edits=())
    last = generation.frames[-1].step
    labels, settings = [""], start.settings
    for at in start.edits:
        labels.append(f"{options.spell(at.edit, settings)} at {at.step}")
        if isinstance(at.edit, SetSettings):
            settings = at.edit.settings
    totals = [started.total_steps, *(0 for _ in start.edits)]
    if start.edits:
        totals[-1] = last
    return SavedTree(
        name=name,
        recipe=recipe_of(root, started, machine(), view=View(kind="tree")),
        branches=chain_branches(start.edits, labels, totals),
        current=len(start.edits),
        playhead=last,
        result=result_of(generation.frames),
    )


# --- What every step of a trace was, and what a token attended to, for scripts and for reading

STRONGEST = 12  # tokens that a person is shown


def show_attention(start: Start, text: str, as_json: bool) -> None:
    """What the token of a step looked at: the strongest on average, or as JSON every head.

    Raises MisuseError for a step that the trace does not have, and for a model of images.
    """
    step = _step(text)
    from genui.engine.load import open_trace
    from genui.engine.worker import attention

    trace = open_trace(start)
    frames = list(trace.advance(0, step))
    attended = attention(trace, step)
    weights = _weights(attended)
    if as_json:
        output.emit(
            {"step": step, "first": attended.first, "tokens": attended.texts, "weights": weights}
        )
        return
    chosen = frames[-1]
    assert isinstance(chosen, TextFrame)
    output.note(f"what {chosen.text!r}, token {step}, looked at; average of all heads")
    heads = [head for layer in weights for head in layer]
    average = [sum(each) / len(heads) for each in zip(*heads, strict=True)]
    order = sorted(range(len(average)), key=lambda at: -average[at])[:STRONGEST]
    rows = [
        (repr(attended.texts[at]), str(at - len(average)), f"{100 * average[at]:.1f} %")
        for at in order
    ]
    output.table(("token", "back", "share"), rows, right=(1, 2))


def _step(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 100_000:
        raise MisuseError(f"--attention {text}: give the step of a token, 1 or more")
    return int(text)


def _weights(attended: Attention) -> list[list[list[float]]]:
    """[layers][heads][tokens]."""
    shape = (attended.layers, attended.heads, len(attended.texts))
    return np.frombuffer(attended.weights, np.float16).reshape(shape).astype(float).tolist()


# --- The command --------------------------------------------------------------------------------


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
    from genui.cli import dataset  # which runs what is here for every sample

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


def draw_images(generations: Sequence[Generation]) -> None:
    """The images in the terminal, as many in a row as fit."""
    from genui.formats.image import last_image, sheet

    steps = [sample_step(one.start, one.frames[-1].step) for one in generations]
    images = [last_image(one.sample, step) for one, step in zip(generations, steps, strict=True)]
    output.draw(sheet(images, max(1, output.columns() // images[0].shape[1])))
