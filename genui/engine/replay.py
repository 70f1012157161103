"""Prepare this process to replay a saved generation, without a worker or the app."""

from dataclasses import replace

import torch

from genui.base.errors import GenuiError
from genui.engine import device
from genui.engine.load import find_and_load, fingerprint_of, precision_of
from genui.engine.loading import SILENT, LoadProgress
from genui.formats.recipe import Machine, TraceRecipe, to_start

MAX_THREADS = 256  # larger numbers in a file are ignored


def machine() -> Machine:
    """The machine on which this process generates."""
    return _describe(device.for_generation())


def prepare(recipe: TraceRecipe, name: str, progress: LoadProgress = SILENT) -> Machine:
    """Load the recipe's model in its precision and set its number of threads, which determine how
    sums are rounded, so that `stream` gives the same bits. Returns the machine.

    Raises GenuiError, one line that begins with `name`, if the model is missing or has other
    weights.
    """
    try:
        fingerprint = fingerprint_of(recipe.model)
    except GenuiError as error:
        raise GenuiError(f"{name}: its model '{recipe.model}' is missing ({error})") from None
    # The steps of a record need no weights; steps beyond it are asked again.
    if recipe.fingerprint != fingerprint and not recipe.record:
        raise GenuiError(
            f"{name}: was made with weights {recipe.fingerprint or 'unknown'}, and "
            f"'{recipe.model}' here has {fingerprint}; replay it with the weights it names"
        )
    recorded = to_start(recipe).precision
    # Sets this machine's own number of threads.
    generator = find_and_load(recipe.model, precision=recorded, progress=progress)
    chosen = device.for_generation(recorded)
    chosen = replace(chosen, precision=precision_of(generator) or chosen.precision)
    if 0 < recipe.machine.threads <= MAX_THREADS:
        chosen = replace(chosen, threads=recipe.machine.threads)
        torch.set_num_threads(chosen.threads)
    return _describe(chosen)


def _describe(chosen: device.Machine) -> Machine:
    return Machine(
        device=chosen.device,
        precision=chosen.precision,
        threads=chosen.threads,
        processor=device.processor_name()[:200],
        torch=str(torch.__version__),
    )
