"""The base of the tables of datasets; each medium's table is in the file of its medium."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.plugins import Table, index_by_name
from genui.engine.data.preparation import QUIET, Preparation, PreparationStoppedError, Report


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset: where its examples come from, what they are, and their licence."""

    name: str
    summary: str
    licence: str
    load: Callable[..., Any]
    """Reads the examples."""
    check: Callable[[], int] | None = None
    """Reports, before a run is made, what is missing on this machine: it returns how many bytes
    must be downloaded, and raises GenuiError if the data cannot be had (no network, no font). None
    for data that is always here."""
    download: Callable[[Report], object] | None = None
    """Downloads missing files, before `load` reads them. None for data that is always here."""
    stand_in: Callable[..., Any] | None = None
    """A function like `load` that returns random examples, to measure the speed of a training
    whose data is not downloaded yet."""

    limitations: str = ""
    """The limits of every model that is trained on it; "" if that says it all."""
    label_limitations: str = ""
    """The same for a classifier that learns its labels."""

    def missing_bytes(self) -> int:
        """The number of bytes to download. Raises GenuiError if the data cannot be had."""
        return int(self.check()) if self.check else 0

    def read(self, *args: Any, preparation: Preparation = QUIET) -> Any:
        """Call `load`. Raises GenuiError, one line, for any error in it."""
        try:
            if preparation.is_trial and self.stand_in:
                return self.stand_in(*args)
            if self.download and preparation.may_download and not args:  # the user named no file
                self.download(preparation.report)
            return self.load(*args)
        except (GenuiError, PreparationStoppedError):
            raise
        except Exception as error:
            if os.environ.get("GENUI_DEBUG"):
                raise
            raise GenuiError(
                f"dataset {self.name}: cannot be loaded: {type(error).__name__}: {error} "
                "(GENUI_DEBUG=1 shows where)"
            ) from error


Row = TypeVar("Row", bound=Dataset)


def dataset_table(
    kind: type[Row], rows: Iterable[Row], also: Callable[[], Mapping[str, Row]] = dict
) -> Table[Row]:
    """A table of the built-in rows and those of plug-ins (`genui.base.plugins`); `also` returns
    rows that kinds bring."""
    return Table("genui.datasets", kind, index_by_name(rows), base=Dataset, also=also)


def find_dataset(table: Table[Row], name: str, things: str) -> Row:
    """The row of that name. Raises MisuseError with the nearest name; `things` is what the rows
    are called in it, as in "image dataset"."""
    try:
        return table[name]
    except KeyError:
        raise MisuseError(
            f"no {things} '{name[:40]}': {did_you_mean(name, table, lists='genui help data')} "
            "(one of a plug-in needs genui --plugin FILE)"
        ) from None
