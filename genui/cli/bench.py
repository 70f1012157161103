"""`genui bench`: how fast genui is on this machine, alone or beside other programs."""

import argparse
import io
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, did_you_mean
from genui.base.files import atomic_write
from genui.base.numbers import about, quantity
from genui.cli import bench_peers, files, output
from genui.cli.benchmarks import (
    ROWS,
    Bench,
    Peer,
    Result,
    Row,
    describe_machine,
    median,
    run_rows,
)
from genui.cli.parser import add_json

ROUNDS = 3
PROFILED_STEPS = 5


def configure_bench(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in ROWS)
    parser.epilog = (
        f"measurements: {names}\n\n"
        "Ctrl+C ends it and prints what was measured. See genui help bench.\n\n"
        "examples:\n"
        "  genui bench --quick\n"
        "  genui bench --only train-text,write\n"
        "  genui bench --peers ~/venv/bin/python --nanogpt ~/nanoGPT --image bench.png\n"
        "  genui bench --profile icons        what the time of a step goes to"
    )
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--only", metavar="NAMES", help="some measurements, separated by commas")
    parser.add_argument(
        "--rounds", metavar="N", type=int, help=f"times each is measured ({ROUNDS})"
    )
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        help="an interpreter with transformers, diffusers, tensorboard or wandb: those it has are "
        "measured in turns with genui",
    )
    parser.add_argument(
        "--nanogpt", metavar="DIR", help="a checkout of nanoGPT, measured with that interpreter"
    )
    parser.add_argument("--image", metavar="FILE", type=Path, help="also draw the table as a .png")
    parser.add_argument(
        "--profile", metavar="RECIPE", help="only say what a training step of RECIPE spends time on"
    )
    add_json(parser)


def run_bench(args: argparse.Namespace) -> int:
    if args.profile:
        return _profile(args.profile, args.json)
    rows = _choose(args.only, args.quick)
    if args.image is not None:
        files.check_file(args.image, "--image", (".png",), "the table")
    if args.rounds is not None and args.rounds < 1:
        raise MisuseError(f"--rounds {args.rounds}: expected a whole number, 1 or more")
    rounds = args.rounds or (1 if args.quick else ROUNDS)
    python = _interpreter(args.peers) if args.peers else sys.executable if args.nanogpt else ""
    peers, notes = _find_peers(rows, python, args.nanogpt or "", args.quick)
    for note in notes:
        output.note(note)
    machine = describe_machine()
    results: dict[str, Result] = {}
    is_whole = False
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as home:
        bench = Bench(Path(home), args.quick, python, args.nanogpt or "")
        progress = output.Progress()
        try:
            for step in run_rows(bench, rows, rounds, lambda row: peers[row.name], results):
                left = f"about {about(step.seconds_left)} left"
                progress.show(f"{step.row.title}: {step.name} · {left}")
            is_whole = True
        except KeyboardInterrupt:
            pass
        progress.clear()
    measured = [result for result in results.values() if result.readings]
    if args.json:
        rows_of = [result.to_dict() for result in measured]
        output.emit({"machine": machine, "rounds": rounds, "whole": is_whole, "rows": rows_of,
                     "left_out": notes})  # fmt: skip
    else:
        _print(machine, measured)
    if args.image is not None and measured:
        atomic_write(args.image, draw_results(machine, measured))
        output.note(f"wrote {args.image}")
    if not is_whole:
        output.note("interrupted: the rest was not measured")
        return INTERRUPTED
    if all(result.faults and not math.isfinite(result.value) for result in measured):
        raise GenuiError(f"nothing could be measured: {measured[0].faults[0]}")
    return 0


def _interpreter(text: str) -> str:
    """A path as an absolute one, since nanoGPT runs in a folder of its own; a name as it is."""
    return str(Path(text).expanduser().absolute()) if "/" in text else text


def _choose(names: str | None, quick: bool) -> list[Row]:
    """The rows named, or all of the quick or the full table. Raises MisuseError."""
    if names is None:
        return [row for row in ROWS if row.is_quick or not quick]
    table = {row.name: row for row in ROWS}
    chosen = dict.fromkeys(names.replace(",", " ").split())  # each once, in the order given
    for name in chosen:
        if name not in table:
            raise MisuseError(f"--only {name}: {did_you_mean(name, table, 'see genui bench -h')}")
    if not chosen:
        raise MisuseError("--only: names no measurement; see genui bench -h")
    return [table[name] for name in chosen]


def _find_peers(
    rows: Sequence[Row], python: str, nanogpt: str, quick: bool
) -> tuple[Mapping[str, list[Peer]], list[str]]:
    """The peers of each row that can be run, and a line for each that is left out.

    Raises GenuiError if the interpreter cannot be run, and MisuseError if DIR is not nanoGPT's.
    """
    if nanogpt and not Path(nanogpt, "train.py").is_file():
        raise MisuseError(f"--nanogpt {nanogpt}: has no train.py; name a checkout of nanoGPT")
    wanted = {peer: row for row in rows for peer in row.peers if python}
    names = sorted({name for peer in wanted for name in peer.needs})
    missing = set(bench_peers.missing_modules(python, names)) if wanted else set()
    available: dict[str, list[Peer]] = {row.name: [] for row in rows}
    notes: list[str] = []
    for peer, row in wanted.items():
        absent = [name for name in peer.needs if name in missing]
        if absent:
            notes.append(f"{peer.name} is left out: {python} has no {' and no '.join(absent)}")
        elif (peer.is_quick or not quick) and (nanogpt or not peer.needs_nanogpt):
            available[row.name].append(peer)
    return available, list(dict.fromkeys(notes))


