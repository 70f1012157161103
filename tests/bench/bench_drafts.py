"""What drafts save: many seeds stopped at a step and some finished, against all of them finished.

    python -m tests.bench drafts [MODEL …] [--drafts 24] [--finished 3] [--rounds 3]   (a minute)

Each trace is computed as in the app and in the shell, for the first caption of the model's recipe
with its default settings; drafts stop after a third of the steps. A line has both ways, in turn in
each round: how often the network ran, and the median of the processor's seconds. Then the same
seeds are drawn as the rows of one batch: how many images have other bits than alone, which is why
drafts are no batch, and what a batch takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from harness import machine, report_machine

from genui.engine.load import find_and_load, open_trace
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.formats.image import pixels
from genui.protocol import ImageFrame, ImageSettings, Start
from genui.recipes import find_recipe
from genui.runs.models import find_model


class Model:
    """A model that counts how often its network runs."""

    def __init__(self, name: str) -> None:
        generator = find_and_load(name)
        assert isinstance(generator, DiffusionGenerator)
        self.name, self.generator, self.runs = name, generator, 0
        self.prompt = find_recipe(name).prompts[0]
        settings = find_model(name).defaults
        assert isinstance(settings, ImageSettings)
        self.settings = settings
        evaluate = generator._evaluate

        def count(*args, **more):
            self.runs += 1
            return evaluate(*args, **more)

        generator._evaluate = count

    def draw(self, seeds: Sequence[int], stop_at: int, finished: int) -> list[ImageFrame]:
        """The last frame of each seed: the first `finished` go on to the end."""
        settings, last = self.settings, []
        for seed in seeds:
            start = Start(
                trace=0, model=self.name, prompt=self.prompt, seed=seed, settings=settings
            )
            trace = open_trace(start)
            frames = list(trace.advance(0, stop_at))
            if len(last) < finished:  # as after a mark, from where it stopped
                frames += trace.advance(stop_at, settings.steps - stop_at)
            last.append(frames[-1])
        return last


def timed(model: Model, work: Callable[[], object]) -> tuple[int, float]:
    """How often the network ran, and the processor's seconds."""
    before, begin = model.runs, time.process_time()
    work()
    return model.runs - before, time.process_time() - begin


def measure(model: Model, count: int, finished: int, rounds: int) -> None:
    seeds, steps = range(1, count + 1), model.settings.steps
    stop_at = max(1, steps // 3)
    ways = {
        f"{count} at step {stop_at} of {steps}, {finished} finished": lambda: model.draw(
            seeds, stop_at, finished
        ),
        f"{count} finished": lambda: model.draw(seeds, stop_at, count),
        f"{count} finished, one batch": lambda: model.generator.draw(
            [model.prompt] * count, list(seeds), model.settings
        ),
    }
    results = [{name: timed(model, work) for name, work in ways.items()} for _ in range(rounds)]
    for name in ways:
        runs = results[0][name][0]
        seconds = statistics.median(result[name][1] for result in results)
        print(f"{model.name:10} {name:34} {runs:4} runs of the network  {seconds:6.2f} s")
    batch = model.generator.draw([model.prompt] * count, list(seeds), model.settings)
    alone = [pixels(frame, "x") for frame in model.draw(seeds, stop_at, count)]
    other = sum(not np.array_equal(*pair) for pair in zip(batch, alone, strict=True))
    print(f"{model.name:10} {other} of {count} images have other bits in a batch than alone")


def main() -> None:
    parser = argparse.ArgumentParser(description="What drafts save.")
    parser.add_argument("models", nargs="*", default=["icons", "fashion"])
    parser.add_argument("--drafts", type=int, default=24)
    parser.add_argument("--finished", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    before = machine()
    for name in args.models:
        measure(Model(name), args.drafts, args.finished, args.rounds)
    report_machine(before)


if __name__ == "__main__":
    main()
