"""genui beside other programs, in turns, as a table and an image.

    python -m tests.bench peers --peers PYTHON [--nanogpt FOLDER] [--quick] [--image FILE.png]

PYTHON is an interpreter with torch and any of transformers, diffusers, tensorboard and wandb;
FOLDER a checkout of nanoGPT. Each measurement that has a peer is made in turns with
it, so that a busy machine slows down both; `loss-…` are seconds of whole processes, from the launch
until a held-out loss. The ratio says how many times better genui is: the median, and the range of
the rounds.
"""

import argparse
import io
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers
from harness import machine, quick_generator
from pseudo_terminal import GENUI
from watching import METRICS, open_log, write_run

from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.cli.bench import (
    IMAGES,
    ROUNDS,
    ROWS,
    TEXT,
    Bench,
    MeasuredValues,
    Measurement,
    Reading,
    format_number,
    last_line,
    run_rows,
)

FIRST = "shakespeare-quick"


class Home(Bench):
    """A bench with a GENUI_HOME of its own, for the runs that are watched."""

    def __init__(self, home: Path, quick: bool) -> None:
        super().__init__(quick)
        self.home = home
        self.points = 10_000 if quick else 100_000  # steps of the log that is opened
        os.environ["GENUI_HOME"] = str(home)
        os.environ["GENUI_QUIET"] = "1"  # Home's demo would be measured too


def at_home(bench: Bench) -> Home:
    """The bench of a row, which has a home here."""
    assert isinstance(bench, Home)
    return bench


def _watching(bench: Bench) -> Reading:
    points = at_home(bench).points
    run = bench.once("long run", lambda: write_run("long", points))
    seconds = open_log([*GENUI, "watch", str(run)], {})
    return Reading(seconds, f"{points:,} steps × {len(METRICS)}")


WATCH = Measurement("watch", "first chart of a long log", "s", _watching, 2)


class Beside(NamedTuple):
    """What genui is measured beside."""

    python: str
    nanogpt: str  # a folder, or empty


class Peer(NamedTuple):
    """Another program that does what a row measures."""

    name: str
    row: str
    needs: tuple[str, ...]  # modules of the interpreter
    measure: Callable[[Home, Beside], float]
    needs_nanogpt: bool = False


def ask(beside: Beside, script: str, **job: object) -> float:
    return float(peers.ask(beside.python, script, job)["value"])


def train_nanogpt(bench: Home, beside: Beside) -> float:
    from genui.recipes import TransformerRecipe, find_recipe

    result, recipe = bench.training(TEXT), find_recipe(TEXT)
    assert isinstance(recipe, TransformerRecipe)
    names = ("layers", "heads", "width", "context", "batch", "dropout")
    sizes = {name: getattr(recipe, name) for name in names}
    known = {name: result[name] for name in ("threads", "precision", "device")}
    return ask(
        beside, peers.NANOGPT, folder=beside.nanogpt, seconds=bench.seconds,
        vocabulary=text_sizes()["vocab_size"], **sizes, **known,
    )  # fmt: skip


def text_sizes() -> dict[str, int]:
    """The sizes of the Transformer that writes text, for a peer of the same."""
    config: Any = quick_generator(TEXT).model.config  # type: ignore[attr-defined]
    names = ("layers", "width", "heads", "context", "vocab_size")
    return {name: int(getattr(config, name)) for name in names}


def train_diffusers(bench: Home, beside: Beside) -> float:
    from genui.recipes import find_recipe

    result = bench.training(IMAGES)
    known = {name: result[name] for name in ("parameters", "threads", "precision", "device")}
    batch = find_recipe(IMAGES).batch
    return ask(beside, peers.DIFFUSERS, batch=batch, seconds=bench.seconds, **known)


def write_transformers(bench: Home, beside: Beside) -> float:
    sizes = {name: value for name, value in text_sizes().items() if name != "context"}
    threads = bench.writing()["threads"]
    return 1000 * ask(beside, peers.TRANSFORMERS, tokens=bench.tokens, threads=threads, **sizes)


