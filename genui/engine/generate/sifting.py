"""Rejection sampling: pictures drawn again until a critic takes them for real ones.

A picture that is r times as likely among real ones as among drawn ones is kept with probability
r / bound, or always where r is more than the bound, so that what is kept is distributed as real
pictures are, as far as the critic can tell (Azadi et al. 2019, §3).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from genui.engine.models.critic import Critic

TRIES = 32  # then the last one is kept, which at a share of a half happens to no one
NEXT_SEED = 2**40  # from the seed of one try to that of the next
LUCK = 3  # beside (seed,): what a sampler draws from is (seed, step)

Draw = Callable[[list[str], list[int]], NDArray[np.uint8]]


def sifted(
    draw: Draw, captions: list[str], seeds: Sequence[int], critic: Critic, bound: float
) -> NDArray[np.uint8]:
    """Pictures uint8 [B, H, W, 3], one a caption and seed; each depends on those two alone."""
    tried = list(seeds)
    rgb = draw(captions, tried)
    left = list(range(len(tried)))
    for _ in range(TRIES - 1):
        ratio = np.exp(critic.log_ratio(rgb[left], [captions[i] for i in left]))
        luck = [np.random.default_rng((tried[i], 0, LUCK)).random() for i in left]
        left = [i for i, lucky, r in zip(left, luck, ratio, strict=True) if lucky >= r / bound]
        if not left:
            break
        for i in left:
            tried[i] += NEXT_SEED
        rgb[left] = draw([captions[i] for i in left], [tried[i] for i in left])
    return rgb
