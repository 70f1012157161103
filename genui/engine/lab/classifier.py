"""A classifier, the discriminative twin: p(class | x, y), and nothing of where points are."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from genui.engine.lab.family import Learned, Measures, Sight, as_grid, mesh
from genui.engine.lab.nets import MLP, SPREAD
from genui.errors import MisuseError


class Classifier:
    """A network from a place to a logit a class, trained by cross-entropy in bits."""

    title = "classifier"
    levels = False

    def __init__(self, width: int, classes: int) -> None:
        if classes < 2:
            raise MisuseError(
                "these points are all of one class and a classifier needs two: set some of another"
            )
        self._net = MLP((2, width, width, width, classes))

    def begin(self, draw: np.random.Generator) -> Learned:
        return Learned.of(self._net.begin(draw, last=0.1))

    def train(
        self, learned: Learned, x: Tensor, labels: Tensor, draw: np.random.Generator, rate: float
    ) -> tuple[Learned, Measures]:
        def loss(weights: Tensor) -> Tensor:
            return F.cross_entropy(self._net(weights, x / SPREAD), labels) / np.log(2)

        learned, bits = learned.stepped(loss, rate)
        return learned, (("loss", bits),)

    def chances(self, learned: Learned, x: Tensor) -> Tensor:
        """The probability of each class [classes, N] at places [N, 2]."""
        return self._net(learned.average, x / SPREAD).softmax(dim=1).T

    def look(self, learned: Learned, draw: np.random.Generator, count: int, noise: float) -> Sight:
        """The probability of each class, everywhere."""
        return Sight(chances=as_grid(self.chances(learned, mesh())))
