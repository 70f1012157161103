"""`genui generate MODEL -n 1000 --out FOLDER`: a dataset of samples with labels, for training.

Images, clips and sounds are files listed in `metadata.jsonl` in the format of Hugging Face's
imagefolder ({"file_name": …, "text": …, "seed": …}); texts are lines of `data.jsonl`. A line is
written when its sample is complete, so after an interruption the same command continues.
"""

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import try_lock
from genui.base.late import late_imports
from genui.cli import output
from genui.cli.generation import Generation, file_bytes
from genui.cli.options import MAX_IN_FOLDER
from genui.cli.output import ProgressLine
from genui.cli.request import options_of_some, parse_request, refuse_options
from genui.formats.recipe import METADATA, PLAN, Plan, count_lines, read_plan
from genui.protocol import Start, Started
from genui.render.axis import format_duration

with late_imports():
    from genui.engine import load
    from genui.engine.sample import diffusion

if TYPE_CHECKING:
    from genui.engine.sample.diffusion import Prompts

BATCH_SIZE = 32
TEXTS = "data.jsonl"
_TRAINED_ON = (".txt", ".png", ".wav")  # samples that `genui train` reads from such a folder
_OF_ONE = "trace rate fork attention layers chat system say sign json every_step seeds"


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sample. For texts `text` includes the prompt."""

    file_name: str = ""
    text: str
    prompt: str = ""
    seed: int = 0


def plan_in(folder: Path) -> Plan | None:
    """The plan of a folder; None if it is missing or empty. Raises MisuseError if it has other
    files, GenuiError if it cannot be read."""
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
    if PLAN not in names:
        raise MisuseError(
            f"--out {folder}: holds other files ({sorted(names)[0]}); name an empty or a new folder"
        )
    return read_plan(folder)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other commands from writing into it. Raises GenuiError if one
    does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _full(folder, error, 0) from None
    try:
        if not try_lock(fd):
            raise GenuiError(
                f"--out {folder}: another command writes there; wait for it, or name another folder"
            )
        yield
    finally:
        os.close(fd)


def prepare(folder: Path, plan: Plan, index: str) -> int:
    """Removes an incomplete last batch, and returns how many samples it has."""
    path = folder / index
    try:
        (folder / PLAN).write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        if not os.path.lexists(path):
            return 0
        done, size = count_lines(path, plan.batch)
        if size < path.stat().st_size:
            os.truncate(path, size)  # the complete batches are never rewritten
    except OSError as error:
        raise _full(folder, error, 0) from None
    return done


def write_folder(
    folder: Path, batches: Iterable[Sequence[tuple[Line, bytes]]], done: int, count: int, index: str
) -> None:
    """Writes batches of samples: the files of a batch, then its lines in the index."""
    started, first = time.monotonic(), done
    try:
        with ProgressLine() as progress, (folder / index).open("ab") as lines:
            for batch in batches:
                for line, content in batch:
                    if line.file_name:
                        target = folder / line.file_name
                        target.parent.mkdir(exist_ok=True)
                        target.write_bytes(content)
                lines.write(b"".join(msgspec.json.encode(line) + b"\n" for line, _ in batch))
                lines.flush()
                done += len(batch)
                per_second = (done - first) / max(time.monotonic() - started, 1e-6)
                left = format_duration((count - done) / per_second)
                progress.show(f"{done:,}/{count:,} · {per_second:.3g} a second · {left} left")
    except OSError as error:
        raise _full(folder, error, done) from None
    except KeyboardInterrupt:
        output.note(
            f"{done:,} of {count:,} samples are complete in {folder}; repeat the "
            "command to continue"
        )
        raise


def _full(folder: Path, error: OSError, done: int) -> GenuiError:
    reason = (error.strerror or str(error)).lower()
    whole = f"; {done:,} samples are complete: repeat the command to continue" if done else ""
    return GenuiError(f"cannot write in {folder}: {reason}{whole}")


def describe_difference(before: Plan, now: Plan) -> str:
    """The first difference between a folder's plan and the current one."""
    names = ("model", "prompt", "seed", "settings", "fingerprint", "batch")
    name = next(name for name in names if getattr(before, name) != getattr(now, name))
    if name == "fingerprint":
        return f"with other weights of {before.model}"
    if name == "settings":
        return "with other settings"
    return f"with {name} {str(getattr(before, name))[:60]}"


