"""Watermarks: what was found in a file, the rows that find, and the user's named keys.

A key is a number that only its owner knows: what is marked with it is found with it, and nobody
else can tell. It stays in one file of the config folder. Everything else holds its name.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from genui.base import paths
from genui.base.errors import MisuseError
from genui.base.files import atomic_write, cannot_use, lock_folder, read_toml, stamp_of

FOUND = 1e-4
"""A watermark is said to be there below this probability: of 10,000 unmarked files one has it."""


class Detection(Struct, frozen=True):
    """What was found of one watermark with one key."""

    watermark: str
    key: str
    p: float
    """The probability that unmarked content scores as high, 0 to 1, already corrected for all keys,
    scales and the like that were tried."""
    places: int
    """How many places were counted; 0 if there was too little to count, and then p is 1."""
    counts: str
    """What they are, in the plural: "tokens"."""

    @property
    def is_found(self) -> bool:
        return self.p < FOUND


class Search(Struct, frozen=True):
    """Where a watermark is looked for, and with what."""

    path: Path
    keys: Mapping[str, int]
    """Named keys."""
    model: str = ""
    """The only model to try; "" is that of the file's recipe, or without one those at hand."""
    report: Callable[[str], object] = lambda line: None
    """Called with a line of what is tried now."""


Reading = Callable[[int], tuple[float, int]]
"""A file as one model reads it: a key to the probability that unmarked content scores as high with
it, and `places`."""


class Watermark(Struct, frozen=True, kw_only=True):
    """A row of the table: how one watermark is found. `genui.protocol.kinds.list_watermarks` has
    those of all kinds."""

    name: str
    media: tuple[str, ...]
    """The media of the files that it may be in: "text", "image"."""
    counts: str
    """`Detection.counts`."""
    read: Callable[[Search], Sequence[Reading]]
    """Reads a file by the models that may have made it; none if it cannot hold the watermark.
    Raises GenuiError, one line that names the file, or the model that was to be tried."""

    def find(self, search: Search) -> list[Detection]:
        """A detection for each key, the lowest p first. Raises what `read` raises."""
        readings = self.read(search)
        tries, found = len(readings) * len(search.keys), []
        for key, number in search.keys.items() if readings else ():
            p, places = min(reading(number) for reading in readings)
            p = correct(p, tries)
            found.append(Detection(self.name, key, p, places, self.counts))
        return sorted(found, key=lambda one: one.p)


def correct(p: float, tries: int) -> float:
    """A probability, corrected for being the lowest of so many tries (Bonferroni)."""
    return min(1.0, p * max(tries, 1))


def tail(hits: int, trials: int, share: float) -> float:
    """The probability of at least so many hits in independent trials, each with `share` of a chance
    between 0 and 1: the exact sum of a binomial distribution, from its largest term on."""
    if hits <= trials * share:
        return 1.0 if hits <= 0 else 1.0 - tail(trials - hits + 1, trials, 1 - share)
    ratio, term, total = share / (1 - share), 1.0, 0.0
    for k in range(hits, trials + 1):
        total += term
        term *= ratio * (trials - k) / (k + 1)
        if term < total * 1e-17:
            break
    ways = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    first = ways + hits * math.log(share) + (trials - hits) * math.log1p(-share)
    return min(1.0, total * math.exp(first))


# --- The keys ---------------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")  # a bare key of TOML
_NUMBER = re.compile(r"[0-9a-f]{16}")


def keys_file() -> Path:
    """The path of the file with the keys, which need not exist."""
    return paths.config_dir() / "watermark-keys.toml"


def read_keys() -> dict[str, int]:
    """The user's keys by name, 64-bit numbers; empty without a file.

    Raises MisuseError, one line, if the file cannot be read or is damaged.
    """
    return dict(_read(keys_file(), stamp_of(keys_file())))


def list_keys() -> list[str]:
    """The names of the user's keys; none if their file cannot be read."""
    with suppress(MisuseError):
        return [*read_keys()]
    return []


def find_key(name: str) -> int:
    """The key of that name. Raises MisuseError if it is not on this machine."""
    keys = _read(keys_file(), stamp_of(keys_file()))
    if name not in keys:
        raise MisuseError(
            f"no watermark key '{name[:40]}' on this machine: copy it, or `genui config key "
            f"{name[:40]}`"
        )
    return keys[name]


def make_key(name: str) -> int:
    """Draw a key and add it to the file, which only the user may read.

    Raises MisuseError for a name that is taken or has other characters than letters, digits, - and
    _, and GenuiError if the file cannot be written.
    """
    path = keys_file()
    if not _NAME.fullmatch(name):
        raise MisuseError(f"key {name[:40]!r}: name it with letters, digits, - and _")
    with lock_folder(path.parent):
        keys = read_keys()
        if name in keys:
            raise MisuseError(f"key {name}: there is one of that name; take another name")
        keys[name] = int.from_bytes(os.urandom(8))
        lines = [
            "# Keys of watermarks. Keep them secret: who has one can remove or forge its marks.",
            *(f'{one} = "{key:016x}"' for one, key in keys.items()),
        ]
        atomic_write(Path(os.path.realpath(path)), "\n".join([*lines, ""]).encode(), mode=0o600)
    return keys[name]


@lru_cache(maxsize=4)
def _read(path: Path, stamp: object) -> dict[str, int]:
    """The keys of a file, read again when its `stamp` changes."""
    keys = {}
    for name, text in (read_toml(path, "correct or remove it") or {}).items():
        if not _NAME.fullmatch(name) or not isinstance(text, str) or not _NUMBER.fullmatch(text):
            raise cannot_use(path, "a line is no key", "correct or remove it")
        keys[name] = int(text, 16)
    return keys
