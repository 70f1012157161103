"""The tables of datasets of all media."""

from collections.abc import Mapping
from typing import Any

from genui.engine.data.dataset import Dataset
from genui.engine.data.image_datasets import IMAGE_DATASETS
from genui.engine.data.text import LABELLED_TEXTS, TEXT_DATASETS
from genui.protocol.kinds import KINDS
from genui.recipes import Recipe


def describe_dataset(name: str) -> str:
    """The summary and licence of a dataset of any medium; "" if no row has the name."""
    row = dataset_named(name)
    return f"{row.summary}; {row.licence}" if row is not None else ""


def dataset_named(name: str) -> Dataset | None:
    """The dataset of that name, of any medium, or None."""
    return next((table[name] for table in tables() if name in table), None)


def tables() -> tuple[Mapping[str, Any], ...]:
    """The tables of all media; tables of kinds come last."""
    of_kinds = (kind.datasets() for kind in KINDS.values() if kind.datasets)
    return IMAGE_DATASETS, TEXT_DATASETS, LABELLED_TEXTS, *of_kinds


def limitations(recipe: Recipe) -> str:
    """The limitations section of the model card: the limits of its kind, then of its data."""
    kind = KINDS[recipe.family, recipe.medium]
    row = None if recipe.data else dataset_named(recipe.dataset)
    if row is None:
        return kind.limitations
    of_data = row.limitations if kind.can_generate else row.label_limitations
    return f"{kind.limitations} {of_data}".rstrip()