def file_name(number: int, suffix: str) -> str:
    """The path of a sample's file; a folder has a thousand."""
    return f"{number // 1000:03d}/{number:06d}{suffix}"


def is_wanted(args: argparse.Namespace) -> bool:
    """Whether `-n` and `--out` name a folder: an existing one, or a name without a suffix."""
    out = args.out
    if out is None or args.count is None or str(out) == "-":
        return False
    return os.path.isdir(out) or not out.suffix


def write(args: argparse.Namespace) -> int:
    """Writes the folder. Raises MisuseError or GenuiError, before anything is generated, if the
    folder cannot be used."""
    count = args.count
    if not 1 <= count <= MAX_IN_FOLDER:
        raise MisuseError(f"-n {count}: expected a whole number, 1 to {MAX_IN_FOLDER:,}")
    of_one = " ".join((_OF_ONE, *options_of_some()))
    refuse_options(args, of_one, "applies to one sample; leave it out when --out is a folder")
    one = argparse.Namespace(**vars(args) | {"count": 1, "out": None})
    request = parse_request(one)
    folder: Path = args.out
    start = request.starts[0]
    before = plan_in(folder)
    if before is not None and args.seed is None:
        start = msgspec.structs.replace(start, seed=before.seed)
    batched = diffusion.supports_batches(start.model)
    given = {name for name, value in vars(args).items() if value is not None}
    plan = Plan(
        model=start.model,
        fingerprint=load.fingerprint(request.model.path),
        prompt=args.prompt,
        seed=start.seed,
        settings=start.settings.represent_data(given),
        batch=BATCH_SIZE if batched else 1,
    )
    if before is not None and before != plan:
        raise MisuseError(
            f"--out {folder}: was started {describe_difference(before, plan)}; "
            "repeat that command, or name an empty or a new folder"
        )
    suffix = ".png" if batched else request.kind.files[0]
    index = TEXTS if suffix == ".txt" else METADATA
    with _alone_in(folder):
        done = prepare(folder, plan, index)
        if done >= count:
            output.note(f"{folder} has {done:,} samples already")
            return 0
        prompts = diffusion.Prompts(start.model, start.seed, args.prompt)
        note = f"{prompts.source}, seeds {start.seed} to {start.seed + count - 1}"
        output.note(note + (f"; {done:,} exist already" if done else ""))
        start = msgspec.structs.replace(start, settings=plan.settings)
        batches = _batches(start, prompts, plan.batch, range(done, count), suffix)
        write_folder(folder, batches, done, count, index)
    use = f": genui train … --data {folder} reads them" if suffix in _TRAINED_ON else ""
    output.note(f"wrote {count:,} samples to {folder}{use}")
    return 0


def _batches(
    start: Start, prompts: "Prompts", size: int, numbers: range, suffix: str
) -> Iterator[list[tuple[Line, bytes]]]:
    """The samples with these numbers, in batches of `size`."""
    if size == 1:
        for sample in _samples(start, prompts, numbers, suffix):
            yield [sample]
        return
    for first in range(numbers.start, numbers.stop, size):
        batch = range(first, min(first + size, numbers.stop))
        captions = [prompts.at(number) for number in batch]
        seeds = [start.seed + number for number in batch]
        contents = diffusion.draw(start.model, captions, seeds, start.settings)
        yield [
            (Line(file_name=file_name(number, suffix), text=caption, seed=seed), content)
            for number, caption, seed, content in zip(batch, captions, seeds, contents, strict=True)
        ]


def _samples(
    start: Start, prompts: "Prompts", numbers: range, suffix: str
) -> Iterator[tuple[Line, bytes]]:
    """Generate each sample by its own trace, as a file of that type; a text is in its line."""

    def request(number: int) -> Start:
        return msgspec.structs.replace(start, prompt=prompts.at(number), seed=start.seed + number)

    for number, messages in zip(numbers, load.Streams(map(request, numbers)), strict=True):
        one = request(number)
        started, *rest = messages
        frames = [frame for frame in rest if not isinstance(frame, Started)]
        if not isinstance(started, Started) or not frames:
            raise GenuiError(
                f"{start.model}: no output; run `genui doctor` to check the installation"
            )
        generation = Generation(one, started, frames)
        if suffix == ".txt":
            yield Line(text=generation.text, prompt=started.prompt, seed=one.seed), b""
            continue
        name = file_name(number, suffix)
        line = Line(file_name=name, text=one.prompt, seed=one.seed)
        yield line, file_bytes(generation, Path(name))
