"""A monkey at the keyboard: random keys, clicks, pastes and resizes, the same for the same seed.

    python -m tests.bench monkey --seed 1 --keys 20000 [--worker real] [--terminal]

The app is in this process, or with --terminal a process in a real terminal that also gets bytes
that are no key. Ended by `q`, it is opened again. Now and then Esc and 1 must lead home, where the
panes must be in their places and `?` must open the help; no run may be lost from the disk. Prints
the last 50 inputs before each fault; the exit code is 1 if there was one.
"""

import argparse
import asyncio
import gc
import random
import resource
import sys
import time
import traceback
from collections import deque
from pathlib import Path

import fingers
from fingers import Far, Hand, Input

from genui.ui.app import GenuiApp
from genui.ui.watchdog import PATIENCE, stalls_file

CHECK = 250  # inputs between checks
LAST = 50
MAX_FAULTS = 20
PASTES = (
    "a red cat",
    "x" * 5000,
    "one\ntwo\r\nthree",
    "\x1b[31m",
    "字é€\u200b\u0301",
    "((",
    "0.5",
    "-1",
)
SIZES = [(120, 40), (80, 24), (200, 60), (60, 16), (40, 12), (10, 3), (1, 1), (104, 33), (170, 56)]


def make_input(rng: random.Random, terminal: bool) -> Input:
    kinds = {"table": 45, "arrow": 15, "printable": 12, "other": 16, "control": 4, "function": 2,
             "click": 4, "wheel": 1, "paste": 1.2, "resize": 0.8, "pause": 1.5,
             "junk": 0.8 * terminal}  # fmt: skip
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    lists = {
        "table": fingers.OF_THE_TABLE,
        "arrow": fingers.ARROWS,
        "printable": fingers.PRINTABLE,
        "other": fingers.OTHERS,
        "control": fingers.CONTROL,
        "function": fingers.FUNCTION,
    }
    if kind in lists:
        key = rng.choice(lists[kind])
        if key in ("q", "ctrl+q") and rng.random() < 0.8:
            key = "escape"  # else most of the time the app would be closing
        return Input("key", key)
    if kind in ("click", "wheel"):
        return Input(kind, (rng.random(), rng.random()))
    if kind == "junk":
        return Input(kind, rng.choice((b"", b"\x1b[", b"\x1bO")) + rng.randbytes(rng.randint(1, 8)))
    choices = {"paste": PASTES, "resize": SIZES, "pause": (0.05, 0.2, 0.4)}
    return Input(kind, rng.choice(choices[kind]))


def make_burst(rng: random.Random, terminal: bool) -> list[Input]:
    """One input, or several that are sent together."""
    count = rng.choices((1, 2, rng.randint(3, 8)), (60, 25, 15))[0]
    return [make_input(rng, terminal) for _ in range(count)]


class Monkey:
    def __init__(self, seed: int, keys: int, terminal: bool) -> None:
        self.rng, self.keys = random.Random(seed), keys
        self.terminal = terminal
        self.pressed = self.starts = 0
        self.last: deque[Input] = deque(maxlen=LAST)
        self.faults = 0

    def next_burst(self) -> list[Input]:
        burst = make_burst(self.rng, self.terminal)
        self.last += burst
        self.pressed += len(burst)
        return burst

    def fail(self, text: str) -> None:
        self.faults += 1
        print(
            f"after {self.pressed} inputs: {text}\n  last: {fingers.describe(self.last)}",
            flush=True,
        )


def play_in_terminal(monkey: Monkey, folder: Path, worker: str) -> None:
    """Press keys in one app until it ends or all are pressed."""
    far, runs = Far(folder, worker), fingers.count_runs(folder)
    known = folder / fingers.FAULTS
    try:
        check = monkey.pressed + CHECK
        while not far.gone and monkey.pressed < monkey.keys:
            far.press(*monkey.next_burst())
            if monkey.pressed >= check or monkey.pressed >= monkey.keys:
                check += CHECK
                if fault := far.check():
                    monkey.fail(fault)
                    break
                if not far.gone and fingers.count_runs(folder) < runs:
                    monkey.fail("a run is gone from the disk")
                runs = fingers.count_runs(folder)
            if known.exists():
                monkey.fail(known.read_text())
                known.unlink()
    finally:
        if fault := far.end():
            monkey.fail(fault)


async def play(monkey: Monkey, folder: Path, worker: str) -> None:
    """Press keys in one app until it ends or all are pressed."""
    app = GenuiApp(fingers.make_launch(worker))
    runs, known = fingers.count_runs(folder), len(fingers.faults)
    async with app.run_test(size=fingers.SIZE):
        hand = Hand(app, folder)
        if fault := await hand.check():  # as it is at first
            monkey.fail(fault)
        check = monkey.pressed + CHECK
        while not hand.gone and monkey.pressed < monkey.keys:
            await hand.press(*monkey.next_burst())
            if hand.gone:
                break
            if monkey.pressed >= check:
                check += CHECK
                if fault := await hand.check():
                    monkey.fail(fault)
                    break
                if fingers.count_runs(folder) < runs:
                    monkey.fail("a run is gone from the disk")
                runs = fingers.count_runs(folder)
            for fault in fingers.faults[known:]:
                monkey.fail(fault)
            known = len(fingers.faults)
        else:
            if not hand.gone and (fault := await hand.check()):
                monkey.fail(f"at the end: {fault}")


def main() -> None:
    parser = argparse.ArgumentParser(description="random keys")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--worker", choices=("fake", "real"), default="fake")
    parser.add_argument("--terminal", action="store_true", help="in a real terminal")
    args = parser.parse_args()
    monkey, begin = Monkey(args.seed, args.keys, args.terminal), time.monotonic()
    where = "a real terminal" if args.terminal else "this process"
    print(f"seed {args.seed}, {args.keys} inputs, {args.worker} worker, in {where}", flush=True)
    with fingers.busy_home() as folder:
        if not args.terminal:
            fingers.prepare(folder)
        while monkey.pressed < monkey.keys and monkey.faults < MAX_FAULTS:
            monkey.starts += 1
            try:
                if args.terminal:
                    play_in_terminal(monkey, folder, args.worker)
                else:
                    asyncio.run(play(monkey, folder, args.worker))
            except Exception:
                monkey.fail(traceback.format_exc())
            gc.unfreeze()  # each app freezes what there is, for the life of its process
            gc.collect()
        stalls = stalls_file().read_text() if stalls_file().exists() else ""
    seconds = time.monotonic() - begin
    print(f"{monkey.pressed} inputs in {seconds:.0f} s, {monkey.starts} starts", end="")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f", {monkey.faults} faults, at most {peak:.0f} MB in this process")
    if stalls:
        print(f"what took longer than {PATIENCE:g} s:\n{stalls}")
    sys.exit(bool(monkey.faults))


if __name__ == "__main__":
    main()
