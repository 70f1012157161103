"""Fitting a critic: logistic regression between real and drawn pictures, a caption at a time."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.engine.data.pictures import Pictures
from genui.engine.models.critic import Critic
from genui.engine.probes.linear import fit_logistic

BATCH = 500
PENALTY = 0.02  # precision of the weights' prior an example, on features of unit variance


def fit(critic: Critic, real: Mapping[str, Tensor], drawn: Mapping[str, Tensor]) -> None:
    """Set the weights of a critic from what it sees in pictures: rows [N, D] by caption.

    The ratio is scaled so that over drawn pictures it is 1 on average, as that of densities is.
    """
    for number, caption in enumerate(critic.captions):
        weight, bias = _between(real[caption], drawn[caption])
        bias -= (drawn[caption] @ weight + bias).exp().mean().log()
        with torch.no_grad():
            critic.weight[number], critic.bias[number] = weight, bias


def seen_by(critic: Critic, pictures: Pictures, indices: NDArray[np.int64]) -> dict[str, Tensor]:
    """What a critic sees in these pictures: rows [N, D] by caption."""
    rng = np.random.default_rng(0)  # has nothing to choose in plain pictures
    parts = []
    with torch.inference_mode():
        for at in range(0, len(indices), BATCH):
            rgb = torch.from_numpy(pictures.batch(indices[at : at + BATCH], rng).rgb)
            parts.append(critic.seen(rgb))
    rows = torch.cat(parts).clone()
    captions = np.array([pictures.captions[i] for i in indices])
    return {
        caption: rows[torch.from_numpy(np.flatnonzero(captions == caption))]
        for caption in dict.fromkeys(captions.tolist())
    }


def _between(real: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """(weights [D], bias) whose sigmoid is p(real | row), both kinds as likely beforehand."""
    both = torch.cat((real, drawn))
    mean, spread = both.mean(dim=0), both.std(dim=0).clamp(min=1e-5)
    found = fit_logistic(
        ((both - mean) / spread).numpy(),
        np.repeat([1, 0], [len(real), len(drawn)]),
        labels=2,
        precision=PENALTY * len(both),
        balanced=True,
    )
    weight = torch.from_numpy(found.weights[:, 1] - found.weights[:, 0]) / spread
    bias = torch.tensor(found.bias[1] - found.bias[0])
    return weight, bias - (mean * weight).sum()
