"""How far a file is from the same generation made again."""

import argparse
import dataclasses
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from msgspec.structs import replace as replace_struct

from genui import __version__
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write
from genui.base.numbers import count, short
from genui.base.schema import settings_of
from genui.cli import generate as export
from genui.cli import output
from genui.cli.generate import Generated, add_start, generate
from genui.cli.options import Asked, asked, spell_all
from genui.cli.parser import add_json
from genui.formats import score
from genui.formats.audio import SoundFile
from genui.formats.codec import (
    MOST,
    RECIPE_LINE,
    SUFFIXES,
    CastFile,
    Sample,
    SavedFile,
    UnmarkedError,
    body,
    caption_of,
    encode,
    read,
    sheet,
)
from genui.formats.favourites import Listed, SavedTree, branch_start, list_favourites, list_trees
from genui.formats.midi import ScoreFile
from genui.formats.recipe import Machine, Result, TraceRecipe, result_of, to_start
from genui.protocol import (
    Frame,
    ImageFrame,
    Settings,
    TextFrame,
    TextSettings,
    notes,
)
from genui.recipes import FIXED
from genui.ui.traces.compare import Gap, gap, gap_words, parting, token_words

LOSSY = ("gif", "mp4")  # kinds of files that do not keep every colour as it was


@dataclass(frozen=True)
class Comparison:
    """Whether the two are the same, one line on how they are not, and that as numbers."""

    identical: bool
    line: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """For a script."""
        said = {"difference": self.line} if self.line else {}
        return {"identical": self.identical, **said, **self.numbers}


def compare(file: SavedFile, made: Sequence[Generated]) -> Comparison:
    """The file against the samples made again, written in the same way.

    Pictures are compared pixel for pixel, sounds sample for sample, texts character for
    character, recordings output for output; and all by the digest of every frame, which is what a
    GIF (it keeps 256 colours), an MP4 (it keeps what is seen) and a `.trace` (it keeps no frame)
    have of them.
    """
    result = result_of(*(one.frames for one in made))
    if isinstance(file.content, SavedTree):
        saved, seen = file.content.result or Result(), Comparison(True)
    else:
        saved, seen = file.recipe.result, _seen(file, file.content, made)
    if not seen.identical:
        if file.kind in LOSSY and result == saved:
            kept = f"the {file.kind.upper()}'s colours differ"
            line = f"{seen.line}; every frame agrees by digest, so only {kept}"
            return replace(seen, line=line)
        return seen
    if result == saved:
        how = {"compared": "by digest"} if file.kind in (*LOSSY, "trace") else {}
        return Comparison(True, numbers={**seen.numbers, **how})
    return _by_result(saved, result)


def _seen(
    file: SavedFile,
    content: list[Any] | str | CastFile | SoundFile | ScoreFile,
    made: Sequence[Generated],
) -> Comparison:
    """What the file shows against what it would show if it were written now."""
    samples = [one.sample for one in made]
    if file.kind == "csv":
        from genui.formats import points

        one, step = made[0], file.recipe.view.steps[-1]
        return _rows(content, points.rows(one.frames, one.started.prompt, step))
    if isinstance(content, str):
        return _texts(content, body(samples), made)
    if file.kind == "mp4" and not content:  # there is no ffmpeg to look into it
        return Comparison(True)
    again = encode(file.kind, samples, file.recipe)
    if isinstance(content, CastFile):
        from genui.formats.codec import cast_in

        return _outputs(content.outputs, cast_in(again, str(file.path))[1].outputs)
    if isinstance(content, SoundFile):
        return _sounds(content, again)
    if isinstance(content, ScoreFile):
        return _scores(content, again)
    if file.kind == "mp4":
        from genui.formats import video

        return _pictures(content, video.decode(again))
    from genui.formats import image

    return _pictures(content, image.read(again).frames)


def _scores(saved: ScoreFile, again: bytes) -> Comparison:
    from genui.formats import midi

    at = midi.difference(saved, midi.decode(again)[0])
    if at is None:
        return Comparison(True)
    return Comparison(False, f"other notes from sixteenth {at + 1} on", {"sixteenth": at + 1})


def _sounds(saved: SoundFile, again: bytes) -> Comparison:
    from genui.formats import audio

    apart = audio.difference(saved, audio.decode(again)[0])
    if apart is None:
        return Comparison(True)
    second, largest = apart
    line = f"differs from second {second:.3f} on, by {largest:,} of 32,768 at most"
    return Comparison(False, line, {"second": second, "largest": largest})


