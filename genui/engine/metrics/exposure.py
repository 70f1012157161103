"""How much better a language model knows canaries than lines that were not planted."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from genui.engine.data.canaries import CANDIDATES, EACH, TIMES, make_canaries
from genui.engine.data.tokenizer import Tokenizer
from genui.engine.device import Machine, autocast
from genui.engine.models.language_model import LanguageModel

BATCH = 16


@torch.inference_mode()
def token_nats(
    model: LanguageModel, machine: Machine, texts: Sequence[Sequence[int]]
) -> list[NDArray[np.float32]]:
    """The cross-entropy in nats of each token but the first, of token ids [T]: [T - 1] each.

    Of a text longer than the model's context the end is read.
    """
    found: list[NDArray[np.float32]] = []
    for at in range(0, len(texts), BATCH):
        rows = [torch.tensor(text[-model.context - 1 :]) for text in texts[at : at + BATCH]]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
        with autocast(machine):
            logits = model(ids[:, :-1])
        nats = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none").cpu()
        found += [one[: len(row) - 1].numpy() for one, row in zip(nats, rows, strict=True)]
    return found


def rank_canaries(
    model: LanguageModel, tokenizer: Tokenizer, machine: Machine, seed: int
) -> NDArray[np.float64]:
    """The rank of each canary by its likelihood among itself and CANDIDATES lines that were not
    planted, 1 to CANDIDATES + 1: [TIMES, EACH]. Of equal ones it is the mean rank."""
    lines = [tokenizer.encode(line) for line in make_canaries(seed)]
    sums = np.array([nats.sum() for nats in token_nats(model, machine, lines)])
    others, own = np.sort(sums[-CANDIDATES:]), sums[:-CANDIDATES]
    below, upto = (np.searchsorted(others, own, side) for side in ("left", "right"))
    return (1 + (below + upto) / 2).reshape(len(TIMES), EACH)


def exposure(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exposure in bits of canaries with these ranks (Carlini et al. 2019, section 4.3).

    The mean of lines that were never planted is about 1.4 bits: their ranks are random.
    """
    return np.log2((CANDIDATES + 1) / ranks)