def watch_tensorboard(bench: Home, beside: Beside) -> float:
    folder = bench.home / "tensorboard"
    peers.peer_log(beside.python, peers.TENSORBOARD, folder, bench.points)
    return peers.tensorboard(beside.python, folder)


def watch_leet(bench: Home, beside: Beside) -> float:
    log = peers.peer_log(beside.python, peers.WANDB, bench.home / "wandb", bench.points)
    run = next((log / "wandb").glob("offline-run-*"), None)
    if run is None:
        raise GenuiError("wandb has written no offline run")
    command = str(Path(beside.python).parent / "wandb")
    env = {"WANDB_CONFIG_DIR": str(bench.home / "leet"), "WANDB_ERROR_REPORTING": "false"}
    return open_log([command, "beta", "leet", str(run)], env)


# --- Time to a loss: whole processes, from their launch ---------------------------------------

LOSSES = (2.0, 1.886, 1.6)
"""Nats a character on held-out plays; the second is what nanoGPT's training on a CPU ends at."""

LONGEST = 400.0
"""Seconds for which a loss is waited for."""


def _own_losses(bench: Home) -> dict[float, float]:
    """Seconds from the launch until each held-out loss, of those that are reached. Raises
    GenuiError if the training fails."""
    from genui.base.growing import LineFile
    from genui.cli.inspect import read_records

    wanted = LOSSES[:1] if bench.quick else LOSSES
    reached: dict[float, float] = {}
    runs = bench.home / "data" / "runs"
    before = set(runs.glob("bench-*"))
    begin = time.time()
    argv = [*GENUI, "train", FIRST, "--foreground", "--name", "bench"]
    errors = bench.home / "bench.err"
    with errors.open("wb") as file:
        process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        metrics: LineFile | None = None
        is_over = False
        while len(reached) < len(wanted) and not is_over and time.time() < begin + LONGEST:
            time.sleep(0.02)
            is_over = process.poll() is not None
            if metrics is None:
                new = set(runs.glob("bench-*/metrics.jsonl"))
                metrics = next((LineFile(path) for path in new if path.parent not in before), None)
            for record in read_records(metrics) if metrics is not None else ():
                _record_losses(reached, wanted, record.get("val_loss"), record["time"] - begin)
    finally:
        process.terminate()  # the trainer writes a checkpoint and ends
        process.wait()
    if is_over and process.returncode:
        raise GenuiError(last_line(errors.read_text("utf-8", "replace"), process.returncode))
    return reached


def _record_losses(
    reached: dict[float, float], targets: Sequence[float], loss: object, seconds: float
) -> None:
    """Record the seconds of each target that this held-out loss is the first to reach."""
    for target in targets:
        if isinstance(loss, float) and loss <= target:
            reached.setdefault(target, seconds)


def _time_to(target: float) -> Callable[[Bench], Reading]:
    def measure(bench: Bench) -> Reading:
        reached = bench.once("losses", lambda: _own_losses(at_home(bench)))
        note = f"{FIRST}, from the launch" if target in reached else f"not reached by {FIRST}"
        return Reading(reached.get(target, math.nan), note)

    return measure


