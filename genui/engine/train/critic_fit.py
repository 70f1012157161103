"""Fitting a critic: logistic regression between real and drawn pictures, a caption at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence

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


def averaged(
    critics: Sequence[Critic], drawn: Sequence[Mapping[str, Tensor]], captions: Sequence[str]
) -> Critic:
    """One critic of those captions whose log-ratio is the mean of theirs.

    `drawn` is what each sees in the same pictures. Its ratio too is 1 over them on average.
    """
    found = Critic([network for each in critics for network in each.networks], captions)
    for number, caption in enumerate(captions):
        rows = [each.captions.index(caption) for each in critics]
        weights = [each.weight[row] / len(critics) for each, row in zip(critics, rows, strict=True)]
        with torch.no_grad():
            found.weight[number] = torch.cat(weights)
            ratio = torch.cat([seen[caption] for seen in drawn], dim=1) @ found.weight[number]
            found.bias[number] = -ratio.exp().mean().log()
    return found


def seen_by(
    critic: Critic,
    sources: Iterable[tuple[Pictures, NDArray[np.int64]]],
    looked: Callable[[int], None],
) -> dict[str, Tensor]:
    """What a critic sees in pictures of some sets, by their indices: rows [N, D] by caption.

    `looked` is told of each batch how many they are.
    """
    rng = np.random.default_rng(0)  # has nothing to choose in plain pictures
    parts, captions = [], []
    with torch.inference_mode():
        for pictures, indices in sources:
            captions += [pictures.captions[i] for i in indices]
            for at in range(0, len(indices), BATCH):
                rgb = torch.from_numpy(pictures.batch(indices[at : at + BATCH], rng).rgb)
                parts.append(critic.seen(rgb))
                looked(len(rgb))
    rows = torch.cat(parts).clone()
    said = np.array(captions)
    return {
        caption: rows[torch.from_numpy(np.flatnonzero(said == caption))]
        for caption in dict.fromkeys(captions)
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
