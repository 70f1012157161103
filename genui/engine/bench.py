"""The measurements of `genui bench` that compute: `python -m genui.engine.bench NAME JSON` makes
one in a process of its own and prints its result as a JSON line."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.engine import device
from genui.engine.estimate import peak_memory, trial_trainer
from genui.engine.utilization import measure_peak, profile_step
from genui.protocol import ImageSettings, Start, TextSettings
from genui.recipes import find_recipe, override

with late_imports():
    from genui.engine import load

Result = dict[str, Any]


def measure_products(threads: int) -> Result:
    """FLOPs per second of large matrix products, by precision."""
    threads = threads or device.default_threads()
    torch.set_num_threads(threads)
    chosen = device.choose_device()
    peaks = {
        precision: measure_peak(device.Machine(chosen, precision, threads))
        for precision in ("fp32", "bf16")
    }
    return {**peaks, "device": chosen, "threads": threads}


def measure_training(recipe: str, seconds: float, settings: Mapping[str, str]) -> Result:
    """Tokens or images per second of a training, its share of the peak, and its memory."""
    trainer, task, machine = trial_trainer(override(find_recipe(recipe), settings))
    trainer.train_step()  # allocates
    times: list[float] = []
    meter = device.start_meter()
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        trainer.train_step()
        times.append(time.perf_counter() - begin)
    step, energy = statistics.median(times), meter.take()
    return {
        "joules": energy.joules / len(times) / task.units_per_step,
        "energy": energy.describe(),
        "units_per_s": task.units_per_step / step,
        "step": step,
        "steps": len(times),
        "share": trainer.utilization.share(step),
        "memory": peak_memory(),
        "parameters": sum(p.numel() for p in task.model.parameters()),
        **machine.to_dict(),
    }


def measure_writing(model: str, prompt: str, tokens: int) -> Result:
    """Seconds of each token that a model writes, with its odds, as the app's worker makes them."""
    settings = TextSettings(tokens=tokens)
    times: list[float] = []
    cost: Result = {}
    for number in range(2):  # the first warms up
        frames = load.stream(
            Start(trace=1, model=model, prompt=prompt, seed=number, settings=settings)
        )
        next(frames)  # Started: the prompt was read
        meter = device.start_meter()
        begin = time.perf_counter()
        count = sum(1 for _ in frames)
        times.append((time.perf_counter() - begin) / max(1, count))
        energy = meter.take()
        cost = {"joules": energy.joules / max(1, count), "energy": energy.describe()}
    return {"seconds": times[-1], "threads": torch.get_num_threads(), **cost}


def measure_denoising(model: str, prompt: str, steps: int) -> Result:
    """Seconds of a denoising step of an image."""
    settings = ImageSettings(steps=steps)
    trace = load.open_trace(Start(trace=1, model=model, prompt=prompt, seed=1, settings=settings))
    times = []
    frames = trace.advance(0, steps)
    for _ in range(steps):
        begin = time.perf_counter()
        if next(frames, None) is None:
            break
        times.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(times[2:]), "threads": torch.get_num_threads()}


def profile_recipe(recipe: str, steps: int, settings: Mapping[str, str]) -> Result:
    """The seconds of each part of a training step."""
    trainer, _, machine = trial_trainer(override(find_recipe(recipe), settings))
    seconds = profile_step(trainer.train_step, machine, steps)
    share = trainer.utilization.share(sum(seconds.values()))
    return {"seconds": seconds, "share": share, **machine.to_dict()}


MEASUREMENTS: Mapping[str, Callable[..., Result]] = {
    "products": measure_products,
    "training": measure_training,
    "writing": measure_writing,
    "denoising": measure_denoising,
    "profile": profile_recipe,
}


def main() -> int:
    """Errors are one line on stderr."""
    _, name, options = sys.argv
    try:
        print("\n" + json.dumps(MEASUREMENTS[name](**json.loads(options))), flush=True)
    except GenuiError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
