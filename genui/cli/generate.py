"""Running the traces of a command in this process, with what a person sees of it meanwhile."""

import argparse
import base64
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.schema import settings_of
from genui.cli import options, output
from genui.cli.options import (
    MOST_SAMPLES,
    Asked,
    add_settings,
    asked,
    first_edit_fits,
    generated_with,
    is_given,
)
from genui.cli.output import Progress, columns
from genui.cli.parser import add_json
from genui.formats import midi, score
from genui.formats.codec import SUFFIXES, Sample, encode, film_steps
from genui.formats.favourites import Branch, SavedTree, save_tree
from genui.formats.midi import ScoreFile, written
from genui.formats.recipe import (
    METADATA,
    PLAN,
    Plan,
    TraceRecipe,
    View,
    read_plan,
    recipe_of,
    result_of,
    used_critic,
)
from genui.protocol import (
    FROM_DATA,
    Attention,
    Frame,
    ImageFrame,
    ImageSettings,
    SetSettings,
    Settings,
    Start,
    Started,
    TextFrame,
    notes,
)
from genui.protocol.edits import sample_step
from genui.protocol.registry import Kind, resolve
from genui.protocol.settings import NAMES
from genui.render.axis import duration
from genui.render.piano_roll import Column, text_roll

if TYPE_CHECKING:
    from genui.engine.sample.diffusion import Prompts


@dataclass(frozen=True)
class Generated:
    """A trace to its end: how it began and its frames."""

    start: Start
    started: Started
    frames: list[Frame]

    @property
    def sample(self) -> Sample:
        """As files are written from it."""
        from genui.base.text import clean

        prompt, suffix = clean(self.started.prompt), clean(self.started.suffix)
        return Sample(self.start.seed, prompt, self.frames, suffix)

    @property
    def text(self) -> str:
        """Prompt and what was written, of a text."""
        from genui.formats.codec import body

        return body([self.sample])


def generate(start: Start, of: int = 1, live: bool = False, until: int | None = None) -> Generated:
    """One trace, to its end or to step `until`, with progress on stderr; where `live` its text
    goes to stdout instead, token by token.

    Raises MisuseError where an edit is at a step that the trace does not have.
    """
    from genui.engine.load import stream

    which = f"sample {start.trace + 1}/{of}  " if of > 1 else ""
    messages = _said(start, stream(start))
    progress, started, frames = Progress(), None, []
    try:
        for message in _written(messages) if live else messages:
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
    return Generated(start, started, frames)


