"""Classifiers of images and text, for contrast: they label and cannot generate."""

from pathlib import Path

from genui.base.manual import Page
from genui.protocol.kinds import Kind, Recipes


def _image_recipes() -> Recipes:
    from genui.recipes.classifier import IMAGE_CLASSIFIER_RECIPES, ImageClassifierRecipe

    return Recipes(ImageClassifierRecipe, IMAGE_CLASSIFIER_RECIPES)


def _text_recipes() -> Recipes:
    from genui.recipes.classifier import TEXT_CLASSIFIER_RECIPES, TextClassifierRecipe

    return Recipes(TextClassifierRecipe, TEXT_CLASSIFIER_RECIPES)


def _prepares_images() -> object:
    from genui.engine.data.image_datasets import check_labelled_images
    from genui.engine.kinds import Prepares

    return Prepares(check=check_labelled_images)


def _prepares_text() -> object:
    from genui.engine.data.text import check_labelled_text
    from genui.engine.kinds import Prepares

    return Prepares(check=check_labelled_text)


def _trains_images() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.classifiers import ImageClassifier, measure_classifier
    from genui.engine.train.classifier import ImageClassifierTask

    return Trains(
        task=ImageClassifierTask, measure=measure_classifier, classifier=ImageClassifier.of
    )


def _trains_text() -> object:
    from genui.engine.kinds import Trains
    from genui.engine.metrics.classifiers import TextClassifier, measure_text_classifier
    from genui.engine.train.classifier import TextClassifierTask

    return Trains(
        task=TextClassifierTask, measure=measure_text_classifier, classifier=TextClassifier.of
    )


def _labels_images() -> object:
    from genui.engine.kinds import Labels
    from genui.engine.metrics.classifiers import ImageClassifier, image_example

    return Labels(load=ImageClassifier.load, example=image_example)


def _labels_text() -> object:
    from genui.engine.kinds import Labels
    from genui.engine.metrics.classifiers import TextClassifier, text_example

    return Labels(load=TextClassifier.load, example=text_example)


_PAGE = Page(
    "labels", "classifiers, alone and beside a generation", Path(__file__).with_name("help.md")
)

KINDS = (
    Kind(
        family="classifier",
        help=_PAGE,
        medium="image",
        place=70,
        does="labels images",
        limitations="It always answers with one of its own labels. Its confidence means "
        "nothing for an image unlike its training data.",
        recipes=_image_recipes,
        prepares=_prepares_images,
        trains=_trains_images,
        labels=_labels_images,
    ),
    Kind(
        family="classifier",
        help=_PAGE,
        medium="text",
        place=70,
        does="labels text",
        limitations="It counts words and letters, and always answers with one of its own labels.",
        recipes=_text_recipes,
        prepares=_prepares_text,
        trains=_trains_text,
        labels=_labels_text,
    ),
)
