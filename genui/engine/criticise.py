"""`python -m genui.engine.criticise MODEL FOLDER CLASSIFIER… --out FILE`: a model and its critic.

FOLDER is what the model drew (`genui generate MODEL -n 12000 --out FOLDER`), each CLASSIFIER one
of the same pictures that learned from a share of them (`genui train fashion-labels --set
share=0.5`). Real pictures are those that no classifier learned from, since what a classifier has
learned by heart looks to it like nothing that is drawn.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from genui.engine.data.drawn import AGAIN, is_sifted, plan_of
from genui.engine.data.folder import load_folder
from genui.engine.data.picture_labels import load_labelled, parted
from genui.engine.data.pictures import Pictures
from genui.engine.models.convnet import ConvNet
from genui.engine.models.critic import Critic
from genui.engine.models.guiding import CRITIC, prefixed, split
from genui.engine.probes.classifiers import load_classifier
from genui.engine.probes.judge import network_of
from genui.engine.train.checkpoint import load_weights, write_tensors
from genui.engine.train.critic_fit import fit, seen_by
from genui.errors import GenuiError, MisuseError
from genui.recipes import DiffusionRecipe, recipe_from_dict
from genui.recipes.classifier import ImageClassifierRecipe
from genui.runs.catalog import find_model
from genui.runs.checkpoints import weights_fingerprint

LEAST = 50  # pictures of a caption on each side that a critic is fitted to


def main() -> int:
    parser = argparse.ArgumentParser("python -m genui.engine.criticise", description=__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("classifiers", metavar="CLASSIFIER", nargs="+")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help=".safetensors")
    asked = parser.parse_args()
    try:
        tensors, described = criticised(asked.model, asked.folder, asked.classifiers)
        write_tensors(asked.out, tensors, {"genui": json.dumps(described)})
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def criticised(
    model: str, folder: str, classifiers: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, description) of a model with a critic of what it drew.

    Raises MisuseError where the folder was not drawn by it, a classifier is none of its pictures
    or learned from all of them, or no caption has enough pictures.
    """
    path = find_model(model).path
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    if not isinstance(recipe, DiffusionRecipe):
        raise MisuseError(f"{model}: draws no pictures by denoising; a critic is for those")
    drawn = _drawn(folder, model, path, critic="critic" in described)
    networks, recipes = zip(*map(_classifier, classifiers), strict=True)
    _check(classifiers, recipes, recipe)
    data = load_labelled(recipe.dataset, recipe.data)
    _, unseen = parted(data.train, recipes[0].share)
    blank = Critic(networks, ())
    ours, theirs = seen_by(blank, data.pictures, unseen), seen_by(blank, drawn, drawn.train)
    captions = [
        caption
        for caption, rows in ours.items()
        if min(len(rows), len(theirs.get(caption, ()))) >= LEAST
    ]
    if not captions:
        raise MisuseError(f"{folder}: no caption has {LEAST} pictures there and in the data")
    critic = Critic(networks, captions)
    fit(critic, ours, theirs)
    own, _ = split(tensors, CRITIC)
    told = {
        "classifiers": [(each.width, each.figure) for each in recipes],
        "captions": captions,
        "share": recipes[0].share,
        "drawn": len(drawn.train),
    }
    return own | prefixed(critic.state_dict(), CRITIC), described | {"critic": told}


def _drawn(folder: str, model: str, path: Path, critic: bool) -> Pictures:
    """The pictures of a folder that this very model drew, all of them."""
    plan = plan_of(folder, folder)
    if plan.fingerprint != weights_fingerprint(path):
        raise MisuseError(f"{folder}: was drawn by {plan.model}, not by {model} as it is; {AGAIN}")
    if critic and is_sifted(plan):
        raise MisuseError(f"{folder}: a critic has sifted it; draw with --rejection 0")
    return load_folder(folder)


def _classifier(ref: str) -> tuple[ConvNet, ImageClassifierRecipe]:
    return load_classifier(
        ref,
        ImageClassifierRecipe,
        "pictures",
        lambda recipe, tensors, described: (network_of(recipe, tensors, described), recipe),
    )


def _check(
    names: Sequence[str], recipes: Sequence[ImageClassifierRecipe], model: DiffusionRecipe
) -> None:
    """Raises MisuseError where classifiers know other pictures, or left none that all left."""
    for name, recipe in zip(names, recipes, strict=True):
        if (recipe.dataset, recipe.data) != (model.dataset, model.data):
            told = recipe.data or recipe.dataset
            raise MisuseError(f"{name}: learned from {told}, not from what the model did")
        if recipe.share == 1 or recipe.share != recipes[0].share:
            raise MisuseError(
                f"{name}: learned from a share of {recipe.share:g} of the pictures; "
                "all must leave the same ones: --set share=0.5"
            )


if __name__ == "__main__":
    sys.exit(main())
