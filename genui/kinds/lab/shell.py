"""`genui lab`: train a small network on points in the plane, as in the app's Lab."""

import argparse
import os
import secrets
from pathlib import Path

from genui.base.errors import MisuseError
from genui.base.files import atomic_write
from genui.base.late import late_imports
from genui.cli import files, output
from genui.cli.options import add_settings, seed_from, settings_for
from genui.cli.parser import add_json
from genui.formats.codec import CODECS, Sample, encode
from genui.formats.recipe import ExportView, recipe_of, result_of
from genui.kinds.lab.families import FAMILIES
from genui.kinds.lab.messages import LabSettings, PointsFrame
from genui.kinds.lab.points import read_csv, to_text
from genui.protocol import Frame, Start, Started
from genui.protocol.kinds import find_kind

with late_imports():
    from genui.engine import load, replay


def configure_lab(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "One line per evaluation: the losses and the divergence from the true density in\n"
        "bits, where it is known. Files contain their recipe: `genui replay FILE` repeats them.\n"
        "\n\n"
        "examples:\n"
        "  genui lab two-moons --family gan --steps 2000 --out lab.gif\n"
        "  genui lab spirals --family diffusion --json | jq .divergence\n"
        "  genui lab mine.csv --family flow --out samples.csv"
    )
    parser.add_argument(
        "points",
        metavar="POINTS",
        help="two-moons, eight-gaussians, spirals, checkerboard, or a CSV of x,y or x,y,class",
    )
    parser.add_argument("--family", default="flow", metavar="F", help=", ".join(FAMILIES))
    parser.add_argument("--seed", metavar="N", help="the same seed gives the same training")
    add_settings(parser, LabSettings)
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="a .gif or .apng of the training, a .png of its "
        "end, or a .csv of samples"
    )  # fmt: skip
    add_json(parser, "one JSON line per evaluation")


def run_lab(args: argparse.Namespace) -> int:
    if args.family not in FAMILIES:
        raise MisuseError(f"--family {args.family}: one of {', '.join(FAMILIES)}")
    kind = find_kind(args.family, "points", args.family)
    if args.out is not None:
        files.check_target(args.out, kind, "points")
    seed = secrets.randbelow(1_000_000) if args.seed is None else seed_from(args.seed)
    start = Start(
        trace=0,
        model=kind.ref,
        prompt=_points(args.points),
        seed=seed,
        settings=settings_for(kind, args.family, _given(args)),
    )
    started, frames = _train(start, args.seed is None, args.json)
    if args.out is not None:
        _write(args.out, start, started, frames)
        output.note(f"wrote {args.out}")
    return 0


def _points(text: str) -> str:
    """The prompt: the name of a data set, or the points of a file."""
    path = os.path.expanduser(text)
    if os.path.isfile(path) or text.lower().endswith(".csv") or "/" in text:
        return to_text(read_csv(Path(path)))
    return text


def _given(args: argparse.Namespace) -> dict[str, str]:
    """The given settings, as text."""
    named = ((name, getattr(args, name)) for name in LabSettings.__struct_fields__)
    return {name: text for name, text in named if text is not None}


def _train(start: Start, is_random: bool, as_json: bool) -> tuple[Started, list[Frame]]:
    """Trains, and prints a line for each evaluation, and the seed if it is random."""
    messages = load.stream(start)
    started = next(messages)
    assert isinstance(started, Started)
    if is_random:
        output.note(f"seed {start.seed} (repeat with --seed {start.seed})")
    frames: list[Frame] = []
    for frame in messages:
        assert isinstance(frame, PointsFrame)
        frames.append(frame)
        if frame.floor is not None:
            output.note(f"divergence of samples from the true density: {frame.floor:.4f} bits")
        if frame.plane is not None:
            _print_step(frame, as_json)
    return started, frames


def _print_step(frame: PointsFrame, as_json: bool) -> None:
    facts = {"step": frame.step, **dict(frame.measures), "divergence": frame.divergence}
    if as_json:
        output.print_json(facts, indent=False)
        return
    words = [f"{name} {value:.4f}" for name, value in frame.measures]
    if frame.divergence is not None:
        words.append(f"{frame.divergence:.4f} bits of divergence")
    output.print_line(f"step {frame.step:<6} {'  '.join(words)}")


def _write(target: Path, start: Start, started: Started, frames: list[Frame]) -> None:
    last, suffix = frames[-1].step, target.suffix.lower()
    shows = CODECS[suffix].shows
    view = ExportView(kind=shows, steps=(last,) if shows == "frame" else ())
    sample = Sample(start.seed, started.prompt, frames, kind=started.kind)
    recipe = recipe_of(start, started, replay.machine(), result_of(frames), view=view)
    atomic_write(target, encode(suffix, [sample], recipe))
