"""A trace of a small text model and what is looked at inside it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.protocol import Start, TextFrame, TextSettings

PROMPT = "to be"


def trace_of(generator: TextGenerator, steps: int = 30, prompt: str = PROMPT) -> Trace:
    settings = TextSettings(tokens=max(steps, 40))
    start = Start(trace=3, model="m", prompt=prompt, seed=1, settings=settings)
    trace = Trace(generator, start)
    list(trace.advance(0, steps))
    return trace


def frames_of(trace: Trace) -> list[TextFrame]:
    return [frame for frame in trace.advance(0, 1000) if isinstance(frame, TextFrame)]


def tokens_before(trace: Trace, step: int) -> list[int]:
    return trace.state(step - 1).token_ids.since(0).tolist()


@contextmanager
def edited_head(out: torch.nn.Module, head: slice, first: int = 0) -> Iterator[None]:
    """The input of a map out of attention without a head, from position `first` on."""

    def without(_: object, args: tuple[Tensor]) -> tuple[Tensor]:
        x = args[0].clone()
        x[:, first:, head] = 0
        return (x,)

    hook = out.register_forward_pre_hook(without)
    yield
    hook.remove()
