"""How long quitting takes on a slow line with an image animating.

    python tests/bench/bench_quit.py

A terminal of 200×60 takes 100 KiB/s; the Canvas shows noise becoming an image in 999
steps. Timed from the key q until the process has gone and the terminal is itself again.
The peers: the same on a line without a limit, and an ordinary Textual app that shows the
same kind of image with rich-pixels, ten times a second, on the slow line.
"""

import sys
import time
from pathlib import Path

from harness import Figure, Terminal, arguments, home, machine, report, seconds, tiny

from genui.protocol.kinds import KINDS

RATE = 100 * 1024  # bytes a second
SIZE = (200, 60)
ANIMATED = 3.0  # seconds of animation before the key
AGAIN = rb"\x1b\[\?1049l"  # the terminal is the shell's
LIMIT = 1.0
LONGEST = 30.0  # seconds a peer is waited for

ORDINARY = """
import numpy as np
from PIL import Image
from rich_pixels import Pixels
from textual.app import App
from textual.widgets import Static

class Ordinary(App):
    BINDINGS = [("q", "quit")]

    def compose(self):
        yield Static("Models")

    def on_mount(self):
        self.random = np.random.default_rng(0)
        self.set_interval(0.1, self.paint)

    def paint(self):
        noise = self.random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        image = Image.fromarray(noise).resize((64, 64), Image.Resampling.NEAREST)
        self.query_one(Static).update(Pixels.from_image(image))

Ordinary().run()
"""


def leave(terminal: Terminal) -> float:
    """Seconds from q until the process has gone and the terminal is restored."""
    time.sleep(ANIMATED)
    pressed = terminal.press("q")
    try:
        code = terminal.wait(LONGEST)
    except AssertionError:
        return LONGEST
    gone = time.perf_counter()
    if code != 0:
        raise SystemExit(f"bench_quit: exit code {code}")
    return max(gone, terminal.until_sent(AGAIN)) - pressed


def ours(folder: Path, rate: float) -> float:
    with Terminal(size=SIZE, env={"GENUI_HOME": str(folder)}, bytes_a_second=rate) as terminal:
        terminal.until(lambda text: "✓ tiny" in text)
        terminal.press("G")  # the run is the first row: an image from it, in the Canvas
        terminal.until(lambda text: f"/{KINDS['diffusion', 'image'].defaults.steps}" in text)
        terminal.press("s")
        terminal.until(lambda text: "lassifier-free guidance" in text)
        terminal.press("k\r")
        terminal.until(lambda text: "Denoising steps" in text)
        terminal.press("999")  # what stands there is selected, and so replaced
        terminal.until(lambda text: "999" in text)
        terminal.press("\r")
        terminal.until(lambda text: "/999" in text)
        before = len(terminal.output)
        taken = leave(terminal)
        if len(terminal.output) - before < 10_000:
            raise SystemExit("bench_quit: nothing was animated")
        return taken


def ordinary(folder: Path) -> float:
    command = [sys.executable, "-c", ORDINARY]
    environment = {"GENUI_HOME": str(folder)}
    with Terminal(command, size=SIZE, env=environment, bytes_a_second=RATE) as terminal:
        terminal.until_sent(rb"\x1b\[\?1049h")
        return leave(terminal)


def main() -> None:
    args = arguments("time until the app is gone", repeats=3)
    before = machine()
    with home() as folder:
        tiny.train_icons(folder)
        slow = [ours(folder, RATE) for _ in range(args.repeats)]
        fast = [ours(folder, 0) for _ in range(args.repeats)]
        peer = ordinary(folder)
    figures: list[Figure] = [
        seconds("quit at 100 KiB/s, an image animating", slow, fast, "without a limit", LIMIT),
        seconds("the same, slowest", [max(slow)], [peer], "an ordinary app at 100 KiB/s", LIMIT),
        seconds("quit without a limit, an image animating", fast),
    ]
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