# --- Output -----------------------------------------------------------------------------------


def _number(value: float) -> str:
    """`5,812`, `41.3`, `1.72`; `–` if it was not reached."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _compare(result: Result, peer: str) -> str:
    """`2.9 × nanoGPT (2,012 tok/s; 2.7–3.1)`: how many times better genui is."""
    ratios = result.ratios(peer)
    value = f"{_number(median(result.peers[peer]))} {result.row.unit}"
    if not ratios:
        return f"{peer} ({value})"
    between = f"; {min(ratios):.2g}–{max(ratios):.2g}" if len(ratios) > 1 else ""
    return f"{median(ratios):.2g} × {peer} ({value}{between})"


def _range(result: Result) -> str:
    values = [reading.value for reading in result.readings if math.isfinite(reading.value)]
    return f"{_number(min(values))}–{_number(max(values))}" if len(values) > 1 else ""


def _print(machine: Mapping[str, str], results: Sequence[Result]) -> None:
    output.say(" · ".join(f"{name} {value}" for name, value in machine.items()))
    output.say()
    rows = []
    for result in results:
        note = "; ".join([result.readings[-1].note, *result.faults]).strip("; ")
        beside = ", ".join(_compare(result, peer) for peer in result.peers)
        value = f"{_number(result.value)} {result.row.unit}"
        rows.append((result.row.title, value, _range(result), beside, note))
    heads = ["MEASUREMENT", "GENUI", "RANGE", "BESIDE IT", ""]
    used = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    cells = [[row[at] for at in used] for row in rows]
    output.table([heads[at] for at in used], cells, right=(1,))


def _profile(recipe: str, as_json: bool) -> int:
    """What the time of a training step goes to."""
    from genui.recipes import find_recipe

    find_recipe(recipe)  # raises MisuseError
    output.note(f"training a few steps of {recipe} …")
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as home:
        bench = Bench(Path(home), quick=True)
        result = bench.engine("profile", recipe=recipe, steps=PROFILED_STEPS, settings={})
    if as_json:
        output.emit(result)
        return 0
    whole = sum(result["seconds"].values())
    facts = [(name, f"{100 * value / whole:4.0f} %  {1000 * value:8.1f} ms")
             for name, value in result["seconds"].items()]  # fmt: skip
    facts.append(("a step", f"{100:4d} %  {1000 * whole:8.1f} ms"))
    if result["share"]:
        share = f"{100 * result['share']:.0f} % of the peak of matrix products"
        threads = quantity(result["threads"], "thread")
        facts.append(("it reaches", f"{share}, {result['precision']}, {threads}"))
    for name, value in facts:
        output.say(f"{name:26}{value}")
    return 0


# --- The table as an image --------------------------------------------------------------------

WIDTH, LINE, PAD, SIZE = 1100, 22, 16, 14  # pixels; points
NAMES, BARS, VALUES = 240, 340, 660  # x of the columns
GROUND, INK, DIM = (24, 24, 28), (224, 224, 228), (150, 150, 158)
OWN, OTHER = (122, 162, 247), (90, 90, 104)
_ASCII = str.maketrans({"×": "x", "–": "-"})  # the font of PIL has neither


def draw_results(machine: Mapping[str, str], results: Sequence[Result]) -> bytes:
    """The table as a PNG: a line for genui and each peer, with a bar as long as its value."""
    from PIL import Image, ImageDraw, ImageFont

    height = 2 * PAD + LINE * (2 + sum(1 + len(result.peers) for result in results))
    canvas = Image.new("RGB", (WIDTH, height), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(SIZE)

    def write(x: int, y: int, text: str, colour: tuple[int, int, int]) -> None:
        draw.text((x, y), text.translate(_ASCII), colour, font)

    names = [name for name in ("processor", "cores", "torch", "load") if name in machine]
    write(PAD, PAD, " · ".join(f"{name} {machine[name]}" for name in names), DIM)
    y = PAD + LINE
    for result in results:
        values = {name: median(peers) for name, peers in result.peers.items()}
        known = [v for v in (result.value, *values.values()) if math.isfinite(v)]
        write(PAD, y + LINE, result.row.title, INK)
        for who, value in {"genui": result.value, **values}.items():
            y += LINE
            colour = INK if who == "genui" else DIM
            text = f"{_number(value)} {result.row.unit}"
            note = result.readings[-1].note if who == "genui" else _times(result, who)
            write(VALUES, y, f"{text}   {note}", colour)
            if values:
                write(NAMES, y, who, DIM)
                share = value / max(known) if math.isfinite(value) and max(known) else 0.0
                right = BARS + max(1, round(share * (VALUES - BARS - PAD)))
                draw.rectangle((BARS, y + 3, right, y + LINE - 6), OWN if colour is INK else OTHER)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _times(result: Result, peer: str) -> str:
    """`genui 2.9 ×`: how many times better it is, if both were measured."""
    ratios = result.ratios(peer)
    return f"genui {median(ratios):.2g} ×" if ratios else ""
