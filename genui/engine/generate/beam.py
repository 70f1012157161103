"""The likeliest filling of a gap, by beam search (Graves 2012; Sutskever et al. 2014, §3.2)."""

import numpy as np
import torch

from genui.engine.generate.filling import masked, spaced
from genui.engine.generate.reader import read
from genui.engine.generate.text import TextGenerator


def likeliest(
    generator: TextGenerator, prompt: list[int], prefix: str, width: int, most: int
) -> list[int]:
    """The tokens that fill a gap, without the end token, which is found within `most` tokens.

    `prompt` is what the model reads of the gap (`fim.asked`), `prefix` the text before it. Of
    all beginnings the `width` likeliest are gone on with; a filling counts with the
    probability of its end. With a `width` of 1 this is greedy choosing. Empty where none ends.
    """
    model, tokenizer = generator.model, generator.tokenizer
    assert tokenizer.end is not None
    state = model.new_state(1)
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    best: tuple[float, list[int]] = (-np.inf, [])
    token_ids = np.array([prompt], np.int64)
    for step in range(min(most, model.context - len(prompt))):
        logits = masked(read(model, generator.machine, token_ids, state), tokenizer)
        if step == 0:
            logits = spaced(logits, tokenizer, prefix)
        chances = torch.from_numpy(logits).log_softmax(-1).numpy()
        scores = np.array([score for score, _ in beams])[:, None] + chances
        order = np.argsort(scores, axis=None)[::-1][: 2 * width]
        rows, tokens = np.unravel_index(order, scores.shape)
        for row, token in zip(rows[:width], tokens[:width], strict=True):
            if token == tokenizer.end:
                best = max(best, (float(scores[row, token]), beams[row][1]))
        open_ = np.flatnonzero(tokens != tokenizer.end)[:width]
        rows, tokens = rows[open_], tokens[open_]
        if scores[rows[0], tokens[0]] <= best[0]:  # none that goes on can become likelier
            break
        beams = [
            (float(scores[row, token]), [*beams[row][1], int(token)])
            for row, token in zip(rows, tokens, strict=True)
        ]
        state.select(torch.from_numpy(rows).to(model.device))
        token_ids = tokens[:, None]
    return best[1]
