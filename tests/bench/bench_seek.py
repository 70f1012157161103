"""What seeking in a long trace costs, and what memory it takes.

    python tests/bench/bench_seek.py [--json] [--repeats N]

An image of 1,000 steps is drawn once by a very small network, and 1,000 tokens are written
by the shipped `shakespeare`; then each repeat asks for the frame of a random step, which is
computed again from the nearest state that is kept. The goal is 10 % of the time that the
whole trace took. Memory is that of the tensors of every state
alive after 1,000 and after 10,000 steps, for which noise is added back at the end nine times.
"""

import gc
import random
import sys
import time
from collections.abc import Iterable

import torch
from harness import Figure, arguments, machine, percentile, report

from genui.engine.data.captions import Vocabulary
from genui.engine.device import Machine
from genui.engine.load import open_trace
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import DiT, DiTConfig
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import DiffusionState
from genui.engine.sample.trace import RECENT, SPREAD, Trace
from genui.protocol import AddNoise, EditAt, ImageSettings, Start, TextSettings

STEPS = 1000
GOAL = 0.10  # of the whole
LONG = 10  # times STEPS, for the memory
MAX_STATES = RECENT + SPREAD + 2  # the last few, the spread with both its ends, and one in hand
MAX_MEMORY = MAX_STATES * 3 * 3 * 32 * 32 * 4 / 2**20  # three images a state, in MiB


def tiny_generator() -> DiffusionGenerator:
    """A network so small that a step costs little: what is kept does not depend on its size."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.build(["cat"])
    config = DiTConfig(vocabulary.size, 6, 16, patch=8, layers=1, width=32, heads=2)
    return DiffusionGenerator(EDMDenoiser(DiT(config), 0.75), vocabulary, Machine("cpu", "fp32", 1))


def opened(generator: DiffusionGenerator, times: int = 1) -> Trace:
    """A trace of `times` × STEPS steps: noise is added back at the end of each but the last."""
    again = tuple(EditAt(step=STEPS * i, edit=AddNoise(to=0)) for i in range(1, times))
    settings = ImageSettings(steps=STEPS)
    start = Start(trace=1, model="m", prompt="cat", seed=1, settings=settings, edits=again)
    return Trace(generator, start)


def seconds(work: Iterable[object]) -> float:
    begin = time.perf_counter()
    for _ in work:
        pass
    return time.perf_counter() - begin


def held() -> tuple[int, int]:
    """States alive in this process, and the bytes of their tensors, each counted once."""
    gc.collect()
    states = [it for it in gc.get_objects() if type(it) is DiffusionState]
    storages: dict[int, int] = {}
    for state in states:
        before = (tensor for point in state.history for tensor in (point.x, point.denoised))
        for tensor in (state.x, state.denoised, state.token_ids, *before):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return len(states), sum(storages.values())


def text() -> Trace:
    """A trace of STEPS tokens, four times what the model's context holds."""
    settings = TextSettings(tokens=STEPS)
    return open_trace(
        Start(trace=1, model="shakespeare", prompt="ROMEO:", seed=1, settings=settings)
    )


def sought(trace: Trace, repeats: int) -> tuple[float, list[float]]:
    """Seconds for the whole trace, and for a step after it, at random."""
    whole = seconds(trace.advance(0, STEPS))
    chosen = random.Random(0)
    return whole, [seconds(trace.advance(chosen.randrange(STEPS), 1)) for _ in range(repeats)]


def main() -> None:
    args = arguments("seeking in a long trace, and its memory", repeats=50)
    before = machine()
    generator = tiny_generator()
    trace = opened(generator)
    whole, shown = sought(trace, args.repeats)
    short = held()
    del trace
    trace = opened(generator, LONG)
    furthest = sum(1 for _ in trace.advance(0, LONG * STEPS))
    long = held()
    written, read = sought(text(), args.repeats)
    figures = [
        seconds_figure(f"seek to a token of {STEPS:,}, median", percentile(read, 50), written),
        seconds_figure(f"seek to a token of {STEPS:,}, slowest", max(read), written),
        seconds_figure(f"seek to a step of {STEPS:,}, median", percentile(shown, 50), whole),
        seconds_figure(f"seek to a step of {STEPS:,}, slowest", max(shown), whole),
        Figure(f"states kept of {STEPS:,} steps", short[0], "", limit=MAX_STATES),
        Figure(f"states kept of {furthest:,} steps", long[0], "", limit=MAX_STATES),
        Figure(f"memory of {STEPS:,} steps", short[1] / 2**20, "MiB"),
        Figure(f"memory of {furthest:,} steps", long[1] / 2**20, "MiB", limit=MAX_MEMORY),
    ]
    report(before, figures, args.json)
    if any(figure.limit is not None and figure.value > figure.limit for figure in figures):
        sys.exit(1)


def seconds_figure(name: str, taken: float, whole: float) -> Figure:
    return Figure(name, taken, "s", whole, "the whole trace", GOAL * whole)


if __name__ == "__main__":
    main()
