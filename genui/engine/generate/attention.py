"""Where a model that writes looked when it chose a token."""

import torch

from genui.engine.device import autocast
from genui.engine.generate.kv_caches import span
from genui.engine.generate.music import MusicGenerator, MusicState
from genui.engine.generate.text import TextGenerator, TextState
from genui.engine.generate.trace import Trace
from genui.errors import MisuseError
from genui.protocol import Attention


def attention(trace: Trace, step: int) -> Attention:
    """What the token chosen at `step` was computed from.

    The token was chosen from the logits of the position before it, so the weights are those
    of that position's query over all tokens that the model saw, itself the last; of every
    layer and head, as float16 [layers, heads, T]. They are computed in one pass, so they
    agree to rounding with those of the generation, which read a token at a time.

    Raises MisuseError for what writes neither text nor music, and for a step not reached.
    """
    generator, reached = trace.generator, trace.reached
    if not isinstance(generator, TextGenerator | MusicGenerator):
        raise MisuseError("attention is of models that write text or music")
    if not 1 <= step <= reached:
        raise MisuseError(
            f"step {step}: this trace has tokens 1 to {reached}; ask for one of them"
            if reached
            else f"step {step}: this trace has no token yet; take a step first"
        )
    state: TextState | MusicState = trace.state(step - 1)
    seen = span(len(state.tokens), state.prompt, generator.model.config.context)
    tokens = state.tokens.since(seen.first).tolist()
    row = torch.tensor([tokens], device=next(generator.model.parameters()).device)
    with torch.inference_mode(), autocast(generator.machine):
        weights = generator.model.attention_weights(row)[:, 0, :, 0]
    layers, heads, _ = weights.shape
    return Attention(
        trace=trace.request.trace,
        step=step,
        layers=layers,
        heads=heads,
        texts=generator.spelled(tokens),
        first=seen.first,
        weights=weights.to("cpu", torch.float16).numpy().tobytes(),
    )
