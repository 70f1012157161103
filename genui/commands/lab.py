"""`genui lab`: a small network learns points in the plane, as in the app's Lab."""

import argparse
import secrets
from pathlib import Path

from genui.commands import export, output
from genui.commands.parser import add_json
from genui.commands.settings import seed_from, settings_for
from genui.errors import MisuseError
from genui.kinds import KINDS, kind_of
from genui.points import read_csv, to_text
from genui.protocol import LAB, Frame, LabSettings, PointsFrame, Start, Started

FAMILIES = tuple(family for family, medium in KINDS if medium == "points")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A line a look at the plane: the losses and the divergence from the true density in\n"
        "bits, where it is known. Files carry their recipe: `genui replay FILE` makes them\n"
        "again.\n\n"
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
    parser.add_argument("--steps", metavar="N", help="training steps (2000)")
    parser.add_argument("--learning-rate", metavar="R", help="Adam's step (0.004)")
    parser.add_argument("--width", metavar="N", help="of each hidden layer (64)")
    parser.add_argument("--batch", metavar="N", help="points a step (256)")
    parser.add_argument("--every", metavar="N", help="steps between looks at the plane (20)")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="a .gif or .apng of the training, a .png of its "
        "end, or a .csv of samples"
    )  # fmt: skip
    add_json(parser, "one JSON line a look")


def run(args: argparse.Namespace) -> int:
    if args.family not in FAMILIES:
        raise MisuseError(f"--family {args.family}: one of {', '.join(FAMILIES)}")
    kind = kind_of(args.family, "points", args.family)
    if args.out is not None:
        export.check_target(args.out, kind)
        if args.family == "classifier" and args.out.suffix.lower() == ".csv":
            raise MisuseError(
                f"--out {args.out}: a classifier has no samples; name a .png, .gif or .apng"
            )
    seed = secrets.randbelow(1_000_000) if args.seed is None else seed_from(args.seed)
    if args.seed is None:
        output.note(f"--seed {seed}")
    start = Start(
        trace=0,
        model=LAB + args.family,
        prompt=_points(args.points),
        seed=seed,
        settings=settings_for(kind, args.family, _given(args)),
    )
    started, frames = _trained(start, args.json)
    if args.out is not None:
        _write(args.out, start, started, frames)
        output.note(f"wrote {args.out}")
    return 0


def _points(asked: str) -> str:
    """The prompt: a name of data, or the points of a file."""
    if asked.lower().endswith(".csv") or "/" in asked:
        return to_text(read_csv(Path(asked).expanduser()))
    return asked


def _given(args: argparse.Namespace) -> dict[str, str]:
    """The settings that are named, as they are spelled."""
    named = ((name, getattr(args, name)) for name in LabSettings.__struct_fields__)
    return {name: text for name, text in named if text is not None}


def _trained(start: Start, as_json: bool) -> tuple[Started, list[Frame]]:
    """The training, told a line a look."""
    from genui.engine.generate import stream

    messages = stream(start)
    started = next(messages)
    assert isinstance(started, Started)
    frames: list[Frame] = []
    for frame in messages:
        assert isinstance(frame, PointsFrame)
        frames.append(frame)
        if frame.floor is not None:
            output.note(f"samples of the truth itself come to {frame.floor:.4f} bits")
        if frame.plane is not None:
            _tell(frame, as_json)
    return started, frames


def _tell(frame: PointsFrame, as_json: bool) -> None:
    told = {"step": frame.step, **dict(frame.measures), "divergence": frame.divergence}
    if as_json:
        output.emit(told, indent=False)
        return
    words = [f"{name} {value:.4f}" for name, value in frame.measures]
    if frame.divergence is not None:
        words.append(f"{frame.divergence:.4f} bits from the truth")
    output.say(f"step {frame.step:<6} {'  '.join(words)}")


def _write(target: Path, start: Start, started: Started, frames: list[Frame]) -> None:
    from genui.engine.replay import machine
    from genui.saved import Sample, View, recipe_of, result_of

    last = frames[-1].step
    still = target.suffix.lower() in (".png", ".csv")
    view = View(kind="frame", steps=(last,)) if still else View(kind="animation")
    sample = Sample(start.seed, started.prompt, frames)
    recipe = recipe_of(start, started, machine(), result_of(frames), view=view)
    export.write(target, [sample], recipe)
