"""Generating in the shell: run a trace with progress, print it, draw it, write its files."""

import argparse
import base64
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.late import late_imports
from genui.base.text import clean, clean_line
from genui.cli import files, output
from genui.cli.edits import check_first_edit
from genui.cli.kinds import prints_of
from genui.cli.output import ProgressLine
from genui.cli.request import Request, refuse_options
from genui.engine.loading import LoadProgress
from genui.formats.codec import CODECS, Sample, check_signing, codec_of, encode
from genui.formats.command import format_edit
from genui.formats.image import card_of, encode_sheet, film_steps, last_image, sheet
from genui.formats.kinds import RecordedText, record_of
from genui.formats.recipe import MOVING, ExportView, TraceRecipe, recipe_of, result_of
from genui.formats.text import body
from genui.formats.trees import SavedTree, chain_branches, save_tree
from genui.protocol import (
    Attention,
    Frame,
    ImageSettings,
    SendMessage,
    Start,
    Started,
    remaining_suffix,
)
from genui.protocol.edits import add_edit, draft_step, sample_step, steps_to_take
from genui.protocol.kinds import Kind
from genui.protocol.messages import LogitBase

with late_imports():
    from genui.engine import load, replay
    from genui.engine.metrics import copying
    from genui.engine.sample import lens

if TYPE_CHECKING:
    from genui.engine.sample.trace import Trace


LOADING_INTERVAL = 0.1  # seconds between two paints of the progress of loading


@dataclass(frozen=True)
class Generation:
    """A trace: its start and its frames, and the error that ended it before its time."""

    start: Start
    started: Started
    frames: list[Frame]
    fault: GenuiError | None = None

    @property
    def sample(self) -> Sample:
        """The sample that files are written from."""
        prompt = clean(self.started.prompt)
        suffix = clean(remaining_suffix(self.started.suffix, self.frames))
        return Sample(self.start.seed, prompt, self.frames, suffix, self.started.kind)

    @property
    def recorded(self) -> RecordedText:
        """The source of the record of a model's answers."""
        return self.start, self.frames

    @property
    def text(self) -> str:
        """The prompt and the generated text."""
        return body([self.sample])


def generate(start: Start, says: Sequence[str] = ()) -> Generation:
    """Runs one trace as `generate_all` does."""
    return next(generate_all([start], says=says))


def generate_all(
    starts: Sequence[Start],
    live: bool = False,
    until: int | None = None,
    says: Sequence[str] = (),
    keep: bool = False,
    line: ProgressLine | None = None,
) -> Iterator[Generation]:
    """Runs traces to their ends or to step `until`, with the progress of all on `line`. If `live`,
    the texts are printed on stdout instead, token by token. `says` are later messages of a chat,
    each sent after an answer; they become edits of the start. With `keep`, an incomplete answer of
    a model elsewhere is the last generation, with the fault.

    Raises MisuseError for an edit at a step that the trace does not have.
    """
    line = line or ProgressLine()
    loading, begun = LoadingLine(line), time.monotonic()
    streams = load.Streams(starts, says, until, loading.progress)
    for number, (start, messages) in enumerate(zip(starts, streams, strict=True), start=1):
        which = f"sample {number}/{len(starts)}  " if len(starts) > 1 else ""
        if live and len(starts) > 1:
            output.print_line(f"--- seed {start.seed}")
        messages = _note_once(start, _show_loading(start, messages, loading))
        started, frames, left = None, [], list(says)
        fault: GenuiError | None = None
        try:
            for message in _print_text(messages) if live else messages:
                if isinstance(message, Started) and started is not None:
                    start = add_edit(start, message.step, SendMessage(left.pop(0)))
                elif isinstance(message, Started):
                    started = message
                    check_first_edit(start, started.total_steps)
                elif isinstance(message, Frame):
                    frames.append(message)
                    if started is not None and not live:
                        share = streams.progress / len(starts)
                        rest = numbers.progress(share, time.monotonic() - begun)
                        line.show(f"{which}step {message.step}/{started.total_steps}  {rest}")
        except GenuiError as error:
            came = frames and frames[-1].received
            if not (keep and came) or isinstance(error, MisuseError):
                raise
            fault = error
        finally:
            line.clear()
        if started is None or not frames:
            raise GenuiError(
                f"{start.model}: no output; run `genui doctor` to check the installation"
            )
        yield Generation(start, started, frames, fault)
        if fault is not None:
            return


def _show_loading(
    start: Start, messages: Iterator[Started | Frame], loading: "LoadingLine"
) -> Iterator[Started | Frame]:
    """The messages; while the model for the first one loads, its progress is shown."""
    with loading.shown(start.model):
        first = next(messages)
    yield first
    yield from messages


