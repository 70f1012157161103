"""The memory and the disk that fine-tuning takes."""

from collections.abc import Mapping

import psutil

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import free_space
from genui.base.numbers import size
from genui.kinds.open_text.data import load_rows, longest
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.recipes import override
from genui.runs.layout import KEEP_WEIGHTS
from genui.runs.models import find_model
from genui.runs.plan import Plan, size_of_states

PROCESS = 450 << 20
"""Bytes that a process with torch takes."""


def plan_fine_tuning(recipe: FineTuneRecipe) -> Plan:
    """The memory that fine-tuning takes, by the size of its base model; a fault if less is free.

    It is that of the weights, with mode=full also of their gradients and AdamW's two moments, and
    of the activations: about 25 √(30 P / 12) numbers a token for P parameters in 30 layers. A
    token is assumed to have 3 characters.
    """
    try:
        parameters = find_model(recipe.base).parameters
        tokens = min(recipe.context, longest(load_rows(recipe.dataset, recipe.data)) // 3)
    except GenuiError as error:
        return Plan(fault=str(error))

    def memory_of(settings: Mapping[str, str]) -> int:
        changed = override(recipe, settings)
        assert isinstance(changed, FineTuneRecipe)
        half = changed.precision == "bf16"
        weights = parameters * (16 if changed.mode == "full" else 2 if half else 4)
        of_step = changed.batch * min(tokens, changed.context)
        return PROCESS + weights + round(of_step * 100 * (30 * parameters / 12) ** 0.5)

    memory, free = memory_of({}), psutil.virtual_memory().available
    fault = ""
    if memory > free:
        changes: tuple[list[dict[str, str]], ...] = (  # of a setting each, the smallest first
            [{"mode": "lora"}],
            [{"precision": "bf16"}],
            [{"batch": str(recipe.batch >> n)} for n in range(1, recipe.batch.bit_length())],
            [{"context": str(tokens >> n)} for n in range(1, tokens.bit_length() - 3)],
        )
        fitting = [[each for each in of if memory_of(each) <= free] for of in changes]
        ways = [of[0] for of in fitting if of]
        together = {"mode": "lora", "precision": "bf16", "batch": "1"}
        together["context"] = str(min(tokens, 128))
        if not ways and memory_of(together) <= free:
            ways = [together]
        remedy = "no setting makes it fit: train a smaller model, or close other programs"
        if ways:
            texts = (" ".join(f"--set {k}={v}" for k, v in each.items()) for each in ways)
            remedy = f"take less with {' or '.join(texts)}, or close other programs"
        fault = (
            f"training {recipe.base} takes about {size(memory)} of memory and {size(free)} are "
            f"free; {remedy}"
        )
    written = _written(recipe, parameters) if recipe.mode == "full" else 0
    free_disk = free_space(paths.data_dir())
    if not fault and written > free_disk:
        fault = (
            f"the checkpoints take about {size(written)} and {size(free_disk)} are free on the "
            f"disk; write fewer with --set checkpoint_every={recipe.steps}, or --set mode=lora"
        )
    return Plan(memory=memory, fault=fault)


def _written(recipe: FineTuneRecipe, parameters: int) -> int:
    """Bytes of the checkpoints that a training with mode=full keeps: averaged weights, and with
    some of them the raw weights and AdamW's moments."""
    count = -(-recipe.steps // recipe.checkpoint_every)
    return parameters * 4 * min(count, KEEP_WEIGHTS) + size_of_states(recipe, parameters * 12)
