"""Classifiers of images and text, for contrast: they label and cannot generate."""

from pathlib import Path

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.protocol.kinds import Kind, Recipes

with late_imports():
    from genui.engine import kinds as engine
    from genui.engine.data import image_datasets, text
    from genui.engine.metrics import classifiers
    from genui.engine.train import classifier as train
    from genui.recipes import classifier as recipes


_PAGE = Page(
    "labels", "classifiers, alone and beside a generation", Path(__file__).with_name("help.md")
)

KINDS = (
    Kind(
        family="classifier",
        help=_PAGE,
        medium="image",
        place=70,
        ability="labels images",
        limitations="It always answers with one of its own labels. Its confidence means "
        "nothing for an image unlike its training data.",
        recipes=lambda: Recipes(recipes.ImageClassifierRecipe, recipes.IMAGE_CLASSIFIER_RECIPES),
        prepares=lambda: engine.Prepares(check=image_datasets.check_labelled_images),
        trains=lambda: engine.Trains(
            task=train.ImageClassifierTask,
            measure=classifiers.measure_classifier,
            classifier=classifiers.ImageClassifier.of,
        ),
        labels=lambda: engine.Labels(
            load=classifiers.ImageClassifier.load, example=classifiers.image_example
        ),
    ),
    Kind(
        family="classifier",
        help=_PAGE,
        medium="text",
        place=70,
        ability="labels text",
        limitations="It counts words and letters, and always answers with one of its own labels.",
        recipes=lambda: Recipes(recipes.TextClassifierRecipe, recipes.TEXT_CLASSIFIER_RECIPES),
        prepares=lambda: engine.Prepares(check=text.check_labelled_text),
        trains=lambda: engine.Trains(
            task=train.TextClassifierTask,
            measure=classifiers.measure_text_classifier,
            classifier=classifiers.TextClassifier.of,
        ),
        labels=lambda: engine.Labels(
            load=classifiers.TextClassifier.load, example=classifiers.text_example
        ),
    ),
)
