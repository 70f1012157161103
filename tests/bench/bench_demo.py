"""What the live Home costs: first movement, keys while it plays, and quiet after its rounds.

    python tests/bench/bench_demo.py [--repeats 10] [--after SECONDS]

The app on an empty home, in a real terminal of 120×40. Timed are the first movement after the
first paint, and the first key, which ends the demo, from the write to the terminal until the choice
has moved. Then the demo plays to its end, and for twenty seconds the bytes that arrive
and the processor time of the app and its worker are counted.
"""

import argparse
import time

import psutil
from bench_keys import DOWN, GAP, chosen
from harness import Figure, Terminal, home, machine, percentile, report, seconds

PLAYS = 6.0  # seconds of the demo before the key
QUIET = 20.0  # seconds
MOVING = "▀▄█"  # of which an image in half-blocks is made


def start(folder: str) -> Terminal:
    terminal = Terminal(env={"GENUI_HOME": folder, "GENUI_QUIET": "off"})
    terminal.until(lambda text: "─ Models " in text)
    return terminal


def first_movement(terminal: Terminal) -> float:
    """Seconds from the first paint until an image moves on the Canvas."""
    painted = time.perf_counter()
    return terminal.until(lambda text: sum(map(text.count, MOVING)) > 300) - painted


def first_key(terminal: Terminal) -> float:
    """Milliseconds from a key to its answer while the demo plays."""
    time.sleep(PLAYS)
    terminal.settle()
    before = chosen(terminal)
    pressed = terminal.press(DOWN)
    time.sleep(GAP)
    return 1000 * (terminal.until_drawn(lambda: chosen(terminal) not in (None, before)) - pressed)


def processor_time(pid: int) -> float:
    """Seconds so far of a process and its children."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def quiet(terminal: Terminal, after: float) -> tuple[int, float]:
    """(bytes, share of a core in per cent) once the demo has ended."""
    time.sleep(after)
    sent, spent = len(terminal.output), processor_time(terminal.process.pid)
    time.sleep(QUIET)
    taken = processor_time(terminal.process.pid) - spent
    return len(terminal.output) - sent, 100 * taken / QUIET


def main() -> None:
    parser = argparse.ArgumentParser(description="the live Home")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--after", type=float, default=150, help="seconds until its rounds end")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    before = machine()
    moved, answered = [], []
    for _ in range(args.repeats):
        with home() as folder, start(str(folder)) as terminal:
            moved.append(first_movement(terminal))
            answered.append(first_key(terminal))
    with home() as folder, start(str(folder)) as terminal:
        octets, share = quiet(terminal, args.after)
    figures = [
        seconds("first movement after the first paint", moved),
        Figure("key answered while it plays, median", percentile(answered, 50), "ms"),
        Figure("key answered while it plays, 95th percentile", percentile(answered, 95), "ms"),
        Figure("bytes in 20 s after its rounds", octets, "B"),
        Figure("processor after its rounds", share, "% of a core"),
    ]
    report(before, figures, args.json)


if __name__ == "__main__":
    main()