def _pictures(saved: Sequence[Any], again: Sequence[Any]) -> Comparison:
    from genui.formats.image import difference

    apart = difference(saved, again)
    if apart is None:
        sizes = [
            f"{len(frames)} of {frames[0].shape[1]}×{frames[0].shape[0]}"
            for frames in (saved, again)
        ]
        return Comparison(False, f"not the same pictures: {sizes[0]}, and again {sizes[1]}")
    share, largest, mean = apart
    if not largest:
        return Comparison(True)
    line = (
        f"{share:.2%} of the pixels differ, by {largest} of 255 at most and {mean:.3g} on average"
    )
    numbers = {"pixels": share, "largest": largest, "mean": mean}
    return Comparison(False, line, numbers)


def _texts(saved: str, again: str, made: Sequence[Generated]) -> Comparison:
    at = _first(saved, again)
    if at is None:
        return Comparison(True)
    numbers: dict[str, Any] = {"character": at + 1}
    where = f"character {count(at + 1)}"
    step = _step_of(at, made[0]) if len(made) == 1 else None
    if step is not None:
        numbers["step"] = step
        where += f" (step {count(step)})"
    line = f"differs from {where} on: {_quoted(saved, at)} in the file, {_quoted(again, at)} again"
    return Comparison(False, line, numbers)


def _step_of(at: int, made: Generated) -> int:
    """The step that wrote a character; 0 for the prompt."""
    end = len(made.sample.prompt)
    if at < end:
        return 0
    frames = [frame for frame in made.frames if isinstance(frame, TextFrame)]
    for frame in frames:
        end += len(frame.text)
        if at < end:
            return frame.step
    return frames[-1].step + 1


def _rows(content: object, again: str) -> Comparison:
    """Rows of a CSV, line for line."""
    at = _first(str(content).split("\n"), again.split("\n"))
    if at is None:
        return Comparison(True)
    return Comparison(False, f"differs from line {at + 1} on", {"line": at + 1})


def _outputs(saved: Sequence[str], again: Sequence[str]) -> Comparison:
    at = _first(saved, again)
    if at is None:
        return Comparison(True)
    line = f"differs from output {at + 1} on (of {len(saved)}, and again {len(again)})"
    return Comparison(False, line, {"output": at + 1})


def _by_result(saved: Result, again: Result) -> Comparison:
    """Where what the file shows says nothing of it: by what the recipe says it came to."""
    for number, (one, other) in enumerate(zip_longest(saved.tokens, again.tokens, fillvalue=()), 1):
        at = _first(one, other)
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


def _first(one: Sequence[Any], other: Sequence[Any]) -> int | None:
    """The first place where two sequences differ; None where they are the same."""
    if one == other:
        return None
    for at, (mine, its) in enumerate(zip(one, other, strict=False)):
        if mine != its:
            return at
    return min(len(one), len(other))


def _quoted(text: str, at: int) -> str:
    return repr(text[at : at + 12]) if at < len(text) else "the end"


# --- `genui replay`: a saved generation made again, and whether it comes to the same ----------

APART = 1  # the exit code where the two differ


def configure_replay(parser: argparse.ArgumentParser) -> None:
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


def run_replay(args: argparse.Namespace) -> int:
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
    starts = [replace_struct(start, trace=i, seed=start.seed + i) for i in range(recipe.count)]
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


# --- `genui compare`: two generations in step, and the step at which they part ----------------


def configure_compare(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Two models begin from the same prompt, seed and settings; a saved file is generated\n"
        "again from its recipe, with its edits.\n\n"
        "examples:\n"
        "  genui compare emoji icons --prompt 'cat on black' --seed 7\n"
        "  genui compare heart.png other.png\n"
        "  genui compare run@400 run@1200 --prompt $'ROMEO:\\n'\n"
        "  genui compare fashion fashion-gan --probes"
    )
    for name in ("one", "other"):
        parser.add_argument(
            name, metavar="MODEL", help="a model, RUN@STEP, or a file that carries a recipe"
        )
    parser.add_argument(
        "--probes", action="store_true", help="measure both on their data instead (genui probes)"
    )
    add_start(parser)
    add_json(parser, "as JSON")


