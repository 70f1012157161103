"""The files that `genui generate` leaves: which were asked for, and writing them."""

import argparse
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from genui.commands import export, forks, output, piped
from genui.commands.request import Asked
from genui.commands.samples import Generated
from genui.edits import sample_step
from genui.errors import MisuseError
from genui.kinds import Kind
from genui.protocol import ImageFrame, SetSettings, TextSettings
from genui.saved import (
    SUFFIXES,
    Branch,
    SavedTree,
    TraceRecipe,
    View,
    encode,
    music,
    recipe_of,
    result_of,
    save_tree,
)
from genui.saved.write import film_steps

MOST_SCALE = 32
_HEARD = {".wav": "sound", ".mid": "score"}
LEAST_RATE, MOST_RATE = 0.1, 50.0  # steps a second: a GIF counts in hundredths of one


def wanted(args: argparse.Namespace) -> bool:
    """Whether any picture goes to a file."""
    return any(getattr(args, name) is not None for name in ("out", "film", "frames"))


def check(args: argparse.Namespace, what: Asked) -> None:
    """Refuse what could not be written, before anything is generated.

    Raises MisuseError for what cannot be meant and GenuiError where the disk refuses.
    """
    several = len(what.starts) > 1
    if args.scale is not None and not 1 <= args.scale <= MOST_SCALE:
        raise MisuseError(f"--scale {args.scale}: between 1 and {MOST_SCALE}")
    if args.rate is not None and not LEAST_RATE <= args.rate <= MOST_RATE:
        raise MisuseError(f"--rate {args.rate}: between {LEAST_RATE} and {MOST_RATE:.0f}")
    if args.denoising and (what.model.medium != "video" or args.out is None):
        raise MisuseError(
            "--denoising: says what --out shows of a clip; give it with a video model and --out"
        )
    if args.gm:
        _check_orchestra(args, what)
    if args.out == piped.DASH:
        piped.check(args, what.kind)
    elif args.out is not None:
        export.check_target(args.out, what.kind)
        if several and what.kind.settings is TextSettings and args.out.suffix.lower() == ".cast":
            raise MisuseError(f"--out {args.out}: a recording is of one text; leave out -n")
    if args.trace is not None:
        export.check_file(args.trace, "--trace", (".trace",), "a trace")
        if several:
            raise MisuseError(f"--trace {args.trace}: a trace is one sample; leave out -n")
    if args.film is not None:
        export.check_file(args.film, "--film", (".png",), "a filmstrip")
    if args.frames is not None:
        export.check_folder(args.frames)


def _check_orchestra(args: argparse.Namespace, what: Asked) -> None:
    from genui.saved import fluid

    heard = args.out is not None and piped.target(args.out, what.kind).suffix.lower() == ".wav"
    if what.model.medium != "music" or not heard:
        raise MisuseError("--gm: says how --out FILE.wav of a music model is played; give one")
    fluid.fluidsynth()


def write(args: argparse.Namespace, made: Sequence[Generated], kind: Kind) -> None:
    """Every file that was asked for, and a remark for each."""
    samples = [one.sample for one in made]
    scale = args.scale or 1
    if args.out is not None:
        target = piped.target(args.out, kind)
        view = _view(target, made[0], args.denoising, scale)
        if args.gm:
            view = msgspec.structs.replace(view, kind="orchestra")
        recipe = _recipe(made, view)
        if args.out == piped.DASH:
            piped.write(encode(SUFFIXES[target.suffix], samples, recipe, args.rate))
        else:
            export.write(target, samples, recipe, args.rate)
            output.note(f"wrote {target}")
    if args.film is not None:
        view = View(kind="film", steps=film_steps(samples), scale=scale)
        export.write(args.film, samples, _recipe(made, view))
        output.note(f"wrote {args.film}")
    if args.frames is not None:
        written = _write_frames(args.frames, made, scale)
        output.note(f"wrote {written} frames to {args.frames}")
    if args.trace is not None:
        save_tree(_tree(args.trace.stem[:200], made[0]), args.trace)
        output.note(f"wrote {args.trace}")


