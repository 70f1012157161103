"""`python -m genui.engine.ship_critic NAME FILE`: give a shipped model its critic.

FILE is that model as `genui criticise` wrote it. The weights in `genui/weights/NAME/` stay what
they are, bit for bit; the critic's classifiers are put beside them in eight bits, in which it was
fitted. The card's figures are measured again, on pictures that it has sifted.
"""

import argparse
import sys
from typing import Any

import safetensors.torch
from torch import Tensor

from genui import paths
from genui.engine.kinds import measure
from genui.engine.models.guiding import CRITIC, prefixed, split
from genui.engine.ship import card_beside, size, written
from genui.engine.train.checkpoint import load_weights, write_model
from genui.engine.train.quantise import quantise
from genui.errors import GenuiError, MisuseError
from genui.recipes import recipe_from_dict
from genui.runs.catalog import find_model


def main() -> int:
    parser = argparse.ArgumentParser("python -m genui.engine.ship_critic", description=__doc__)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("file", metavar="FILE")
    asked = parser.parse_args()
    try:
        print(written(give_critic(asked.name, asked.file)), end="")
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def give_critic(name: str, file: str) -> dict[str, Any]:
    """Write the weights and their card; the card.

    Raises MisuseError where the file has no critic, or one of other weights than those shipped.
    """
    target = paths.weights_dir() / name / "model.safetensors"
    shipped, described = load_weights(target)
    theirs, told = load_weights(find_model(file).path)
    if "critic" not in told:
        raise MisuseError(f"{file}: has no critic; write one with genui criticise")
    own, _ = split(shipped, CRITIC)
    if any(key not in theirs or not theirs[key].equal(own[key]) for key in own):
        raise MisuseError(f"{file}: is a critic of other weights than those of {name}")
    described |= {"critic": told["critic"]}
    stored, _ = split(safetensors.torch.load_file(target), CRITIC)
    critic = prefixed(narrowed(split(theirs, CRITIC)[1]), CRITIC)
    write_model(target, stored | critic, described)
    earlier = card_beside(target)
    card = earlier | {
        "quality": dict(measure(find_model(name), recipe_from_dict(described["recipe"]))),
        "trained": earlier["trained"] | {"critic": criticism(described["critic"])},
        "size": size(target, 16 if any(v.dtype.itemsize == 2 for v in matrices(stored)) else 8),
    }
    target.with_name("card.json").write_text(written(card), encoding="utf-8")
    return card


def narrowed(critic: dict[str, Tensor]) -> dict[str, Tensor]:
    """The classifiers in eight bits; what is made of what they see stays as it is."""
    networks = {name: value for name, value in critic.items() if name.startswith("classifiers.")}
    return critic | quantise(networks)


def matrices(tensors: dict[str, Tensor]) -> list[Tensor]:
    return [v for name, v in tensors.items() if v.ndim > 1 and not name.startswith("guide.")]


def criticism(told: dict[str, Any]) -> str:
    """What the critic beside the weights is, for a card."""
    count = len(told["classifiers"])
    return (
        f"logistic regression between {told['drawn']:,} drawn pictures and {told['real']:,} real "
        f"ones, on what {count} classifier{'s' if count > 1 else ''} that did not learn from "
        f"these see in them: {'; '.join(told['commands'])}"
    )


if __name__ == "__main__":
    sys.exit(main())