def run_compare(args: argparse.Namespace) -> int:
    if args.probes:
        from genui.cli import measure

        return measure.table_of([args.one, args.other], as_json=args.json)
    one = _asked(args, args.one)
    if one.drawn is not None:
        args.seed = str(one.drawn)
        output.note(f"--seed {one.drawn}")
    other = _asked(args, args.other)
    kinds = [asked.kind.settings for asked in (one, other)]
    if (kinds[0] is TextSettings) != (kinds[1] is TextSettings):
        raise MisuseError(f"{args.one} and {args.other}: one draws and the other writes")
    made = [generate(asked.starts[0]) for asked in (one, other)]
    facts = _facts(made)
    if args.json:
        output.emit(facts)
        return 0
    _show(args, made, kinds[0] is not TextSettings)
    output.say(_words(facts, made))
    return 0


def _asked(args: argparse.Namespace, model: str) -> Asked:
    return asked(argparse.Namespace(**vars(args), model=model))


def _facts(made: list[Generated]) -> dict[str, Any]:
    """Where they part, how long each is, and how far apart two pictures are in the end."""
    facts: dict[str, Any] = {
        "part_at": parting([one.frames for one in made]),
        "steps": [one.frames[-1].step for one in made],
        "fingerprints": [one.started.fingerprint for one in made],
    }
    last = [one.frames[-1] for one in made]
    if isinstance(last[0], ImageFrame) and isinstance(last[1], ImageFrame):
        found = gap(last[0], last[1], "x")
        if found is not None:
            facts |= {"differing_pixels": found.share, "mean_difference": found.mean}
    else:
        facts["texts"] = [one.text for one in made]
    return facts


def _show(args: argparse.Namespace, made: list[Generated], pictures: bool) -> None:
    if pictures:
        from genui.cli.output import draw
        from genui.formats.codec import last_picture
        from genui.formats.image import sheet

        drawn = [last_picture(one.sample) for one in made]
        if drawn[0].shape == drawn[1].shape:
            draw(sheet(drawn, 2))
        else:
            for picture in drawn:
                draw(picture)
        return
    for name, one in zip((args.one, args.other), made, strict=True):
        output.say(f"--- {name}, seed {one.start.seed}")
        print(one.text)
    output.say("---")


def _words(facts: dict[str, Any], made: list[Generated]) -> str:
    """`they part at step 12: ‘e’ and ‘a’`."""
    at = facts["part_at"]
    if at is None:
        both = facts["steps"]
        if both[0] == both[1]:
            return f"identical, {both[0]} steps"
        return f"identical up to step {min(both)}, where one of them ends"
    words = f"they part at step {at}"
    if "mean_difference" not in facts:
        first = made[0].frames[0].step
        return f"{words}{token_words([one.frames[at - first] for one in made])}"
    found = Gap(facts["differing_pixels"], facts["mean_difference"])
    return f"{words}; in the end {gap_words(found)}"


# --- `genui traces`: the traces that were saved -----------------------------------------------


def configure_traces(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The app saves a trace beside its model; `genui generate --trace FILE` anywhere.\n\n"
        "example:\n"
        "  genui traces --json | jq -r '.[].path'"
    )
    add_json(parser, "a JSON list")


def run_traces(args: argparse.Namespace) -> int:
    found = list_trees()
    if args.json:
        output.emit(list(map(_as_dict, found)))
        return 0
    if not found:
        output.say("none yet: the app saves the trace you look at")
        return 0
    output.table(
        ("NAME", "MODEL", "STEPS", "BRANCHES", "SAVED", "FILE"),
        [_row(listed, listed.tree) for listed in found if listed.tree],
        right=(2, 3),
    )
    for listed in found:
        if listed.tree is None:
            output.note(listed.fault)
    return 0


def _row(listed: Listed, tree: SavedTree) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(listed.changed))
    return (
        tree.name,
        tree.recipe.model,
        str(tree.steps),
        str(len(tree.branches)),
        when,
        str(listed.path),
    )


def _as_dict(listed: Listed) -> dict[str, object]:
    tree = listed.tree
    if tree is None:
        return {"path": str(listed.path), "saved": listed.changed, "fault": listed.fault}
    return {
        "path": str(listed.path),
        "saved": listed.changed,
        "name": tree.name,
        "model": tree.recipe.model,
        "fingerprint": tree.fingerprint,
        "prompt": tree.recipe.prompt,
        "steps": tree.steps,
        "branches": len(tree.branches),
    }


# --- `genui show`: whatever genui wrote, drawn or printed by its kind -------------------------

PICTURES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
TEXTS = frozenset({".txt", ".md", ".log", ".py"})
SAVED = frozenset({".trace", ".cast", ".mp4", ".wav", ".mid"})
MOST_TEXT = 1_000_000  # bytes printed of a text


