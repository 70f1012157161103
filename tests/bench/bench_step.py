"""How long a step of an image takes to be painted: forward with the model, back without.

    python tests/bench/bench_step.py

The app, in a real terminal of 120×40, holds a trace of the shipped `emoji`; each
key is timed from the write to the terminal until the new step's number has arrived there.
The peer is one model evaluation alone, in this process, with the worker's threads.
"""

import re
import statistics
import time

from harness import Figure, Terminal, arguments, home, machine, percentile, report

from genui.protocol import ImageSettings, Start

STEPS = 400
LEFT, RIGHT = "\x1b[D", "\x1b[C"
GAP = 0.1  # seconds between keys
BEYOND = 50  # ms that a step may take beyond the model's evaluation


def shown(terminal: Terminal) -> int:
    """The step the Canvas says it is at, -1 where it says none."""
    found = re.search(rf"(\d+)/{STEPS}\b", terminal.text)
    return int(found[1]) if found else -1


def answer_times(terminal: Terminal, key: str, by: int, presses: int) -> list[float]:
    """Milliseconds from each key to the step it leads to."""
    found = []
    for _ in range(presses):
        terminal.settle()
        wanted = shown(terminal) + by
        pressed = terminal.press(key)
        arrived = terminal.until_drawn(lambda wanted=wanted: shown(terminal) == wanted)
        found.append(1000 * (arrived - pressed))
        time.sleep(GAP)
    return found


def in_the_app(presses: int) -> tuple[list[float], list[float]]:
    """Forward to steps not computed yet, and back over steps that are."""
    with home() as folder, Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
        terminal.until(lambda text: "fp32" in text)
        terminal.press("3")
        terminal.until(lambda text: "Noise schedule" in text)
        terminal.press("s")
        terminal.until(lambda text: "lassifier-free guidance" in text)
        terminal.press("k\r")
        terminal.until(lambda text: "Denoising steps" in text)
        terminal.press(f"{STEPS}\r")
        terminal.until(lambda text: "steps" in text and str(STEPS) in text)
        terminal.press("s")
        terminal.press(RIGHT)  # begins the trace
        terminal.until_drawn(lambda: shown(terminal) == 1)
        forward = answer_times(terminal, RIGHT, 1, presses)
        back = answer_times(terminal, LEFT, -1, presses)
        return forward, back


def evaluations(repeats: int) -> list[float]:
    """Milliseconds of one step of DPM-Solver++ 2M, which asks the model once.

    As far apart as the keys are: a processor that has just rested is slower.
    """
    from genui.engine.load import open_trace

    settings = ImageSettings(steps=STEPS)
    trace = open_trace(Start(trace=1, model="emoji", prompt="cat", seed=1, settings=settings))
    found = []
    frames = trace.advance(0, repeats + 5)
    for _ in range(repeats + 5):
        begin = time.perf_counter()
        next(frames)
        found.append(1000 * (time.perf_counter() - begin))
        time.sleep(GAP)
    return found[5:]


def main() -> None:
    args = arguments("time until a step of an image is painted", repeats=40)
    before = machine()
    forward, back = in_the_app(args.repeats)
    alone = statistics.median(evaluations(args.repeats))
    limit = alone + BEYOND
    figures = [
        Figure("one step of the model alone, median", alone, "ms"),
        Figure("step forward, median", statistics.median(forward), "ms", alone, "the model alone"),
        Figure("step forward, 95th percentile", percentile(forward, 95), "ms", alone,
               "the model alone", limit),
        Figure("step back, median", statistics.median(back), "ms"),
        Figure("step back, 95th percentile", percentile(back, 95), "ms", limit=BEYOND),
    ]  # fmt: skip
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
