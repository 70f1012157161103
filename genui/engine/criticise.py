"""A model and its critic: what it drew against the real pictures that no classifier learned from.

What a classifier has learned by heart looks to it like nothing that is drawn, so each learns from
a half of the real pictures (`genui train fashion-labels --set half=first`) and looks at the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from genui.engine.data.drawn import AGAIN, drawing, is_sifted, plan_of
from genui.engine.data.folder import load_folder
from genui.engine.data.picture_labels import load_labelled, parted
from genui.engine.models.convnet import ConvNet
from genui.engine.models.critic import Critic
from genui.engine.models.guiding import CRITIC, prefixed, split
from genui.engine.probes.classifiers import load_classifier
from genui.engine.probes.judge import network_of
from genui.engine.train.checkpoint import load_weights
from genui.engine.train.critic_fit import averaged, fit, seen_by
from genui.engine.train.quantise import dequantise, quantise
from genui.errors import MisuseError
from genui.recipes import (
    MACHINE,
    PATHS,
    WATCHING,
    DiffusionRecipe,
    find_recipe,
    recipe_from_dict,
)
from genui.recipes.classifier import ImageClassifierRecipe
from genui.runs.catalog import find_model
from genui.runs.checkpoints import weights_fingerprint
from genui.saved.drawn import Plan

LEAST = 50  # pictures of a caption on each side that a critic is fitted to
HALVES = ("first", "second")  # sorted, as the classifiers are


def criticised(
    model: str,
    folders: Sequence[str],
    classifiers: Sequence[str],
    progress: Callable[[int, int], None],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, description) of a model with a critic of what it drew.

    `progress` is told how many pictures it has looked at, and of how many.

    Those of the classifiers that learned from one half are one critic, and where there are two
    the ratio is the geometric mean of theirs. Raises MisuseError where a folder was not drawn by
    the model, a classifier is none of its pictures or learned from all of them, or no caption has
    enough pictures.
    """
    path = find_model(model).path
    tensors, described = load_weights(path)
    recipe = recipe_from_dict(described["recipe"])
    if not isinstance(recipe, DiffusionRecipe):
        raise MisuseError(f"{model}: draws no pictures by denoising; a critic is for those")
    own = weights_fingerprint(path)
    plans = [_plan(folder, model, own) for folder in folders]
    drawn = [load_folder(folder) for folder in folders]
    found = [_classifier(name, recipe) for name in classifiers]
    found.sort(key=lambda each: each[1].half)
    data = load_labelled(recipe.dataset, recipe.data)
    halves = [half for half in HALVES if any(known.half == half for _, known in found)]
    unseen = [parted(data.train, half)[1] for half in halves]
    real, made = sum(map(len, unseen)), sum(map(len, drawn))
    looked = 0

    def looking(count: int) -> None:
        nonlocal looked
        looked += count
        progress(looked, real + made * len(halves))

    critics, seen = [], []
    for half, rows in zip(halves, unseen, strict=True):
        networks = [network for network, known in found if known.half == half]
        blank = Critic(networks, ())
        ours = seen_by(blank, [(data.pictures, rows)], looking)
        theirs = seen_by(blank, [(each, np.arange(len(each))) for each in drawn], looking)
        critic = Critic(networks, _captions(ours, theirs))
        fit(critic, ours, theirs)
        critics.append(critic)
        seen.append(theirs)
    shared = [each for each in critics[0].captions if each in critics[-1].captions]
    if not shared:
        raise MisuseError(f"{folders[0]}: no caption has {LEAST} pictures there and in the data")
    critic = averaged(critics, seen, shared)
    others, _ = split(tensors, CRITIC)
    told = {
        "classifiers": [(known.width, known.figure) for _, known in found],
        "captions": shared,
        "real": real,
        "drawn": made,
        "commands": [
            *(_training(known) for _, known in found),
            *(
                drawing(Path(folder), plan, len(each))
                for folder, plan, each in zip(folders, plans, drawn, strict=True)
            ),
        ],
    }
    return others | prefixed(critic.state_dict(), CRITIC), described | {"critic": told}


def _captions(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    return [name for name in ours if min(len(ours[name]), len(theirs.get(name, ()))) >= LEAST]


def _plan(folder: str, model: str, fingerprint: str) -> Plan:
    """How this very model drew a folder. Raises MisuseError where it did not, or sifted it."""
    plan = plan_of(folder, folder)
    if plan.fingerprint != fingerprint:
        raise MisuseError(f"{folder}: was drawn by {plan.model}, not by {model} as it is; {AGAIN}")
    if is_sifted(plan):
        raise MisuseError(f"{folder}: a critic has sifted it; draw with --rejection 0")
    return plan


def _training(recipe: ImageClassifierRecipe) -> str:
    """The command that trains such a classifier."""
    usual = asdict(find_recipe(recipe.name))
    words = [f"genui train {recipe.name}"]
    for name, value in asdict(recipe).items():
        if name not in (*PATHS, *WATCHING, *MACHINE) and value != usual[name]:
            words.append(f"--set {name}={value}")
    return " ".join(words)


def _classifier(ref: str, model: DiffusionRecipe) -> tuple[ConvNet, ImageClassifierRecipe]:
    """A classifier in the eight bits that it is shipped in, and what it learned from.

    Raises MisuseError where it learned from other pictures, or from all of them.
    """
    network, recipe = load_classifier(
        ref,
        ImageClassifierRecipe,
        "pictures",
        lambda recipe, tensors, described: (
            network_of(recipe, dequantise(quantise(tensors)), described),
            recipe,
        ),
    )
    if (recipe.dataset, recipe.data) != (model.dataset, model.data):
        told = recipe.data or recipe.dataset
        raise MisuseError(f"{ref}: learned from {told}, not from what the model did")
    if recipe.half == "both":
        raise MisuseError(
            f"{ref}: learned from all of the pictures; train one with --set half=first"
        )
    return network, recipe