def _said(start: Start, messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The trace, with what the model has to say about the prompt as a remark, once."""
    for message in messages:
        if isinstance(message, Started) and message.note and start.trace == 0:
            output.note(message.note)
        yield message


def _written(messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The trace, its text on stdout as it comes, between what stands before and after it; the
    last line is ended."""
    from genui.base.text import clean

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


def draw_rolls(made: Sequence[Generated]) -> None:
    """Each piece under what it began as."""
    for one in made:
        grid, opening = written(one.started.init, one.started.prompt, one.frames)
        output.say(f"{notes.spell_opening(opening)}, seed {one.start.seed}")
        _draw(grid.columns, opening.bar, opening.begins)


def draw_score(file: ScoreFile, recipe: TraceRecipe) -> None:
    """The notes of a saved file, which begin with the first bar's silence."""
    init = recipe.init if isinstance(recipe.init, str) else None
    bar = score.grid_of(init, recipe.prompt)[1].bar
    end = max((note.last for note in file.notes), default=0)
    _draw(score.columns_of(file.notes, end), bar, 0)


def _draw(sounds: Sequence[Column], bar: int, begins: int) -> None:
    for line in text_roll(sounds, columns(), bar, begins).split("\n"):
        output.say(line)


# --- Writing what was generated to files that say how it was made -----------------------------

_FRAME = re.compile(r"frame-\d{4,}\.png")


def check_target(target: Path, kind: Kind, name: str = "--out") -> None:
    """Refuse a file that could not be written, before anything is generated.

    Raises MisuseError for an extension of another medium, a folder that is not there or a
    path that is a folder, and GenuiError where the folder takes no file or a program to write
    it with is not installed.
    """
    check_file(target, name, kind.files, kind.makes)
    if target.suffix.lower() == ".mp4":
        from genui.formats import video

        video.ffmpeg()


def check_file(target: Path, name: str, wanted: Sequence[str], what: str) -> None:
    """`check_target` for files that end in one of `wanted`."""
    if target.suffix.lower() not in wanted:
        *most, last = wanted
        ends = f"{', '.join(most)} or {last}" if most else last
        raise MisuseError(f"{name} {target}: {what} is written as {ends}; end the name in it")
    if target.is_dir():
        raise MisuseError(f"{name} {target}: is a folder; name a file in it")
    folder = target.parent
    if not folder.is_dir():
        raise MisuseError(f"{name} {target}: there is no folder {folder}; make it first")
    _check_writable(folder, f"{name} {target}")


def check_folder(folder: Path) -> None:
    """Make the folder that frames go to.

    Raises MisuseError where it is a file or holds anything but such frames, and GenuiError
    where it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(folder)
    except FileExistsError:
        raise MisuseError(f"--frames {folder}: is a file; name a folder") from None
    except OSError as error:
        raise GenuiError(
            f"--frames {folder}: cannot be made ({error.strerror}); name another folder"
        ) from None
    others = [name for name in names if not _FRAME.fullmatch(name)]
    if others:
        raise MisuseError(
            f"--frames {folder}: holds other files ({others[0]}); name an empty or a new folder"
        )
    _check_writable(folder, f"--frames {folder}")


def _check_writable(folder: Path, asked: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise GenuiError(
            f"{asked}: cannot write in {folder} ({error.strerror}); choose another folder"
        ) from None


def write_trace(
    target: Path, samples: Sequence[Sample], recipe: TraceRecipe, rate: float | None = None
) -> None:
    """The whole file or none of it, of the kind its name ends in.

    Raises GenuiError where the disk refuses.
    """
    atomic_write(target, encode(SUFFIXES[target.suffix.lower()], samples, recipe, rate))


def frame_file(folder: Path, step: int) -> Path:
    """The picture of a step."""
    return folder / f"frame-{step:04d}.png"


def remove_frames(folder: Path, kept: set[str]) -> None:
    """Remove the frames that an earlier command left and this one did not write."""
    for name in os.listdir(folder):
        if _FRAME.fullmatch(name) and name not in kept:
            (folder / name).unlink(missing_ok=True)


# --- The files that `genui generate` leaves: which were asked for, and writing them -----------

MOST_SCALE = 32
_HEARD = {".wav": "sound", ".mid": "score"}
LEAST_RATE, MOST_RATE = 0.1, 50.0  # steps a second: a GIF counts in hundredths of one


def wanted_outputs(args: argparse.Namespace) -> bool:
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
    if args.denoising and args.out is None:
        raise MisuseError("--denoising: says what --out shows of a clip; give it with --out")
    if args.gm:
        _check_orchestra(args, what)
    if args.out == output.DASH:
        output.check(args, what.kind)
    elif args.out is not None:
        check_target(args.out, what.kind)
        if several and what.kind.streams and args.out.suffix.lower() == ".cast":
            raise MisuseError(f"--out {args.out}: a recording is of one text; leave out -n")
    if args.trace is not None:
        check_file(args.trace, "--trace", (".trace",), "a trace")
        if several:
            raise MisuseError(f"--trace {args.trace}: a trace is one sample; leave out -n")
    if args.film is not None:
        check_file(args.film, "--film", (".png",), "a filmstrip")
    if args.frames is not None:
        check_folder(args.frames)


def _check_orchestra(args: argparse.Namespace, what: Asked) -> None:
    from genui.formats import midi

    heard = args.out is not None and output.target(args.out, what.kind).suffix.lower() == ".wav"
    if not heard:
        raise MisuseError("--gm: says how --out FILE.wav of a music model is played; give one")
    midi.fluidsynth()


def write_output(args: argparse.Namespace, made: Sequence[Generated], kind: Kind) -> None:
    """Every file that was asked for, and a remark for each."""
    samples = [one.sample for one in made]
    scale = args.scale or 1
    if args.out is not None:
        target = output.target(args.out, kind)
        view = _view(target, made[0], args.denoising, scale)
        if args.gm:
            view = msgspec.structs.replace(view, kind="orchestra")
        recipe = _recipe(made, view)
        if args.out == output.DASH:
            output.write(encode(SUFFIXES[target.suffix], samples, recipe, args.rate))
        else:
            write_trace(target, samples, recipe, args.rate)
            output.note(f"wrote {target}")
    if args.film is not None:
        view = View(kind="film", steps=film_steps(samples), scale=scale)
        write_trace(args.film, samples, _recipe(made, view))
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


def score_as_json(made: Generated, scale: int) -> dict[str, Any]:
    """One piece as a script reads it: its recipe and its notes."""
    piece = midi.piece_of(made.started.init, made.started.prompt, made.frames)
    recipe = msgspec.to_builtins(_recipe([made], View(kind="score")))
    return {**recipe, "notes": [note._asdict() for note in piece.notes]}


def text_as_json(made: Generated, scale: int) -> dict[str, Any]:
    """One text as a script reads it: its recipe and the text."""
    return {**msgspec.to_builtins(_recipe([made], View(kind="text"))), "text": made.text}


def picture_as_json(made: Generated, scale: int) -> dict[str, Any]:
    """One sample as a script reads it: its recipe, and a PNG in base64."""
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
        target = frame_file(folder, frame.step)
        write_trace(target, samples, recipe.showing(view))
        written.add(target.name)
    remove_frames(folder, written)
    return len(written)


def _tree(name: str, made: Generated) -> SavedTree:
    """The trace as the app opens it: a branch an edit, each grown from the one before."""
    from genui.engine.replay import machine

    start, started = made.start, made.started
    root = msgspec.structs.replace(start, edits=())
    branches = [Branch(id=0, total=started.total_steps)]
    settings, last = start.settings, made.frames[-1].step
    for number, at in enumerate(start.edits, 1):
        label = f"{options.spell(at.edit, settings)} at {at.step}"
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


# --- What every step of a trace was, and what a token attended to, for scripts and for reading

STRONGEST = 12  # tokens that a person is shown


def show_attention(start: Start, text: str, as_json: bool) -> None:
    """What the token of a step looked at: the strongest on average, or as JSON every head.

    Raises MisuseError for a step that the trace does not have, and for a model of pictures.
    """
    step = _step(text)
    from genui.engine.load import open_trace
    from genui.engine.worker import attention

    trace = open_trace(start)
    frames = list(trace.advance(0, step))
    told = attention(trace, step)
    weights = _weights(told)
    if as_json:
        output.emit({"step": step, "first": told.first, "tokens": told.texts, "weights": weights})
        return
    chosen = frames[-1]
    assert isinstance(chosen, TextFrame)
    output.note(f"what {chosen.text!r}, token {step}, looked at; average of all heads")
    heads = [head for layer in weights for head in layer]
    average = [sum(each) / len(heads) for each in zip(*heads, strict=True)]
    order = sorted(range(len(average)), key=lambda at: -average[at])[:STRONGEST]
    rows = [
        (repr(told.texts[at]), str(at - len(average)), f"{100 * average[at]:.1f} %") for at in order
    ]
    output.table(("token", "back", "share"), rows, right=(1, 2))


def _step(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 100_000:
        raise MisuseError(f"--attention {text}: give the step of a token, 1 or more")
    return int(text)


def _weights(told: Attention) -> list[list[list[float]]]:
    """[layers][heads][tokens]."""
    import numpy as np

    shape = (told.layers, told.heads, len(told.texts))
    return np.frombuffer(told.weights, np.float16).reshape(shape).astype(float).tolist()


# --- `--mask FILE`: where a picture may change ------------------------------------------------


def read(path: Path) -> bytes:
    """One byte a pixel, 1 where the file is white; a picture of another size is made to fit.

    Raises MisuseError where the file is no picture, or nothing or all of it is white.
    """
    from genui.engine.data.image_files import UnusableError, read_square
    from genui.engine.sample.media import MOST_PIXELS

    try:
        rgba = read_square(path, MOST_PIXELS).rgba
    except UnusableError as reason:
        raise MisuseError(f"--mask {path}: {reason}") from None
    # What is transparent is black: it was not painted.
    light = rgba[..., :3].astype(np.float32).mean(axis=-1) * (rgba[..., 3] / 255)
    white = light >= 128
    if not white.any():
        raise MisuseError(f"--mask {path}: nothing in it is white; paint white what may change")
    if white.all():
        raise MisuseError(f"--mask {path}: all of it is white; leave black what is to stay")
    return white.astype(np.uint8).tobytes()


# --- A folder of samples with their labels, written so that it can be gone on with ------------
# Pictures, clips and sounds are files named in `metadata.jsonl`, as Hugging Face's imagefolder has
# them ({"file_name": …, "text": …, "seed": …}); texts are lines of `data.jsonl`. A line is written
# when its sample is whole: whatever ends the writing leaves what was finished.

TEXTS = "data.jsonl"


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sample; of a text `text` is what was written after `prompt`, prompt and all."""

    file_name: str = ""
    text: str
    prompt: str = ""
    seed: int = 0


def plan_in(folder: Path) -> Plan | None:
    """The plan that a folder was begun with. Raises MisuseError where it holds other things."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise MisuseError(f"--out {folder}: is a file; name a folder")
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GenuiError(f"--out {folder}: cannot be read ({error.strerror})") from None
    if not names:
        return None
    try:
        return read_plan(folder)
    except FileNotFoundError:
        raise MisuseError(
            f"--out {folder}: holds other files ({sorted(names)[0]}); name an empty or a new folder"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise GenuiError(f"{folder / PLAN}: is damaged ({error}); name a new folder") from None


def prepare(folder: Path, plan: Plan, index: str) -> int:
    """Make the folder, drop a line that was torn, and say how many samples are whole."""
    path = folder / index
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN).write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        whole = path.read_bytes() if path.exists() else b""
        kept = whole[: whole.rfind(b"\n") + 1]
        done = kept.count(b"\n") // plan.batch * plan.batch  # a batch is drawn whole
        kept = b"".join(line + b"\n" for line in kept.split(b"\n")[:done])
        if kept != whole:
            os.truncate(path, len(kept))  # what is kept is never at risk
    except OSError as error:
        raise _full(folder, error, 0) from None
    return done


def write_folder(
    folder: Path, made: Iterable[Sequence[tuple[Line, bytes]]], done: int, count: int, index: str
) -> None:
    """Samples as they come, a line each once its file is whole."""
    progress, began, first = Progress(), time.monotonic(), done
    try:
        with (folder / index).open("ab") as lines:
            for batch in made:
                for line, content in batch:
                    if line.file_name:
                        target = folder / line.file_name
                        target.parent.mkdir(exist_ok=True)
                        target.write_bytes(content)
                lines.write(b"".join(msgspec.json.encode(line) + b"\n" for line, _ in batch))
                lines.flush()
                done += len(batch)
                rate = (done - first) / max(time.monotonic() - began, 1e-6)
                left = duration((count - done) / rate)
                progress.show(f"{done:,}/{count:,} · {rate:.3g} a second · {left} left")
    except OSError as error:
        raise _full(folder, error, done) from None
    except KeyboardInterrupt:
        progress.clear()
        output.note(f"{done:,} of {count:,} are whole in {folder}; the same command goes on")
        raise
    finally:
        progress.clear()


def _full(folder: Path, error: OSError, done: int) -> GenuiError:
    reason = (error.strerror or str(error)).lower()
    whole = f"; {done:,} are whole, and the same command goes on" if done else ""
    return GenuiError(f"cannot write in {folder}: {reason}{whole}")


def difference(before: Plan, now: Plan) -> str:
    """How a folder was begun, where that is otherwise than asked now."""
    names = ("model", "prompt", "seed", "settings", "fingerprint", "batch")
    name = next(name for name in names if getattr(before, name) != getattr(now, name))
    if name == "fingerprint":
        return f"with other weights of {before.model}"
    if name == "settings":
        return "with other settings"
    return f"with {name} {str(getattr(before, name))[:60]}"


def file_name(number: int, suffix: str) -> str:
    """A thousand files a folder."""
    return f"{number // 1000:03d}/{number:06d}{suffix}"


# --- `genui generate MODEL -n 1000 --out FOLDER`: synthetic data that training reads back -----

MOST_GENERATED = 1_000_000
BATCH = 32


def wanted_folder(args: argparse.Namespace) -> bool:
    """Whether `-n` and `--out` mean a folder: one that is there, or a name without a suffix."""
    out = args.out
    if out is None or args.count is None or str(out) == "-":
        return False
    return os.path.isdir(out) or not out.suffix


def run(args: argparse.Namespace) -> int:
    """Write the folder. Raises MisuseError or GenuiError before anything is generated, where
    the folder cannot be it."""
    count = args.count
    if not 1 <= count <= MOST_GENERATED:
        raise MisuseError(f"-n {count}: between 1 and {MOST_GENERATED:,}")
    _refuse_others(args)
    one = argparse.Namespace(**vars(args) | {"count": 1, "out": None})
    what = asked(one)
    from genui.engine.load import fingerprint
    from genui.engine.sample.diffusion import Prompts, draws

    folder: Path = args.out
    start = what.starts[0]
    before = plan_in(folder)
    if before is not None and args.seed is None:
        start = msgspec.structs.replace(start, seed=before.seed)
    batched = draws(start.model)
    plan = Plan(
        model=start.model,
        fingerprint=fingerprint(what.model.path),
        prompt=args.prompt,
        seed=start.seed,
        settings=_settings(args, start, what.kind),
        batch=BATCH if batched else 1,
    )
    if before is not None and used_critic(folder):
        raise MisuseError(
            f"--out {folder}: was begun with a critic, which genui no longer has; "
            "name an empty or a new folder"
        )
    if before is not None and before != plan:
        raise MisuseError(
            f"--out {folder}: was begun {difference(before, plan)}; "
            "ask for the same, or name an empty or a new folder"
        )
    index = TEXTS if what.kind.streams else METADATA
    done = prepare(folder, plan, index)
    if done >= count:
        output.note(f"{folder} has {done:,} samples already")
        return 0
    prompts = Prompts(start.model, start.seed, args.prompt)
    note = f"{prompts.source}, seeds {start.seed} to {start.seed + count - 1}"
    output.note(note + (f"; {done:,} are there already" if done else ""))
    start = msgspec.structs.replace(start, settings=plan.settings)
    made = _batches(start, prompts, plan.batch, range(done, count), what.kind)
    write_folder(folder, made, done, count, index)
    output.note(f"wrote {count:,} samples to {folder}: genui train … --data {folder} reads them")
    return 0


# --- what is asked ---------------------------------------------------------------------


def _settings(args: argparse.Namespace, start: Start, kind: Kind) -> Settings:
    """As asked; of pictures those that stand for their data, where nothing else is said."""
    settings, usual = start.settings, kind.for_data
    if isinstance(settings, ImageSettings) and isinstance(usual, ImageSettings):
        for name, one in settings_of(ImageSettings).items():
            if one.about.for_data is not None and getattr(args, name) is None:
                settings = msgspec.structs.replace(settings, **{name: one.about.for_data})
        if args.sigma_min is None and settings.steps < usual.steps // 2:
            settings = msgspec.structs.replace(settings, sigma_min=None)  # few end higher
    return settings


def _refuse_others(args: argparse.Namespace) -> None:
    """Raises MisuseError for options that are of one sample's file."""
    options = ("trace", "rate", "film", "frames", "scale", "grid", "init", "fork", "attention")
    for name in options:
        if is_given(args, name):
            raise MisuseError(f"--{name}: is of one sample; leave it out where --out is a folder")
    if args.json or args.every_step:
        raise MisuseError("--json: prints samples; leave it out where --out is a folder")


# --- the samples ---------------------------------------------------------------------


def _batches(
    start: Start, prompts: "Prompts", size: int, numbers: range, kind: Kind
) -> Iterator[list[tuple[Line, bytes]]]:
    """The samples of these numbers, `size` at a time."""
    from genui.engine.sample.diffusion import draw

    for first in range(numbers.start, numbers.stop, size):
        batch = range(first, min(first + size, numbers.stop))
        if size == 1:
            yield [_traced(start, prompts.at(first), first, kind)]
            continue
        captions = [prompts.at(number) for number in batch]
        seeds = [start.seed + number for number in batch]
        contents = draw(start.model, captions, seeds, start.settings)
        yield [
            (Line(file_name=file_name(number, ".png"), text=caption, seed=seed), content)
            for number, caption, seed, content in zip(batch, captions, seeds, contents, strict=True)
        ]


def _traced(start: Start, prompt: str, number: int, kind: Kind) -> tuple[Line, bytes]:
    """One sample by its own trace, as the file its kind is usually written to."""
    from genui.engine.load import stream

    seed = start.seed + number
    request = msgspec.structs.replace(start, prompt=prompt, seed=seed)
    begun, *rest = stream(request)
    frames = [frame for frame in rest if not isinstance(frame, Started)]
    if not isinstance(begun, Started) or not frames:
        raise GenuiError(f"{start.model}: nothing came; `genui doctor` says what is installed")
    made = Generated(request, begun, frames)
    if kind.streams:
        return Line(text=made.text, prompt=begun.prompt, seed=seed), b""
    name = file_name(number, kind.files[0])
    return Line(file_name=name, text=prompt, seed=seed), as_file(made, Path(name))


# --- `genui generate`: text as it is written, a picture as it stands in the terminal or a file


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
        help=f"samples, from seeds N, N+1, … (at most {MOST_SAMPLES}; {MOST_GENERATED:,} "
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
    image = parser.add_argument_group("what pictures begin from")
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
        help=f"vary {', '.join(NAMES)} along x, and given again along y",
    )