def configure_show(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples:\n"
        "  genui show cats.png                          draws it, and how it was made\n"
        "  genui show icons                             a model's card and recipe"
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a picture, a .txt sample, a .trace, a .cast, a .safetensors, a run folder, or a "
        "model's name",
    )


def run_show(args: argparse.Namespace) -> int:
    file: Path = args.file
    kind = file.suffix.lower()
    if kind == ".safetensors":
        _model(str(file))
    elif file.is_dir():
        _run_folder(file)
    elif not file.exists():
        if file.suffix or len(file.parts) > 1:
            raise MisuseError(f"{file}: no such file; check the path")
        _model(str(file))
    elif not file.is_file():  # a named pipe would keep us waiting
        raise MisuseError(f"{file}: not a regular file; name a file or a run folder")
    elif kind in PICTURES:
        _picture(file)
    elif kind in TEXTS:
        _text(file)
    elif kind in SAVED:
        _saved(file)
    else:
        raise MisuseError(
            f"{file}: shows pictures ({' '.join(sorted(PICTURES))}), text "
            f"({' '.join(sorted(TEXTS))}), {' '.join(sorted(SAVED))}, .safetensors and run folders"
        )
    return 0


def _run_folder(folder: Path) -> None:
    from genui.cli.inspect import describe
    from genui.runs.layout import RunDir
    from genui.runs.listing import summarise

    describe(summarise(RunDir(folder)))


def _model(ref: str) -> None:
    """The card of a model and the recipe in its file."""
    from genui.runs.models import find_model, read_header

    model = find_model(ref)
    sample = model.path.with_name("sample.png")
    if model.source == "shipped" and sample.is_file():
        _picture(sample)
    recipe = dataclasses.asdict(read_header(model.path).recipe)
    output.facts(
        [
            ("model", model.ref),
            ("kind", f"{model.family}, {model.medium}"),
            ("parameters", short(model.parameters)),
            ("step", count(model.step)),
            *((key, _flat(value)) for key, value in model.card.items() if key != "name"),
            *((key, _flat(value)) for key, value in recipe.items() if key not in FIXED),
        ]
    )


def _flat(value: Any) -> str:
    """A card's entry on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_flat, value))
    return str(value)


def _picture(file: Path) -> None:
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from genui.cli.output import draw

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                if picture.format == "GIF":
                    _check_gif(file)
                picture.seek(getattr(picture, "n_frames", 1) - 1)  # what a moving one comes to
                rgb = picture.convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = count(Image.MAX_IMAGE_PIXELS or 0)
        raise MisuseError(f"{file}: over {most} pixels; make it smaller") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise MisuseError(f"{file}: not a readable picture ({reason})") from None
    draw(np.asarray(rgb))
    if file.suffix.lower() in SUFFIXES:
        _made_by(file)


def _check_gif(file: Path) -> None:
    """Raises MisuseError for more frames than are read of one file."""
    import mmap

    from genui.formats import image

    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            image.check_gif(data)
        except ValueError as error:
            raise MisuseError(f"{file}: {error}; cut it") from None


def _made_by(file: Path) -> None:
    """The recipe in a file of ours; a file that has none, or another's, is left alone."""
    try:
        found = read(file)
    except UnmarkedError:
        return
    except GenuiError as error:
        output.note(str(error))
        return
    facts_of(found)


def _saved(file: Path) -> None:
    """A recording's or a trace's recipe, and of a trace its branches."""
    found = read(file)
    facts_of(found)
    if isinstance(found.content, ScoreFile):
        from genui.cli.generate import draw_score

        output.say()
        draw_score(found.content, found.recipe)
    if isinstance(found.content, SavedTree):
        tree = found.content
        output.say()
        output.table(
            ("BRANCH", "FROM", "STEP", "EDIT", ""),
            [
                (
                    str(branch.id),
                    "" if branch.parent < 0 else str(branch.parent),
                    "" if branch.edit is None else str(branch.step),
                    branch.label,
                    "shown" if branch.id == tree.current else "",
                )
                for branch in tree.branches
            ],
        )


