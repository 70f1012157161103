"""Where a model that writes looked when it chose a token."""

import msgspec
import torch

from genui.engine.device import autocast
from genui.engine.generate.reader import span
from genui.engine.generate.token_frame import TokenState
from genui.engine.generate.token_generator import TokenGenerator
from genui.engine.generate.trace import Trace
from genui.errors import MisuseError
from genui.protocol import Attention


def attention(trace: Trace, step: int) -> Attention:
    """What the token chosen at `step` was computed from.

    The token was chosen from the logits of the position before it, so the weights are those
    of that position's query over all tokens that the model saw, itself the last; of every
    layer and head, as float16 [layers, heads, T]. They are computed in one pass, so they
    agree to rounding with those of the generation, which read a token at a time.

    Of a network without attention the answer has no weights, and `fault` says so. Raises
    MisuseError for what writes neither text nor music, and for a step not reached.
    """
    generator, reached = trace.generator, trace.reached
    if not isinstance(generator, TokenGenerator):
        raise MisuseError("attention is of models that write text or music")
    if not 1 <= step <= reached:
        raise MisuseError(
            f"step {step}: this trace has tokens 1 to {reached}; ask for one of them"
            if reached
            else f"step {step}: this trace has no token yet; take a step first"
        )
    state: TokenState = trace.state(step - 1)
    seen = span(len(state.token_ids), state.prompt, generator.model)
    token_ids = state.token_ids.since(seen.first).tolist()
    row = torch.tensor([token_ids], device=generator.model.device)
    with torch.inference_mode(), autocast(generator.machine):
        weights = generator.model.attention_weights(row)
    answer = Attention(trace=trace.request.trace, step=step, first=seen.first)
    if weights is None:
        fault = f"A {generator.family} network has no attention: a step sees only its state"
        return msgspec.structs.replace(answer, fault=fault)
    layers, _, heads, _, _ = weights.shape
    return msgspec.structs.replace(
        answer,
        layers=layers,
        heads=heads,
        texts=generator.spelled(token_ids),
        weights=weights[:, 0, :, 0].to("cpu", torch.float16).numpy().tobytes(),
    )