def run_generate(args: argparse.Namespace) -> int:
    if wanted_folder(args):
        return run(args)
    what = asked(args)
    if args.attention is not None:
        show_attention(what.starts[0], args.attention, args.json)
        return 0
    check(args, what)
    if what.drawn is not None:
        output.note(f"--seed {what.drawn}")
    made = []
    quiet = args.json or args.every_step
    live = what.kind.streams and args.out is None and not quiet
    for start in what.starts:
        if live and len(what.starts) > 1:
            output.say(f"--- seed {start.seed}")
        made.append(generate(start, len(what.starts), live))
        if args.every_step:
            for frame in made[-1].frames:
                output.emit(frame.facts(), indent=False)
        elif args.json:
            output.emit(resolve(what.kind.as_json)(made[-1], args.scale or 1), indent=False)
    if what.fingerprint not in ("", made[0].started.fingerprint):
        output.note(f"{args.model} was made with other weights ({what.fingerprint})")
    write_output(args, made, what.kind)
    if what.kind.draw and not (quiet or wanted_outputs(args)):
        resolve(what.kind.draw)(made)
    return 0


def draw_pictures(made: Sequence[Generated]) -> None:
    """The pictures in the terminal, as many in a row as fit."""
    from genui.cli.output import columns, draw
    from genui.formats.codec import last_picture
    from genui.formats.image import sheet

    steps = [sample_step(one.start, one.frames[-1].step) for one in made]
    pictures = [last_picture(one.sample, step) for one, step in zip(made, steps, strict=True)]
    draw(sheet(pictures, max(1, columns() // pictures[0].shape[1])))
