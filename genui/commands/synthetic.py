"""`genui generate MODEL -n 1000 --out FOLDER`: synthetic data that training reads back."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from genui.commands import output, outputs
from genui.commands.labelled_folder import (
    TEXTS,
    Line,
    Plan,
    difference,
    file_name,
    plan_in,
    prepare,
    write,
)
from genui.commands.request import asked, is_given
from genui.commands.samples import Generated
from genui.errors import GenuiError, MisuseError
from genui.kinds import UNGUIDED, Kind
from genui.protocol import SELDOM, ImageSettings, Settings, Start, Started
from genui.saved.drawn import METADATA, used_critic

if TYPE_CHECKING:
    from genui.engine.generate.batches import Prompts

MOST = 1_000_000
BATCH = 32


def wanted(args: argparse.Namespace) -> bool:
    """Whether `-n` and `--out` mean a folder: one that is there, or a name without a suffix."""
    out = args.out
    if out is None or args.count is None or str(out) == "-":
        return False
    return os.path.isdir(out) or not out.suffix


def run(args: argparse.Namespace) -> int:
    """Write the folder. Raises MisuseError or GenuiError before anything is generated, where
    the folder cannot be it."""
    count = args.count
    if not 1 <= count <= MOST:
        raise MisuseError(f"-n {count}: between 1 and {MOST:,}")
    _refuse_others(args)
    one = argparse.Namespace(**vars(args) | {"count": 1, "out": None})
    what = asked(one)
    from genui.engine.generate.batches import Prompts, draws
    from genui.engine.generate.load import fingerprint

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
        settings=_settings(args, start),
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
    index = TEXTS if what.kind.pane == "text" else METADATA
    done = prepare(folder, plan, index)
    if done >= count:
        output.note(f"{folder} has {done:,} samples already")
        return 0
    prompts = Prompts(start.model, start.seed, args.prompt)
    note = f"{prompts.source}, seeds {start.seed} to {start.seed + count - 1}"
    output.note(note + (f"; {done:,} are there already" if done else ""))
    start = msgspec.structs.replace(start, settings=plan.settings)
    made = _batches(start, prompts, plan.batch, range(done, count), what.kind)
    write(folder, made, done, count, index)
    output.note(f"wrote {count:,} samples to {folder}: genui train … --data {folder} reads them")
    return 0


# --- what is asked ---------------------------------------------------------------------


def _settings(args: argparse.Namespace, start: Start) -> Settings:
    """As asked; of pictures those that stand for their data, where nothing else is said."""
    settings = start.settings
    if isinstance(settings, ImageSettings):
        for name in ("guidance", "steps", "eta", *SELDOM):
            if getattr(args, name) is None:
                settings = msgspec.structs.replace(settings, **{name: getattr(UNGUIDED, name)})
        if args.sigma_min is None and settings.steps < UNGUIDED.steps // 2:
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
    from genui.engine.generate.batches import draw

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
    from genui.engine.generate import stream

    seed = start.seed + number
    request = msgspec.structs.replace(start, prompt=prompt, seed=seed)
    begun, *rest = stream(request)
    frames = [frame for frame in rest if not isinstance(frame, Started)]
    if not isinstance(begun, Started) or not frames:
        raise GenuiError(f"{start.model}: nothing came; `genui doctor` says what is installed")
    made = Generated(request, begun, frames)
    if kind.pane == "text":
        return Line(text=made.text, prompt=begun.prompt, seed=seed), b""
    name = file_name(number, kind.files[0])
    return Line(file_name=name, text=prompt, seed=seed), outputs.as_file(made, Path(name))