class LoadingLine:
    """A line on stderr: how much of a model is loaded, or of a long prompt is read, while it is
    `shown`. Give `progress` to the function that loads the model."""

    def __init__(self, line: ProgressLine | None = None) -> None:
        self.progress = LoadProgress(self._report_model, self._report_prompt)
        self._line = line or ProgressLine()
        self._model: str | None = None  # the model that is waited for
        self._painted = 0.0
        self._begun: dict[str, float] = {}

    @contextmanager
    def shown(self, model: str) -> Iterator[None]:
        """Show the line during the block that waits for the model."""
        self._model, self._painted, self._begun = model, 0.0, {}
        try:
            yield
        finally:
            self._model = None
            self._line.clear()

    def _report_model(self, share: float, size: int) -> None:
        memory = f", {numbers.size(size)} of memory" if size else ""
        self._report(f"loading {clean_line(self._model or '', 30)}", share, memory)

    def _report_prompt(self, share: float, tokens: int) -> None:
        self._report(f"reading {numbers.count(tokens)} tokens", share)

    def _report(self, what: str, share: float, more: str = "") -> None:
        now = time.monotonic()
        first = self._begun.setdefault(what, now)
        if self._model is not None and now - self._painted >= LOADING_INTERVAL:
            self._painted = now
            self._line.show(f"{what} {numbers.progress(share, now - first)}{more}")


