"""The critic that a model's file may hold: it tells which drawn pictures are like real ones.

Logistic regression between real and drawn pictures of a caption, on what classifiers see in them.
Whatever best tells the two apart is the logarithm of how much likelier a picture is among real
ones, by which drawn ones are kept or drawn again (discriminator rejection sampling, Azadi et al.
2019).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.captions import split_words
from genui.engine.data.pictures import as_floats
from genui.engine.models.convnet import ConvNet
from genui.engine.models.filled import filled
from genui.engine.models.guiding import CRITIC, split


class Critic(nn.Module):
    """ln p(picture | real, caption) / p(picture | drawn, caption), a caption a row of `weight`."""

    def __init__(self, classifiers: Sequence[ConvNet], captions: Sequence[str]) -> None:
        super().__init__()
        self.captions = tuple(captions)
        self._number = {_said(caption): i for i, caption in enumerate(captions)}
        self.networks = tuple(classifiers)
        self.classifiers = nn.ModuleList(classifiers)
        width = sum(sum(each.head.weight.shape) for each in classifiers)
        self.weight = nn.Parameter(torch.zeros(len(captions), width))
        self.bias = nn.Parameter(torch.zeros(len(captions)))

    def seen(self, rgb: Tensor) -> Tensor:
        """What the classifiers see in pictures float [B, 3, 32, 32] in -1 to 1: [B, D].

        The features and the log-probabilities of each.
        """
        parts = []
        for each in self.networks:
            features = each.features(rgb)
            parts += [features, each.head(features).log_softmax(dim=1)]
        return torch.cat(parts, dim=1)

    @torch.inference_mode()
    def log_ratio(self, rgb: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.float32]:
        """[B], of pictures uint8 [B, 32, 32, 3]; 0 where it does not know the caption."""
        x = torch.from_numpy(as_floats(rgb)).to(self.weight.device)
        numbers = torch.tensor([self._number.get(_said(caption), -1) for caption in captions])
        numbers = numbers.to(x.device)
        row = numbers.clamp(min=0)
        found = (self.seen(x) * self.weight[row]).sum(dim=1) + self.bias[row]
        return torch.where(numbers < 0, 0.0, found).cpu().numpy()


def critic_of(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> Critic:
    """The critic among the tensors of a model's file.

    `told` is what the file says of it: (width, figure) of the classifiers, and the captions.
    Raises KeyError, TypeError or RuntimeError where they do not fit.
    """
    _, own = split(tensors, CRITIC)
    classifiers = [
        ConvNet(len(own[f"classifiers.{i}.head.bias"]), int(width), bool(figure))
        for i, (width, figure) in enumerate(told["classifiers"])
    ]
    return filled(Critic(classifiers, told["captions"]), own)


def _said(caption: str) -> str:
    return " ".join(split_words(caption))
