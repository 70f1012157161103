"""What a row of every table of datasets has; each medium's table is in its own file."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.plugins import Table, index_by_name, resolve


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Where the examples of one dataset come from, and what a person should know of it."""

    name: str
    summary: str
    licence: str
    load: str | Callable[..., Any]
    """What reads the examples, or where it is: `module:function`. It is imported when it is
    needed, so that a model that is only asked to draw needs no font."""

    def read(self, *args: Any) -> Any:
        """What `load` returns. Raises GenuiError, one line, whatever goes wrong in it."""
        try:
            return resolve(self.load)(*args)
        except GenuiError:
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            raise GenuiError(
                f"dataset {self.name}: cannot be loaded: {type(error).__name__}: {error} "
                "(GENUI_DEBUG=1 shows where)"
            ) from error


Row = TypeVar("Row", bound=Dataset)


def dataset_table(kind: type[Row], rows: Iterable[Row]) -> Table[Row]:
    """The built-in rows of a kind, and those of plug-ins (`genui.base.plugins`)."""
    return Table("genui.datasets", kind, index_by_name(rows), base=Dataset)


def find_dataset(table: Table[Row], name: str, things: str) -> Row:
    """The row of that name. Raises MisuseError that names the nearest; `things` is what they
    are called: "image dataset"."""
    try:
        return table[name]
    except KeyError:
        raise MisuseError(
            f"no {things} '{name[:40]}': {did_you_mean(name, table)} "
            "(one of a plug-in needs genui --plugin FILE)"
        ) from None


def describe_dataset(name: str) -> str:
    """What a dataset of any medium is, and its licence; "" where no row has the name."""
    # The tables are in files that need this one.
    from genui.engine.data.images import IMAGE_DATASETS
    from genui.engine.data.speech import SPEECH_DATASETS
    from genui.engine.data.text import LABELLED_TEXTS, TEXT_DATASETS

    tables = (IMAGE_DATASETS, TEXT_DATASETS, LABELLED_TEXTS, SPEECH_DATASETS)
    row = next((table[name] for table in tables if name in table), None)
    return f"{row.summary}; {row.licence}" if row is not None else ""