def _note_once(start: Start, messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """The messages; the model's note on the prompt is printed once."""
    for message in messages:
        if isinstance(message, Started) and message.note and start.trace == 0:
            output.note(message.note)
        yield message


def _print_text(messages: Iterable[Started | Frame]) -> Iterator[Started | Frame]:
    """Prints the prompt, each token as it comes, the suffix and a newline if one is missing."""
    last = suffix = ""
    frames: list[Frame] = []
    try:
        for message in messages:
            text = message.prompt if isinstance(message, Started) else message.transcript
            if isinstance(message, Started) and message.step:
                text = ""  # a later message of a chat, which its first frame has
            text = clean(text)
            last = text or last
            sys.stdout.write(text)
            sys.stdout.flush()
            if isinstance(message, Started):
                suffix = message.suffix
            else:
                frames.append(message)
            yield message
        suffix = clean(remaining_suffix(suffix, frames))
        sys.stdout.write(suffix)
        last = suffix or last
    finally:
        if last and not last.endswith("\n"):
            print(flush=True)


# --- The files that `genui generate` writes ---------------------------------------------------

MAX_SCALE = 32
LEAST_RATE, MAX_RATE = 0.1, 50.0  # steps a second: a GIF counts in hundredths of one


def has_files(args: argparse.Namespace) -> bool:
    """Whether any output goes to a file."""
    return any(getattr(args, name) is not None for name in ("out", "film", "frames"))


def check(args: argparse.Namespace, request: Request) -> None:
    """Checks the options for files before anything is generated.

    Raises MisuseError if they do not fit, and GenuiError if a file could not be written.
    """
    several = len(request.starts) > 1
    if args.scale is not None and not 1 <= args.scale <= MAX_SCALE:
        raise MisuseError(f"--scale {args.scale}: expected a whole number, 1 to {MAX_SCALE}")
    if args.rate is not None and not LEAST_RATE <= args.rate <= MAX_RATE:
        raise MisuseError(f"--rate {args.rate}: expected a number, {LEAST_RATE} to {MAX_RATE:.0f}")
    if (check_own := prints_of(request.kind).check) is not None:
        check_own(args, request)
    if args.out == files.DASH:
        if args.seeds is not None:
            raise MisuseError("--out -: takes one file; name a FILE with --seeds")
        files.check_pipe(args, request.kind)
    elif args.out is not None:
        files.check_target(args.out, request.kind, request.model.medium)
        codec = codec_of(args.out)
        if several and request.kind.streams and codec is not None and codec.one_text:
            raise MisuseError(f"--out {args.out}: a recording holds one text; leave out -n")
    if args.rate is not None and not files.is_animation(args.out, request.kind):
        ends = " ".join(ending for ending, codec in CODECS.items() if codec.shows in MOVING)
        raise MisuseError(f"--rate: is for animations: --out FILE, which ends in {ends}")
    has_image = files.shown_in(args.out, request.kind) not in (None, "sound")
    if args.scale is not None and not (has_image or args.film or args.frames or args.json):
        ends = " ".join(end for end in request.kind.files if CODECS[end].shows != "sound")
        raise MisuseError(f"--scale: is for files of images: --out FILE, which ends in {ends}")
    if args.sign:
        check_signing(files.name_piped(args.out or Path(), request.kind).suffix.lower())
    if args.trace is not None:
        files.check_file(args.trace, "--trace", (".trace",), "a trace")
        if several:
            raise MisuseError(f"--trace {args.trace}: a trace is one sample; leave out -n")
    if args.film is not None:
        files.check_file(args.film, "--film", (".png",), "a filmstrip")
        if args.out is not None and args.film.resolve() == Path(args.out).resolve():
            raise MisuseError(f"--film {args.film}: is the file of --out too; name another one")
    if args.frames is not None:
        files.check_folder(args.frames)


_OF_FINISHED = "count seeds forward trace film frames scale rate sign json every_step"


def find_stop(args: argparse.Namespace, request: Request) -> int | None:
    """The step at which `--drafts` stop; None for samples that are finished.

    Raises MisuseError for options that do not fit.
    """
    if args.drafts is None:
        refuse_options(args, "stop_at", "needs --drafts COUNT")
        return None
    refuse_options(args, _OF_FINISHED, "is for finished samples; leave it out with --drafts")
    settings = request.starts[0].settings
    if not isinstance(settings, ImageSettings):
        raise MisuseError(f"--drafts: {request.model.ref} {request.kind.ability}; leave it out")
    steps = steps_to_take(request.starts[0], settings.steps)
    last = steps - 1
    if last < 1:
        raise MisuseError("--drafts: one step is too few; give more --steps")
    stop_at = draft_step(steps) if args.stop_at is None else args.stop_at
    if not 1 <= stop_at <= last:
        raise MisuseError(f"--stop-at {stop_at}: expected a step before the last, 1 to {last}")
    if args.out is None:
        raise MisuseError("--drafts: are on one sheet; name it by --out FILE.png")
    files.check_file(args.out, "--out", (".png",), "a sheet")
    return stop_at


def _write_drafts(target: Path, drafts: Sequence[Generation]) -> None:
    """Write what each draft predicts, with its seed, as a contact sheet."""
    step, total = drafts[0].frames[-1].step, drafts[0].started.total_steps
    view = ExportView(part="denoised", steps=(step,))
    cards = [card_of(one.sample, f"seed {one.start.seed}") for one in drafts]
    atomic_write(target, encode_sheet(cards, [recipe_for([one], view) for one in drafts]))
    output.note(
        f"wrote {target}: {len(drafts)} drafts at step {step} of {total}; --seeds A,B in place of "
        "--drafts finishes those that you name"
    )


def write_output(args: argparse.Namespace, generations: Sequence[Generation], kind: Kind) -> None:
    """Writes every file that the options name, with a note for each; of `--seeds` each sample has
    its own, since a recipe has consecutive seeds."""
    if args.seeds is not None:
        named = {name: path for name in ("out", "film") if (path := getattr(args, name))}
        for one in generations:
            own = {n: path.with_stem(f"{path.stem}-{one.start.seed}") for n, path in named.items()}
            write_output(argparse.Namespace(**vars(args) | own | {"seeds": None}), [one], kind)
        return
    if args.drafts is not None:
        _write_drafts(args.out, generations)
        return
    samples = [one.sample for one in generations]
    scale = args.scale or 1
    if args.out is not None:
        target = files.name_piped(args.out, kind)
        view = _view(target, generations[0], scale)
        if (choose_view := prints_of(kind).choose_view) is not None:
            view = choose_view(args, view)
        recipe = recipe_for(generations, view)
        data = encode(target.suffix.lower(), samples, recipe, args.rate, args.sign)
        if args.out == files.DASH:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            atomic_write(target, data)
            output.note(f"wrote {target}")
    if args.film is not None:
        view = ExportView(kind="film", steps=film_steps(samples), scale=scale)
        atomic_write(args.film, encode(".png", samples, recipe_for(generations, view)))
        output.note(f"wrote {args.film}")
    if args.frames is not None:
        count = _write_frames(args.frames, generations, scale)
        output.note(f"wrote {count} frames to {args.frames}")
    if args.trace is not None:
        save_tree(saved_tree(args.trace.stem[:200], generations[0]), args.trace)
        output.note(f"wrote {args.trace}")


def file_bytes(generation: Generation, name: Path) -> bytes:
    """One sample as the bytes of a file of that name, with its recipe."""
    view = _view(name, generation)
    return encode(name.suffix, [generation.sample], recipe_for([generation], view))


def text_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One text for scripts: its recipe and the text."""
    return {
        **msgspec.to_builtins(recipe_for([generation], ExportView(kind="text"))),
        "text": generation.text,
    }


def image_as_json(generation: Generation, scale: int) -> dict[str, Any]:
    """One image for scripts: its recipe, and a PNG in base64."""
    recipe = recipe_for([generation], _still(generation, scale))
    data = base64.b64encode(encode(".png", [generation.sample], recipe)).decode()
    return {**msgspec.to_builtins(recipe), "png_base64": data}


def _view(target: Path, generation: Generation, scale: int = 1) -> ExportView:
    """The view of a generation in a file of that name."""
    codec, last = codec_of(target), generation.frames[-1]
    shows = codec.shows if codec is not None else "frame"
    if shows == "frame":
        return _still(generation, scale)
    if shows == "animation" and last.token_ids:
        shows = "text"
    elif shows == "animation" and last.images > 1:
        shows = "clip"
    return ExportView(kind=shows, scale=scale)


def _still(generation: Generation, scale: int) -> ExportView:
    """The view of one image: the last step, or the step that is the sample."""
    last = generation.frames[-1].step
    step = sample_step(generation.start, last)
    return ExportView(steps=() if step == last else (step,), scale=scale)


def recipe_for(generations: Sequence[Generation], view: ExportView) -> TraceRecipe:
    """The recipe of these samples, for a file with this view."""
    result = result_of(*(one.frames for one in generations))
    first = generations[0]
    return recipe_of(
        first.start,
        first.started,
        replay.machine(),
        result,
        view=view,
        count=len(generations),
        record=_record(generations),
    )


def _record(generations: Sequence[Generation]) -> bytes:
    """The answers of the model, if it computes elsewhere."""
    first = generations[0]
    texts = [one.recorded for one in generations]
    return record_of(first.started.kind, texts, first.start.record)


def _write_frames(folder: Path, generations: Sequence[Generation], scale: int) -> int:
    """Writes one image per step and removes frames of an earlier command; returns their number."""
    samples = [one.sample for one in generations]
    recipe = recipe_for(generations, ExportView(scale=scale))
    names = set()
    for frame in generations[0].frames:
        view = ExportView(steps=(frame.step,), scale=scale)
        target = files.frame_file(folder, frame.step)
        atomic_write(target, encode(".png", samples, recipe.showing(view)))
        names.add(target.name)
    files.remove_frames(folder, names)
    return len(names)


def saved_tree(name: str, generation: Generation) -> SavedTree:
    """The trace as the app opens it: one branch per edit, each forked from the one before."""
    start, started = generation.start, generation.started
    root = msgspec.structs.replace(start, edits=())
    last = generation.frames[-1].step
    labels, settings = [""], start.settings
    for at in start.edits:
        labels.append(f"{format_edit(at.edit, settings)} at {at.step}")
        settings = at.edit.change(settings)
    totals = [started.total_steps, *(0 for _ in start.edits)]
    if start.edits:
        totals[-1] = last
    return SavedTree(
        name=name,
        recipe=recipe_of(
            root,
            started,
            replay.machine(),
            view=ExportView(kind="tree"),
            record=_record([generation]),
        ),
        branches=chain_branches(start.edits, labels, totals),
        current=len(start.edits),
        playhead=last,
        result=result_of(generation.frames),
    )


# --- `--attention` and `--layers` --------------------------------------------------------------

STRONGEST = 12  # rows of a table


def show_attention(start: Start, text: str, as_json: bool) -> None:
    """Prints the attention of the token of a step: the mean over heads, or as JSON every head.

    Raises MisuseError for a step that the trace does not have, and for a model of images.
    """
    trace, step, chosen = _trace_to(start, text, "attention")
    attended = lens.attention(trace, step)
    weights = _weights(attended)
    if as_json:
        output.print_json(
            {"step": step, "first": attended.first, "tokens": attended.texts, "weights": weights}
        )
        return
    output.note(f"attention of {chosen!r}, token {step}; mean of all heads")
    heads = [head for layer in weights for head in layer]
    average = [sum(each) / len(heads) for each in zip(*heads, strict=True)]
    order = sorted(range(len(average)), key=lambda at: -average[at])[:STRONGEST]
    rows = [
        (repr(attended.texts[at]), str(at - len(average)), f"{100 * average[at]:.1f} %")
        for at in order
    ]
    output.print_table(("token", "back", "share"), rows, right=(1, 2))


def show_layers(start: Start, text: str, as_json: bool, over: LogitBase = "other") -> None:
    """Prints the prediction of each layer for the token of a step, and the parts that added most to
    its logit, compared with the likeliest other token or the mean of all.

    Raises what `show_attention` raises.
    """
    trace, step, _ = _trace_to(start, text, "layers")
    layers = lens.read_layers(trace, step, over)
    if layers.fault:
        raise MisuseError(f"--layers {text}: {layers.fault[0].lower()}{layers.fault[1:]}")
    if as_json:
        facts = msgspec.structs.asdict(layers) | {
            "layers": [msgspec.structs.asdict(one) for one in layers.layers]
        }
        for name in ("trace", "fault"):
            del facts[name]
        output.print_json(facts)
        return
    output.note(f"layers of {layers.token!r}, token {step}; decided at layer {layers.settled}")
    rows = [
        (
            str(at) if at else "input",
            *(f"{token!r} {100 * share:.0f} %" for token, share in one.top[:3]),
            f"{100 * one.chosen:.1f} %",
            numbers.count(one.rank),
            f"{one.entropy:.2f}",
        )
        for at, one in enumerate(layers.layers)
    ]
    heading = ("layer", "likeliest", "", "", repr(layers.token), "rank", "entropy")
    output.print_table(heading, rows, right=(4, 5, 6))
    output.print_line()
    parts = sorted(layers.contributions(), key=lambda part: -abs(part.value))[:STRONGEST]
    mixer = "head {}" if layers.mixer == "attention" else layers.mixer
    names = [
        f"layer {part.layer} " + ("feed-forward" if part.head is None else mixer.format(part.head))
        for part in parts
    ]
    rest = ("input and edits", "", f"{layers.rest:+.2f}")
    added = [
        (name, part.address, f"{part.value:+.2f}") for name, part in zip(names, parts, strict=True)
    ]
    other = repr(layers.other) if over == "other" else "mean of all"
    heading = ("added by", "", f"{layers.token!r} − {other}")
    output.print_table(heading, [*added, rest], right=(2,))


def _trace_to(start: Start, text: str, option: str) -> tuple["Trace", int, str]:
    """The trace up to the step that was typed for an option, the step, and its token's text."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 100_000:
        raise MisuseError(f"--{option} {text}: give the step of a token, 1 or more")
    trace, step = _open(start), int(text)
    frames = list(trace.advance(0, step))
    return trace, step, getattr(frames[-1], "text", "") if frames else ""


def _open(start: Start) -> "Trace":
    """The trace at its first step, with the progress of loading."""
    loading = LoadingLine()
    with loading.shown(start.model):
        return load.open_trace(start, loading.progress)


NEAREST = 6  # images


def show_nearest(start: Start, as_json: bool) -> None:
    """Prints the training data nearest to the last step of a sample.

    Raises MisuseError if there are none to compare with.
    """
    trace = _open(start)
    list(trace.advance(0, trace.started.total_steps))
    agreement = copying.prepare(trace, trace.reached)
    found = copying.nearest(trace, trace.reached, NEAREST)
    if found.fault:
        raise MisuseError(f"--nearest: {found.fault}")
    if as_json:
        facts: dict[str, Any] = {"data": found.data, "measured": found.measured}
        images = [{"caption": one.caption, "distance": one.distance} for one in found.images]
        quotes = [msgspec.structs.asdict(one) for one in found.quotes]
        if agreement is not None:
            facts["seeds"] = msgspec.structs.asdict(agreement) | {"word": agreement.word}
        output.print_json(facts | ({"images": images} if images else {"quotes": quotes}))
        return
    output.note(f"seed {start.seed}; {found.data}; {found.measured}")
    if agreement is not None:
        output.note(agreement.describe())
    rows = [(one.caption, f"{one.distance:.3g}") for one in found.images]
    rows += [(one.where, clean_line(repr(one.text), 60)) for one in found.quotes]
    output.print_table(("source", "passage" if found.quotes else "distance"), rows)


def _weights(attended: Attention) -> list[list[list[float]]]:
    """[layers][heads][tokens]."""
    shape = (attended.layers, attended.heads, len(attended.texts))
    return np.frombuffer(attended.weights, np.float16).reshape(shape).astype(float).tolist()


def draw_images(generations: Sequence[Generation]) -> None:
    """Draws the images in the terminal, as many in a row as fit if they are of one size."""
    steps = [sample_step(one.start, one.frames[-1].step) for one in generations]
    images = [last_image(one.sample, step) for one, step in zip(generations, steps, strict=True)]
    in_a_row = max(1, output.columns() // images[0].shape[1])
    of_one_size = len({image.shape for image in images}) == 1
    for image in [sheet(images, in_a_row)] if of_one_size else images:
        output.draw(image)