def _nanogpt_losses(bench: Home, beside: Beside) -> dict[float, float]:
    """The same of nanoGPT's own training, on genui's text. Raises GenuiError if it fails."""
    folder = bench.home / "nanogpt"
    data = folder / "data" / "shakespeare_char"
    data.mkdir(parents=True, exist_ok=True)
    write_text(data)
    for name in ("configurator.py", "config"):
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(beside.nanogpt, name).resolve())
    script = str(Path(beside.nanogpt, "train.py").resolve())
    reached: dict[float, float] = {}
    threads = str(bench.training(TEXT)["threads"])
    env = {**peers.own_environment(), "OMP_NUM_THREADS": threads}
    argv = [beside.python, "-u", script, *peers.NANOGPT_ON_CPU]
    errors = folder / "nanogpt.err"
    is_cut = False  # whether it is ended here
    begin = time.time()
    with errors.open("wb") as file, subprocess.Popen(
        argv, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=file
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := re.search(r"val loss ([\d.]+)", line):
                    _record_losses(reached, LOSSES, float(match[1]), time.time() - begin)
                if len(reached) == len(LOSSES) or time.time() > begin + LONGEST:
                    is_cut = True
                    break
            is_cut = is_cut or process.wait() == 0
        finally:
            process.kill()
    if not is_cut:
        raise GenuiError(last_line(errors.read_text("utf-8", "replace"), process.returncode))
    return reached


def _nanogpt_time_to(target: float) -> Callable[[Home, Beside], float]:
    def measure(bench: Home, beside: Beside) -> float:
        reached = bench.once("nanoGPT's losses", lambda: _nanogpt_losses(bench, beside))
        return reached.get(target, math.nan)

    return measure


def write_text(folder: Path) -> None:
    """Write the plays as nanoGPT reads them, a token a character: train.bin, val.bin, meta.pkl."""
    import pickle

    from genui.engine.data.text import load_text

    data = load_text(TEXT, "")
    parts = {"train": "\n".join(data.train), "val": "\n".join(data.validation)}
    characters = sorted(set("".join(parts.values())))
    ids = {character: number for number, character in enumerate(characters)}
    for name, text in parts.items():
        tokens = np.array([ids[character] for character in text], np.uint16)
        tokens.tofile(folder / f"{name}.bin")
    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(characters)}))


# --- The table --------------------------------------------------------------------------------

PEERS = (
    Peer("nanoGPT", "train-text", ("torch",), train_nanogpt, needs_nanogpt=True),
    Peer("diffusers", "train-images", ("torch", "diffusers"), train_diffusers),
    Peer("transformers", "write", ("torch", "transformers"), write_transformers),
    Peer("TensorBoard", "watch", ("torch", "tensorboard"), watch_tensorboard),
    Peer("W&B LEET", "watch", ("wandb",), watch_leet),
    *(
        Peer("nanoGPT", f"loss-{loss:g}", ("torch",), _nanogpt_time_to(loss), needs_nanogpt=True)
        for loss in LOSSES
    ),
)
LOSS_ROWS = tuple(
    Measurement(f"loss-{loss:g}", f"time to {loss:g} nats, plays", "s", _time_to(loss), 12)
    for loss in LOSSES
)


def find_peers(beside: Beside) -> list[Peer]:
    """The peers that can be run; prints a line for each that is left out."""
    names = sorted({name for peer in PEERS for name in peer.needs})
    missing = set(peers.missing_modules(beside.python, names))
    found = []
    for peer in PEERS:
        absent = [name for name in peer.needs if name in missing]
        if absent:
            print(f"{peer.name} is left out: {beside.python} has no {' and no '.join(absent)}")
        elif beside.nanogpt or not peer.needs_nanogpt:
            found.append(peer)
    return found


def put_in_turns(
    rows: Sequence[Measurement], found: Sequence[Peer], beside: Beside
) -> list[Measurement]:
    """Each row with a peer, and after it a row for each of its peers."""
    turns: list[Measurement] = []
    for row in rows:
        own = [peer for peer in found if peer.row == row.name]
        turns += [row] if own else []
        for peer in own:

            def measure(bench: Bench, peer: Peer = peer) -> Reading:
                return Reading(peer.measure(at_home(bench), beside))

            turns.append(row._replace(name=f"{row.name}/{peer.name}", measure=measure))
    return turns


def ratios(own: MeasuredValues, peer: MeasuredValues) -> list[float]:
    """How many times better genui is, in each round that has both."""
    pairs = zip(own.readings, peer.readings, strict=False)
    better = [(a, b) if own.row.higher_is_better else (b, a) for (a, _), (b, _) in pairs]
    return [a / b for a, b in better if b and math.isfinite(a / b)]


def pair(
    results: Mapping[str, MeasuredValues],
) -> list[tuple[MeasuredValues, dict[str, MeasuredValues]]]:
    """genui's result of each row, with those of its peers by name."""
    own = {name: result for name, result in results.items() if "/" not in name}
    return [
        (result, {key.split("/")[1]: results[key] for key in results if key.startswith(f"{name}/")})
        for name, result in own.items()
    ]