def facts_of(found: SavedFile) -> None:
    """How a file was made, one fact a line."""
    recipe, machine = found.recipe, found.recipe.machine
    grid = [f"{axis.name} {', '.join(axis.values)}" for axis in recipe.grid]
    begun = "" if recipe.init is None else f"a picture, strength {recipe.strength:g}"
    if isinstance(recipe.init, str):
        given = score.Given.from_text(recipe.init)
        named = " and ".join(notes.VOICES[voice] for voice in sorted(given.leads))
        begun = f"a given {named}, {notes.spell_opening(given.opening)}"
    output.facts(
        [
            ("model", recipe.model),
            ("weights", recipe.fingerprint),
            ("prompt", recipe.prompt),
            ("seed", str(recipe.seed)),
            ("samples", str(recipe.count) if recipe.count > 1 else ""),
            ("settings", _flat(_told(recipe.settings))),
            ("edits", "; ".join(spell_all(recipe.edits, recipe.settings))),
            ("begins from", f"{begun}, drowned" if recipe.forward else begun),
            ("grid", " × ".join(grid)),
            ("steps", count(recipe.result.steps) if recipe.result.digest else ""),
            ("genui", recipe.genui),
            ("torch", machine.torch),
            ("made on", ", ".join(filter(None, _where(machine)))),
        ]
    )


def _told(settings: Settings) -> dict[str, Any]:
    """The settings by name; those that are seldom chosen only where they were."""
    return {
        name: getattr(settings, name)
        for name, one in settings_of(type(settings)).items()
        if not one.about.rare or getattr(settings, name) != one.default
    }


def _where(machine: Machine) -> tuple[str, ...]:
    threads = f"{machine.threads} threads" if machine.threads != 1 else "1 thread"
    return machine.processor, machine.device, machine.precision, threads if machine.threads else ""


def _text(file: Path) -> None:
    from genui.base.text import clean

    with file.open("rb") as stream:
        data = stream.read(MOST_TEXT + 1)
    text = clean(data[:MOST_TEXT].decode("utf-8", "replace"))
    text, mark, _ = text.rpartition(f"\n{RECIPE_LINE}") if RECIPE_LINE in text else (text, "", "")
    print(text, end="" if text.endswith("\n") else "\n")
    if len(data) > MOST_TEXT:
        output.note(f"{file}: only the first {count(MOST_TEXT)} bytes are shown")
    elif mark:
        output.say()
        _made_by(file)


# --- `genui sheet`: saved generations on one picture, each with its caption -------------------


def configure_sheet(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Pictures and texts are taken as they are in the files; of a .trace, which holds only how\n"
        "it was made, the branch that was shown is generated again.\n\n"
        "examples:\n"
        "  genui sheet cats.png heart.png hymn.txt --out sheet.png\n"
        "  genui sheet --favourites --out favourites.png"
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="a .png, .gif, .apng, .txt or .trace file of ours"
    )
    parser.add_argument(
        "--favourites", action="store_true", help="everything kept as a favourite in the app"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the .png to write")
    parser.add_argument(
        "--columns", metavar="N", type=int, default=0, help="in a row (about as many as rows)"
    )


def run_sheet(args: argparse.Namespace) -> int:
    paths = [Path(name) for name in args.files]
    if args.favourites:
        paths += [listed.path for listed in list_favourites()]
    if not paths:
        what = (
            "no favourite is kept yet: * in the app keeps one"
            if args.favourites
            else "name files, or --favourites"
        )
        raise MisuseError(f"sheet: {what}")
    if len(paths) > MOST:
        raise MisuseError(f"sheet: {len(paths)} files; at most {MOST} fit on one")
    if not 0 <= args.columns <= MOST:
        raise MisuseError(f"--columns {args.columns}: between 1 and {MOST}")
    export.check_file(args.out, "--out", (".png",), "a contact sheet")
    samples = [_sample(read(path)) for path in paths]
    captions = [caption_of(recipe) for _, recipe in samples]
    atomic_write(args.out, sheet(samples, captions, args.columns))
    output.note(f"wrote {args.out}: {len(samples)} on it")
    return 0


def _sample(file: SavedFile) -> tuple[Sample, TraceRecipe]:
    """What a file shows last, and its recipe. Raises MisuseError for a recording."""
    recipe, content = file.recipe, file.content
    frame: Frame
    if isinstance(content, SavedTree):
        made = generate(branch_start(content))
        return made.sample, recipe
    if isinstance(content, str):
        frame = TextFrame(
            trace=0, step=1, token=0, text=content, surprisal=0, entropy=0, candidates=()
        )
        return Sample(recipe.seed, "", [frame]), recipe
    if isinstance(content, list) and content:
        height, width, _ = content[-1].shape
        rgb = content[-1].tobytes()
        frame = ImageFrame(trace=0, step=1, sigma=0.0, width=width, height=height, x=rgb, guess=rgb)
        return Sample(recipe.seed, "", [frame]), recipe
    raise MisuseError(f"{file.path}: a contact sheet takes pictures, texts and traces")
