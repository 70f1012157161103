"""Many texts at once, for measuring: a step of all costs little more than a step of one."""

from collections.abc import Sequence

import numpy as np
import torch

from genui.engine.device import autocast
from genui.engine.generate.choosing import distribution, pick, uniform
from genui.engine.generate.filling import masked, spaced
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
    resumes: int | None = None,
    prefix: str = "",
) -> list[bytes]:
    """What follows the tokens of `prompt`, a text a seed, as `TextGenerator` would choose it.

    A text ends with its end token, with `until`, which stays in it, after `settings.tokens`,
    or where the context is full; of a gap where the suffix's first token `resumes` it, and what
    stands before is `prefix`. The
    numbers agree with those of a text alone to rounding.
    """
    model, tokenizer = generator.model, generator.tokenizer
    device = next(model.parameters()).device
    cache = KVCache(model.config, len(seeds), device)
    tokens = np.tile(np.array(prompt, np.int64), (len(seeds), 1))
    texts = [b""] * len(seeds)
    read = [list(prompt) for _ in seeds]  # what a penalty is for
    penalised = settings.repetition_penalty != 1
    open_rows = set(range(len(seeds)))
    steps = min(settings.tokens, model.config.context - len(prompt))
    for step in range(1, steps + 1):
        with autocast(generator.machine):
            logits = model(torch.from_numpy(tokens).to(device), cache)[:, -1].float().cpu().numpy()
        logits = masked(logits, tokenizer, resumes)
        if step == 1:
            logits = spaced(logits, tokenizer, prefix)
        tokens = np.zeros((len(seeds), 1), np.int64)
        for row in sorted(open_rows):
            seen = np.array(read[row]) if penalised else None
            chances = distribution(logits[row], settings, seen).probability
            token = pick(chances, uniform(seeds[row], step)).token
            tokens[row] = token
            read[row].append(token)
            texts[row] += tokenizer.token_bytes(token)
            if token == tokenizer.end or (until and until in texts[row]):
                open_rows.discard(row)
        if not open_rows:
            break
    return texts