def describe(own: MeasuredValues, name: str, peer: MeasuredValues) -> str:
    """`2.9 × nanoGPT (2,012 tok/s; 2.7–3.1)`."""
    found = ratios(own, peer)
    value = f"{format_number(peer.value)} {own.row.unit}"
    if not found:
        return f"{name} ({value}) {'; '.join(peer.faults)}".rstrip()
    between = f"; {min(found):.2g}–{max(found):.2g}" if len(found) > 1 else ""
    return f"{statistics.median(found):.2g} × {name} ({value}{between})"


# --- The table as an image --------------------------------------------------------------------

WIDTH, LINE, PAD, SIZE = 1100, 22, 16, 14  # pixels; points
NAMES, BARS, VALUES = 240, 340, 660  # x of the columns
GROUND, INK, DIM = (24, 24, 28), (224, 224, 228), (150, 150, 158)
OWN, OTHER = (122, 162, 247), (90, 90, 104)
_ASCII = str.maketrans({"×": "x", "–": "-"})  # the font of PIL has neither


def draw_results(
    known: Mapping[str, str], results: Sequence[tuple[MeasuredValues, Mapping[str, MeasuredValues]]]
) -> bytes:
    """The table as a PNG: a line for genui and each peer, with a bar as long as its value."""
    from PIL import Image, ImageDraw, ImageFont

    height = 2 * PAD + LINE * (2 + sum(2 + len(beside) for _, beside in results))
    canvas = Image.new("RGB", (WIDTH, height), GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(SIZE)

    def write(x: int, y: int, text: str, colour: tuple[int, int, int]) -> None:
        draw.text((x, y), text.translate(_ASCII), colour, font)

    names = [name for name in ("processor", "cores", "torch", "load") if name in known]
    write(PAD, PAD, " · ".join(f"{name} {known[name]}" for name in names), DIM)
    y = PAD + LINE
    for own, beside in results:
        longest = max(
            [r.value for r in (own, *beside.values()) if math.isfinite(r.value)], default=0
        )
        write(PAD, y + LINE, own.row.title, INK)
        for name, result in {"genui": own, **beside}.items():
            y += LINE
            colour = INK if result is own else DIM
            found = [] if result is own else ratios(own, result)
            note = f"genui {statistics.median(found):.2g} ×" if found else result.readings[-1].note
            write(VALUES, y, f"{format_number(result.value)} {own.row.unit}   {note}", colour)
            write(NAMES, y, name, DIM)
            share = result.value / longest if math.isfinite(result.value) and longest else 0.0
            right = BARS + max(1, round(share * (VALUES - BARS - PAD)))
            draw.rectangle((BARS, y + 3, right, y + LINE - 6), OWN if result is own else OTHER)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="genui beside other programs")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--nanogpt", metavar="FOLDER", default="", help="a checkout of nanoGPT")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"({ROUNDS})")
    parser.add_argument("--image", type=Path, metavar="FILE", help="also draw the table as a .png")
    args = parser.parse_args()
    # nanoGPT runs in a folder of its own.
    python = os.path.abspath(args.peers) if "/" in args.peers else args.peers
    beside = Beside(python, args.nanogpt)
    try:
        found = find_peers(beside)
    except GenuiError as error:
        sys.exit(str(error))
    rows = put_in_turns((*ROWS, WATCH, *LOSS_ROWS), found, beside)
    known, results = machine(), dict[str, MeasuredValues]()
    with tempfile.TemporaryDirectory(prefix="genui-bench-", ignore_cleanup_errors=True) as home:
        rounds = args.rounds or (1 if args.quick else ROUNDS)
        for row, left in run_rows(Home(Path(home), args.quick), rows, rounds, results):
            print(f"{row.name} · about {left:.0f} s left", file=sys.stderr)
    print(" · ".join(f"{name} {value}" for name, value in known.items()))
    for own, others in pair(results):
        value = f"{format_number(own.value)} {own.row.unit}"
        texts = ", ".join(describe(own, name, peer) for name, peer in others.items())
        print(f"{own.row.title}: {value} {'; '.join(own.faults)}· {texts}")
    if args.image is not None:
        atomic_write(args.image, draw_results(known, pair(results)))


if __name__ == "__main__":
    main()
