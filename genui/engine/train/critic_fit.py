"""Fitting a critic: logistic regression between real and drawn pictures, a caption at a time."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genui.engine.data.pictures import Pictures
from genui.engine.models.critic import Critic

BATCH = 500
ITERATIONS = 60  # of L-BFGS
PENALTY = 0.01  # times |weights|², on features of unit variance


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
    ours, theirs = (real - mean) / spread, (drawn - mean) / spread
    weight = torch.zeros(both.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.softplus(-(ours @ weight + bias)).mean()
        value = value + F.softplus(theirs @ weight + bias).mean()
        value = value + PENALTY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]  # a Tensor serves as its float
    unscaled = (weight / spread).detach()
    return unscaled, bias.detach() - (mean * unscaled).sum()
