"""What a saved generation needs to be made again in this process: no worker, no app."""

from dataclasses import replace

import torch

from genui.base.errors import GenuiError
from genui.engine import device
from genui.engine.load import find_and_load, fingerprint_of
from genui.formats.recipe import Machine, TraceRecipe

MOST_THREADS = 256  # that a file is believed


def machine() -> Machine:
    """What this process generates on."""
    return _described(device.for_generation())


def prepare(recipe: TraceRecipe, name: str) -> Machine:
    """Load the recipe's model and hold this process to its number of threads, which decides
    how sums are rounded; from then on `stream` makes it again. Returns the machine it is on.

    Raises GenuiError, one line that begins with `name`, where the model is missing or has
    other weights.
    """
    try:
        here = fingerprint_of(recipe.model)
    except GenuiError as error:
        raise GenuiError(
            f"{name}: its model '{recipe.model}' is not to be had here ({error})"
        ) from None
    if recipe.fingerprint != here:
        raise GenuiError(
            f"{name}: was made with weights {recipe.fingerprint or 'unknown'}, and "
            f"'{recipe.model}' here has {here}; replay it with the weights it names"
        )
    find_and_load(recipe.model)  # sets the number of threads that is this machine's own
    chosen = device.for_generation()
    if 0 < recipe.machine.threads <= MOST_THREADS:
        chosen = replace(chosen, threads=recipe.machine.threads)
        torch.set_num_threads(chosen.threads)
    return _described(chosen)


def _described(chosen: device.Machine) -> Machine:
    return Machine(
        device=chosen.device,
        precision=chosen.precision,
        threads=chosen.threads,
        processor=device.processor_name()[:200],
        torch=str(torch.__version__),
    )
