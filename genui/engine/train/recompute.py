"""Activation checkpointing (Chen et al. 2016): a block keeps its input and is computed again in the
backward pass, to the same bits. It takes less memory and more time."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from genui.base.errors import MisuseError
from genui.engine.utilization import not_counting


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first computation, and around the second, which is not the model's work."""
    return nullcontext(), not_counting()


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a network: the modules in lists of the name `blocks`, inner ones first."""
    lists = [
        module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == "blocks" and isinstance(module, nn.ModuleList)
    ]
    return [block for blocks in reversed(lists) for block in blocks]


def checkpoint_blocks(model: nn.Module) -> None:
    """Let the blocks of a network be computed again. Raises MisuseError if it has none."""
    blocks = blocks_of(model)
    if not blocks:
        raise MisuseError("checkpoint_activations=true: this kind of network has no blocks")
    for block in blocks:
        # Without gradients `checkpoint` only calls it. A copy of the model (EMA) has its own.
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, context_fn=_contexts
        )
