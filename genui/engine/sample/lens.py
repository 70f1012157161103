"""Looking inside: what a network computed for a token that it wrote, read in a second pass."""

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.base.errors import MisuseError
from genui.engine.device import autocast
from genui.engine.models.language_model import LayeredModel
from genui.engine.sample.inside import (
    Record,
    intervening,
    parts_of,
    recording,
    relative_to,
)
from genui.engine.sample.logits import NEVER
from genui.engine.sample.tokens import TokenGenerator, TokenState
from genui.engine.sample.trace import Trace
from genui.engine.sample.windows import span
from genui.protocol import Attention, LayerOdds, Layers, LogitBase, Tokens

TOP = 6
"""The number of likeliest tokens of a layer."""


def _look_before(
    trace: Trace, step: int, what: str
) -> tuple[TokenGenerator[TokenState], TokenState]:
    """The generator, and the state from which it drew the token of `step`. Raises MisuseError for
    models that write no tokens, and for a step that was not computed."""
    generator = trace.generator
    if not isinstance(generator, TokenGenerator):
        raise MisuseError(f"{what} of models that write tokens on this machine")
    if not 1 <= step <= trace.reached:
        raise MisuseError(
            f"step {step}: this trace has tokens 1 to {trace.reached}; ask for one of them"
            if trace.reached
            else f"step {step}: this trace has no token yet; take a step first"
        )
    return generator, trace.state(step - 1)


def attention(trace: Trace, step: int) -> Attention:
    """The attention weights for the token at `step`, float16 [layers, heads, T].

    The token was sampled from the logits of the position before it, so the weights are those of
    that position's query over the T tokens of the context, of which it is the last. They are
    computed in one pass and agree to rounding with those of generation, token by token.

    For a network without attention there are no weights, and `fault` says so. Raises MisuseError
    for models that write no tokens, and for a step that was not computed.
    """
    generator, state = _look_before(trace, step, "attention is")
    context = span(len(state.token_ids), state.prompt, generator.model)
    token_ids = state.token_ids.since(context.first).tolist()
    row = torch.tensor([token_ids], device=generator.model.device)
    interventions = relative_to(state.interventions, context.first)
    with (
        torch.inference_mode(),
        autocast(generator.machine),
        intervening(generator.model, interventions),
    ):
        weights = generator.model.attention_weights(row)
    reply = Attention(trace=trace.request.trace, step=step, first=context.first)
    if weights is None:
        fault = f"A {generator.family} network has no attention: a step sees only its state"
        return msgspec.structs.replace(reply, fault=fault)
    layers, _, heads, _, _ = weights.shape
    return msgspec.structs.replace(
        reply,
        layers=layers,
        heads=heads,
        texts=generator.spell(token_ids),
        weights=weights[:, 0, :, 0].to("cpu", torch.float16).numpy().tobytes(),
    )


@torch.inference_mode()
def read_layers(trace: Trace, step: int, over: LogitBase = "other") -> Layers:
    """The logit lens (nostalgebraist 2020) of the token at `step`, and what each head and
    feed-forward added to its logit (direct logit attribution, Elhage et al. 2021) over that of the
    likeliest other token, or over the mean of the vocabulary.

    The last token before it is read again, exactly as it was read in generation. Tokens that could
    not be drawn are left out of the odds. Raises what `attention` raises.
    """
    generator, state = _look_before(trace, step, "layers are")
    model = generator.model
    reply = Layers(trace=trace.request.trace, step=step, over=over)
    if not isinstance(model, LayeredModel) or not parts_of(model):
        return msgspec.structs.replace(reply, fault="This model does not show its layers")
    with recording(model) as record:
        generator.read_again(state)
    (token,) = next(trace.advance(step - 1, 1)).token_ids
    with autocast(generator.machine):
        logits = model.read_out(torch.stack(record.streams)).float()  # [L + 1, V]
    own = torch.from_numpy(state.logits).to(logits.device)
    logits.masked_fill_(own <= NEVER, NEVER)
    logits[-1] = own  # equal but for rounding: these are the ones that it was drawn from
    layers, tops = _layer_odds(generator, logits, token)
    others = own.clone()
    others[token] = -torch.inf
    other = int(others.argmax())
    return msgspec.structs.replace(
        _attribute(model, record, reply, token, other if over == "other" else None),
        token=generator.name(token),
        other=generator.name(other),
        layers=layers,
        settled=max((at + 1 for at, top in enumerate(tops) if top != tops[-1]), default=0),
        mixer=record.parts[0].name,
    )


def read_tokens(trace: Trace, step: int) -> Tokens:
    """The ids of all tokens of the model's input at `step`.

    Raises MisuseError for models that write no tokens, and for a step that was not computed.
    """
    if not isinstance(trace.generator, TokenGenerator) or not 0 <= step <= trace.reached:
        raise MisuseError(f"step {step}: this trace has no tokens there; let it be written first")
    token_ids = trace.state(step).token_ids.since(0).tolist()
    return Tokens(trace=trace.request.trace, step=step, token_ids=tuple(token_ids))


def _layer_odds(
    generator: TokenGenerator[TokenState], logits: Tensor, token: int
) -> tuple[tuple[LayerOdds, ...], list[int]]:
    """The odds of each layer by its logits [L + 1, V], and its likeliest token."""
    log_odds = logits.log_softmax(-1)
    odds = log_odds.exp()
    entropy = -(odds * log_odds).sum(-1) / np.log(2)
    rank = (logits > logits[:, token, None]).sum(-1) + 1
    best = odds.topk(min(TOP, odds.shape[-1]), dim=-1)
    tokens, shares = best.indices.tolist(), best.values.tolist()
    layers = tuple(
        LayerOdds(
            tuple((generator.name(t), share) for t, share in zip(*row, strict=True)),
            chosen,
            place,
            bits,
        )
        for row, chosen, place, bits in zip(
            zip(tokens, shares, strict=True),
            odds[:, token].tolist(),
            rank.tolist(),
            entropy.tolist(),
            strict=True,
        )
    )
    return layers, [row[0] for row in tokens]


def _attribute(
    model: LayeredModel, record: Record, reply: Layers, token: int, other: int | None
) -> Layers:
    """The reply with what each part added to the token's logit, less that of the other one; None is
    the mean over the vocabulary."""
    last = record.streams[-1]
    (towards, constant), (away, less) = (
        model.token_directions(
            last, None if one is None else torch.tensor([one], device=last.device)
        )
        for one in (token, other)
    )
    direction = (towards - away)[0]
    heads = [(record.heads_of(at) @ direction).tolist() for at in range(len(record.parts))]
    fed = (torch.stack(record.fed) @ direction).tolist()
    difference = float(last @ direction + (constant - less)[0])
    return msgspec.structs.replace(
        reply,
        heads=tuple(map(tuple, heads)),
        feed_forward=tuple(fed),
        rest=difference - sum(map(sum, heads)) - sum(fed),
        difference=difference,
    )
