"""Many texts at once, for measuring: a step of all costs little more than a step of one."""

from collections.abc import Sequence

import numpy as np

from genui.engine.generate import grammar
from genui.engine.generate.choosing import drawn, penalises
from genui.engine.generate.filling import masked
from genui.engine.generate.reader import RowReader
from genui.engine.generate.text import TextGenerator
from genui.protocol import TextSettings


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
    tokenizer = generator.tokenizer
    penalised, constrained = penalises(settings), settings.grammar == "python"
    given = b"".join(map(tokenizer.token_bytes, prompt))
    texts = [b""] * len(seeds)
    rows = np.arange(len(seeds))  # that are still written
    read = np.tile(np.array(prompt, np.int64), (len(seeds), 1))
    reader = RowReader(generator.model, generator.machine, len(seeds), len(prompt))
    for step in range(1, settings.tokens + 1):
        logits = masked(reader.logits(read), tokenizer)
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
            reader.select(still)
    return texts
