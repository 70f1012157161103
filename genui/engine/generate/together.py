"""Many texts at once, for measuring: a step of all costs little more than a step of one."""

from collections.abc import Sequence

import numpy as np
import torch

from genui.engine.device import autocast
from genui.engine.generate import grammar
from genui.engine.generate.choosing import drawn, penalises
from genui.engine.generate.filling import masked
from genui.engine.generate.kv_caches import span
from genui.engine.generate.text import TextGenerator
from genui.engine.models.transformer import KVCache
from genui.protocol import TextSettings


@torch.inference_mode()
def write_together(
    generator: TextGenerator,
    prompt: Sequence[int],
    seeds: Sequence[int],
    settings: TextSettings,
    until: bytes = b"",
) -> list[bytes]:
    """What follows the tokens of `prompt`, a text a seed, as `TextGenerator` would choose it.

    A text ends with its end token, with `until`, which stays in it, or after `settings.tokens`.
    The numbers agree with those of a text alone to rounding.
    """
    model, tokenizer = generator.model, generator.tokenizer
    device = next(model.parameters()).device
    penalised, constrained = penalises(settings), settings.grammar == "python"
    given = b"".join(map(tokenizer.token_bytes, prompt))
    texts = [b""] * len(seeds)
    rows = np.arange(len(seeds))  # that are still written
    read = np.tile(np.array(prompt, np.int64), (len(seeds), 1))
    cache, first = KVCache(model.config, len(seeds), device), -1
    for step in range(1, settings.tokens + 1):
        seen = span(read.shape[1], len(prompt), model.config.context)
        news = read[:, -1:]
        if seen.first != first:  # past the context it goes on from the newest half
            cache, first = KVCache(model.config, len(rows), device), seen.first
            news = read[:, first:]
        with autocast(generator.machine):
            answer = model(torch.from_numpy(news).to(device), cache)[:, -1].float().cpu()
        logits = masked(answer.numpy(), tokenizer)
        tokens = np.empty((len(rows), 1), np.int64)
        for at, row in enumerate(rows.tolist()):
            fits = grammar.following(given + texts[row], tokenizer) if constrained else None
            seen = read[at] if penalised else None
            _, draw = drawn(logits[at], settings, seen, (seeds[row], step), fits)
            tokens[at] = draw.token
            texts[row] += tokenizer.token_bytes(int(tokens[at, 0]))
        ended = [bool(until) and until in texts[row] for row in rows]
        still = np.flatnonzero(~(np.array(ended, bool) | (tokens[:, 0] == tokenizer.end)))
        if not len(still):
            break
        read = np.concatenate((read, tokens), axis=1)
        if len(still) < len(rows):
            rows, read = rows[still], read[still]
            cache.keep(torch.from_numpy(still).to(device))
    return texts