def as_file(made: Generated, name: Path) -> bytes:
    """One sample as the bytes of a file of that name, with its recipe."""
    view = _view(name, made, denoising=False)
    return encode(SUFFIXES[name.suffix], [made.sample], _recipe([made], view))


def as_json(made: Generated, scale: int) -> dict[str, Any]:
    """One sample as a script reads it: its recipe, and the text or a PNG in base64."""
    if made.started.medium == "music":
        piece = music.piece_of(made.started.init, made.started.prompt, made.frames)
        recipe = msgspec.to_builtins(_recipe([made], View(kind="score")))
        return {**recipe, "notes": [note._asdict() for note in piece.notes]}
    if not _draws(made):
        return {**msgspec.to_builtins(_recipe([made], View(kind="text"))), "text": made.text}
    recipe = _recipe([made], _still(made, scale))
    data = base64.b64encode(encode("png", [made.sample], recipe)).decode()
    return {**msgspec.to_builtins(recipe), "png_base64": data}


def _draws(made: Generated) -> bool:
    return isinstance(made.frames[-1], ImageFrame)


def _kind(target: Path, made: Generated, denoising: bool) -> Any:
    if target.suffix.lower() in _HEARD:
        return _HEARD[target.suffix.lower()]
    if not _draws(made):
        return "text"
    if target.suffix.lower() == ".png":
        return "frame"
    return "clip" if _is_clip(made) and not denoising else "animation"


def _view(target: Path, made: Generated, denoising: bool, scale: int = 1) -> View:
    """How the file shows what was made."""
    kind = _kind(target, made, denoising)
    return _still(made, scale) if kind == "frame" else View(kind=kind, scale=scale)


def _still(made: Generated, scale: int) -> View:
    """The one step that stands for all of it."""
    last = made.frames[-1].step
    step = sample_step(made.start, last)
    return View(steps=() if step == last else (step,), scale=scale)


def _is_clip(made: Generated) -> bool:
    last = made.frames[-1]
    return isinstance(last, ImageFrame) and last.pictures > 1


def _recipe(made: Sequence[Generated], view: View) -> TraceRecipe:
    """What makes these samples again, in a file that shows them like this."""
    from genui.engine.replay import machine

    result = result_of(*(one.frames for one in made))
    first = made[0]
    return recipe_of(first.start, first.started, machine(), result, view=view, count=len(made))


def _write_frames(folder: Path, made: Sequence[Generated], scale: int) -> int:
    """A picture a step; what an earlier command left there goes."""
    samples = [one.sample for one in made]
    recipe = _recipe(made, View(scale=scale))
    written = set()
    for frame in made[0].frames:
        view = View(steps=(frame.step,), scale=scale)
        target = export.frame_file(folder, frame.step)
        export.write(target, samples, recipe.showing(view))
        written.add(target.name)
    export.remove_frames(folder, written)
    return len(written)


def _tree(name: str, made: Generated) -> SavedTree:
    """The trace as the app opens it: a branch an edit, each grown from the one before."""
    from genui.engine.replay import machine

    start, started = made.start, made.started
    root = msgspec.structs.replace(start, edits=())
    branches = [Branch(id=0, total=started.total_steps)]
    settings, last = start.settings, made.frames[-1].step
    for number, at in enumerate(start.edits, 1):
        label = f"{forks.spell(at.edit, settings)} at {at.step}"
        if isinstance(at.edit, SetSettings):
            settings = at.edit.settings
        total = last if number == len(start.edits) else 0
        branches.append(
            Branch(
                id=number,
                parent=number - 1,
                step=at.step,
                edit=at.edit,
                total=total,
                label=label[:1000],
            )
        )
    recipe = recipe_of(root, started, machine(), view=View(kind="tree"))
    return SavedTree(
        name=name,
        recipe=recipe,
        branches=tuple(branches),
        current=len(branches) - 1,
        playhead=last,
        result=result_of(made.frames),
    )
