"""What redrawing a curve costs, beside other charts for a terminal.

    python tests/bench/bench_chart.py [--json] [--repeats N] [--peers PYTHON]

Each repeat draws the same 100,000 points in 120 × 30 cells, from arrays to lines of styled
text: plain, smoothed with the raw values behind, on a logarithmic axis, zoomed, as eight runs,
and once more after a point was added, as a living run does. `redraw` is what the app does
then: the lines drawn and compared with those on the screen. Best and median are printed, for
the machine may be busy. The goal is 5 ms for one curve.

`--peers` names a Python that has plotext, whose own script draws the same points in the same
room; textual-plotext shows that text turned into Rich's, which is measured beside it.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from harness import Figure, machine, report
from rich.text import Text
from textual.app import App, ComposeResult

from genui.ui.widgets.curve import Curve

POINTS = 100_000
SIZE = (120, 30)
GOAL = 5.0  # ms, for one curve
RUNS = 8
PEER_REPEATS = 3
PLAIN, ANEW, MANY = "plain", "smoothed anew, all points", f"{RUNS} runs, smoothed"
WITHOUT_GOAL = (ANEW, MANY)

PEER = """
import json, sys, time
import numpy as np, plotext
points, width, height, repeats = map(int, sys.argv[1:])
x = np.arange(points)
y = 1 + 3 * np.exp(-x / 9000) + np.random.default_rng(0).normal(0, 0.25, points)
xs, ys = x.tolist(), y.tolist()
taken = []
for _ in range(repeats):
    begin = time.perf_counter()
    plotext.clear_figure()
    plotext.plotsize(width, height)
    plotext.plot(xs, ys, marker="braille")
    text = plotext.build()
    taken.append(time.perf_counter() - begin)
print(json.dumps({"version": plotext.__version__, "taken": taken, "text": text}))
"""


class Stage(App[None]):
    """One curve that fills the terminal."""

    def compose(self) -> ComposeResult:
        yield Curve(legend=True)


def data(points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(points)
    return x, 1 + 3 * np.exp(-x / 9000) + np.random.default_rng(0).normal(0, 0.25, points)


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    call()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return taken


async def measured(repeats: int) -> dict[str, list[float]]:
    """Seconds of each redraw, by what is drawn."""
    found: dict[str, list[float]] = {}
    app = Stage()
    async with app.run_test(size=SIZE) as pilot:
        curve = app.query_one(Curve)
        x, y = data()

        def draw() -> object:
            return curve.draw(*SIZE)

        curve.set_series({"train": (x, y)})
        await pilot.pause()
        found[PLAIN] = timed(draw, repeats)
        curve.set(view=(40_000.0, 60_000.0))
        found["zoomed to a fifth"] = timed(draw, repeats)
        curve.set(view=None, log_y=True)
        found["logarithmic"] = timed(draw, repeats)
        curve.set(log_y=False)
        curve.set_series({"train": (x, y)}, {"train": "smoothed"})
        await pilot.pause()
        found["smoothed"] = timed(draw, repeats)
        curve.set(view=(40_000.0, 60_000.0))
        found["smoothed and zoomed"] = timed(draw, repeats)
        curve.set(view=None)
        found["a point more, smoothed: drawn, compared, sent"] = growing(curve, repeats)

        def anew() -> object:
            curve.set(smoothing=0.9 if curve.options.smoothing != 0.9 else 0.8)
            return curve.draw(*SIZE)

        found[ANEW] = timed(anew, repeats)
        runs = {f"run {n}": (x, y + n) for n in range(RUNS)}
        curve.set_series(runs, dict.fromkeys(runs, "smoothed"))
        await pilot.pause()
        found[MANY] = timed(draw, repeats)
    return found


def growing(curve: Curve, repeats: int) -> list[float]:
    x, y = data(POINTS + repeats + 1)
    end = POINTS

    def grow() -> None:
        nonlocal end
        end += 1
        curve.set_series({"train": (x[:end], y[:end])}, {"train": "smoothed"})

    return timed(grow, repeats)


def peers(python: str) -> tuple[str, list[float], list[float]]:
    """plotext by name, seconds to its own text, and seconds to turn that into Rich's."""
    arguments = map(str, (POINTS, *SIZE, PEER_REPEATS))
    try:
        told = subprocess.run([python, "-c", PEER, *arguments], capture_output=True, text=True,
                              check=True, timeout=300)  # fmt: skip
        found = json.loads(told.stdout)
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench_chart: {python} cannot draw with plotext: {error.stderr.splitlines()[-1]}")
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        sys.exit(f"bench_chart: {python} cannot draw with plotext: {error}")
    turned = timed(lambda: Text.from_ansi(found["text"]), PEER_REPEATS)
    return f"plotext {found['version']}", found["taken"], turned


def main() -> None:
    parser = argparse.ArgumentParser(description="What redrawing a curve costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="(20)")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with plotext, to compare with")
    chosen = parser.parse_args()
    before = machine()
    name, drawn, turned = peers(chosen.peers) if chosen.peers else ("", [], [])
    peer = statistics.median(drawn) * 1000 if drawn else None
    figures = []
    for what, taken in asyncio.run(measured(chosen.repeats)).items():
        limit = None if what in WITHOUT_GOAL else GOAL
        compared = (peer, name) if what == PLAIN else (None, "")
        figures.append(Figure(f"{what}: best", min(taken) * 1000, "ms"))
        middle = statistics.median(taken) * 1000
        figures.append(Figure(f"{what}: median", middle, "ms", *compared, limit))
    for what, taken in ((f"{name}: ", drawn), (f"{name}'s text turned into Rich's: ", turned)):
        if taken:
            figures.append(Figure(what + "best", min(taken) * 1000, "ms"))
            figures.append(Figure(what + "median", statistics.median(taken) * 1000, "ms"))
    report(before, figures, chosen.json)


if __name__ == "__main__":
    main()
