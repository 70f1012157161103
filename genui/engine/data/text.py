"""Texts to train on, with and without labels, and the tables of their datasets."""

import bz2
import hashlib
import inspect
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import show
from genui.base.text import clean_line
from genui.engine.data.canaries import plant_canaries
from genui.engine.data.dataset import Dataset, dataset_table, find_dataset
from genui.engine.data.documents import (
    JSON_LINES,
    PLAIN,
    TEXT_SUFFIXES,
    as_plain_text,
    describe_left_out,
    find_source,
    is_held_out,
    no_documents,
    spread,
)
from genui.engine.data.near_duplicates import remove_near_duplicates
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.data.sources import TEXT, Source, file_at, read
from genui.recipes import TextClassifierRecipe, TextRecipe

# --- Text datasets ----------------------------------------------------------------------------

MAX_BYTES = 512 * 1024 * 1024
"""The largest text that is read into memory."""

MIN_CHARACTERS = 1_000

SHAKESPEARE = Path(__file__).with_name("shakespeare.txt.bz2")
"""tiny-shakespeare, part of the package so that a first training needs no download."""


@dataclass(frozen=True)
class TextData:
    """Documents for training and validation, and a fingerprint of their contents."""

    name: str
    licence: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    is_sample: bool = False  # whether it is a sample of data that do not fit into memory
    names: tuple[str, ...] = ()  # of the documents of `train`, if they have some

    def describe(self) -> str:
        """Describe the data in one line."""
        train, held = (sum(map(len, part)) for part in (self.train, self.validation))
        return f"{self.name}: {train:,} characters to train on, {held:,} held out"


def _fingerprint(*parts: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for document in part:
            digest.update(document.encode("utf-8", errors="surrogatepass") + b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:16]


LEAST_HELD_OUT, MOST_HELD_OUT = 0.01, 0.25
"""The share of a text that documents may hold out."""


class Split(NamedTuple):
    """Documents to train on and held-out ones, and the names of the former if they have some."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    names: tuple[str, ...] = ()


def _split_one(text: str) -> Split:
    """The first 90 % for training, the last 10 % for validation, as in nanoGPT."""
    cut = int(len(text) * 0.9)
    return Split((text[:cut],), (text[cut:],))


def _split_documents(documents: Mapping[str, str]) -> Split:
    """Hold out one document in twenty, by the hash of its name; or else the end of the text, if
    these are too little of it or too much."""
    held = set(filter(is_held_out, documents))
    share = sum(len(documents[name]) for name in held) / max(1, sum(map(len, documents.values())))
    if not LEAST_HELD_OUT <= share <= MOST_HELD_OUT:
        return _split_one("\n".join(documents.values()))
    names = tuple(name for name in documents if name not in held)
    train = tuple(documents[name] for name in names)
    return Split(train, tuple(text for name, text in documents.items() if name in held), names)


def read_text(path: Path) -> str:
    """Read a text file. Raises MisuseError if it is missing, not a regular file, too large, empty,
    binary or not UTF-8."""
    source = Source(path, (file_at(path, path.name, PLAIN),))
    if is_large(source):
        raise _too_large(path)
    return "".join(piece.text for batch in read(source) for piece in batch.items)


def _too_large(path: Path) -> MisuseError:
    return MisuseError(
        f"{show(path)}: is over {MAX_BYTES >> 20} MB; this reads all of it into memory, so give a "
        "smaller file"
    )


def _read_shakespeare() -> str:
    return bz2.decompress(SHAKESPEARE.read_bytes()).decode()


_SKIP_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_SKIP_FOLDERS |= {"pydoc_data", "encodings", "lib2to3", "idlelib", "turtledemo", "ensurepip"}


def standard_library() -> dict[str, str]:
    """The source of the running interpreter's modules by path, without tests and tables."""
    root = Path(sysconfig.get_paths()["stdlib"])
    modules = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _SKIP_FOLDERS.isdisjoint(relative.parts) and 200 < path.stat().st_size < 400_000:
            try:
                modules[relative.as_posix()] = path.read_text("utf-8").expandtabs(4)
            except (UnicodeDecodeError, OSError):
                continue
    if not modules:
        raise GenuiError(f"no Python source under {root}: this interpreter ships none")
    return modules


_DOCSTRING = re.compile(r'^ *[rR]?"""(.*?)"""', re.MULTILINE | re.DOTALL)
LONG_DOCSTRING = 160
"""Characters; shorter ones are rarely prose."""


def docstrings(source: str) -> str:
    """The longer docstrings of a module as one text, without their indentation."""
    texts = (inspect.cleandoc(text) for text in _DOCSTRING.findall(source))
    return "\n\n".join(text for text in texts if len(text) >= LONG_DOCSTRING)


def _read_prose() -> dict[str, str]:
    """Python's manual, and the docstrings of its library."""
    from pydoc_data.topics import topics

    documents = dict(sorted(topics.items()))
    documents |= {name: docstrings(source) for name, source in standard_library().items()}
    return {name: text for name, text in documents.items() if text}


@dataclass(frozen=True, kw_only=True)
class TextDataset(Dataset):
    """A dataset of texts. `load()` returns one text, of which the last tenth is held out, or
    documents by name, of which one in twenty is held out."""


TEXT_DATASETS = dataset_table(
    TextDataset,
    (
        TextDataset(
            name="shakespeare",
            summary="a million characters of plays",
            licence="public domain",
            load=_read_shakespeare,
        ),
        TextDataset(
            name="python",
            summary="the running interpreter's standard library",
            licence="PSF-2.0",
            load=standard_library,
        ),
        TextDataset(
            name="prose",
            summary="Python's manual, and the longer docstrings of its library",
            licence="PSF-2.0",
            load=_read_prose,
        ),
    ),
)


def is_large(source: Source) -> bool:
    """Whether a source is too large for the memory, so that it is tokenised into files. Raises
    MisuseError if it is damaged."""
    if source.text_bytes > MAX_BYTES or source.group == TEXT:
        return source.text_bytes > MAX_BYTES
    return _has_more_text(source, MAX_BYTES)


def find_large(recipe: TextRecipe) -> Source | None:
    """The source of a recipe's own data if it is too large for the memory; else None.

    Raises MisuseError if it is damaged, or if the recipe changes a text, which needs all of it.
    """
    source = find_source(Path(os.path.expanduser(recipe.data))) if recipe.data else None
    if source is None or not is_large(source):
        return None
    if changes_text(recipe):
        raise MisuseError(
            f"{show(source.path)}: is over {MAX_BYTES >> 20} MB; canaries and near_duplicates are "
            "for texts that fit into memory: leave them out, or give less text"
        )
    return source


def is_large_file(path: str) -> bool:
    """`is_large` of the source at a path."""
    return is_large(find_source(Path(os.path.expanduser(path))))


@lru_cache(maxsize=8)
def _has_more_text(source: Source, most: int) -> bool:
    """Whether the texts of tables and compressed files have more characters: their size in memory
    is known when they are read."""
    counts = (sum(len(piece.text) for piece in batch.items) for batch in read(source))
    return any(total > most for total in accumulate(counts))


def _load_user_text(source: Source) -> TextData:
    documents: dict[str, list[str]] = {}
    without_text = unreadable = 0
    for batch in read(source):
        without_text += batch.without_text
        unreadable += len(batch.notes)
        for piece in batch.items:
            documents.setdefault(piece.document, []).append(piece.text)
    if not documents and [file.format for file in source.files] == [JSON_LINES]:
        return _load_user_text(as_plain_text(source))
    if not documents:
        raise no_documents(source)
    texts = {name: "".join(pieces) for name, pieces in documents.items()}
    train, validation, names = _split_documents(texts)
    total = sum(map(len, train + validation))
    if total < MIN_CHARACTERS:
        raise MisuseError(
            f"{show(source.path)}: {total} characters are too few to train on; give at least "
            f"{MIN_CHARACTERS:,}"
        )
    notes = describe_left_out(source, without_text, unreadable)
    name, digest = source.path.name, _fingerprint(train, validation)
    return TextData(name, "yours", train, validation, digest, notes, names=names)


def load_text(
    dataset: str, data: str = "", *, sample: int = 0, preparation: Preparation = QUIET
) -> TextData:
    """Load the dataset of that name, or the user's file or folder `data`.

    Of data that do not fit into memory, a sample of so many bytes. Raises MisuseError for an
    unknown name or an unusable file, or data that are too large if no sample will do.
    """
    if data:
        source = find_source(Path(os.path.expanduser(data)))
        if not is_large(source):
            return _load_user_text(source)
        if not sample:
            raise _too_large(source.path)
        return sample_text(source, sample)
    row = find_dataset(TEXT_DATASETS, dataset, "text dataset")
    texts = row.read(preparation=preparation)
    if not isinstance(texts, str | Mapping):
        raise GenuiError(
            f"dataset {row.name}: it loads a {type(texts).__name__}; a text, or texts by name, "
            "are needed"
        )
    split = _split_one(texts) if isinstance(texts, str) else _split_documents(texts)
    train, validation, names = split
    if not any(train) or not any(validation):
        raise GenuiError(f"dataset {row.name}: too few texts to train on some and hold others out")
    digest = _fingerprint(train, validation)
    return TextData(row.name, row.licence, train, validation, digest, names=names)


def load_training_text(
    recipe: TextRecipe, *, sample: int = 0, preparation: Preparation = QUIET
) -> TextData:
    """The text of a recipe, without near duplicates and with canaries as it asks; a sample and a
    trial are left as they are. Raises what `load_text` raises."""
    data = load_text(recipe.dataset, recipe.data, sample=sample, preparation=preparation)
    if data.is_sample or preparation.is_trial or not changes_text(recipe):
        return data
    train, notes = data.train, [*data.notes]
    if recipe.near_duplicates:
        train, note = remove_near_duplicates(
            train, data.validation, recipe.near_duplicates, preparation.report
        )
        notes.append(note)
    if recipe.canaries:
        train, note = plant_canaries(train, recipe.canaries)
        notes.append(note)
    digest = _fingerprint(train, data.validation)
    names = data.names if len(train) == len(data.train) else ()
    return replace(data, train=train, fingerprint=digest, notes=tuple(notes), names=names)


def changes_text(recipe: TextRecipe) -> bool:
    """Whether a recipe changes its text before it trains."""
    return bool(recipe.near_duplicates or recipe.canaries)


PASSAGES = 64
"""Passages of a large text, or files of a folder, that a sample is taken from."""


def sample_text(source: Source, size: int) -> TextData:
    """Texts of about `size` bytes from all parts of a large source, split like all of it."""
    train: list[str] = []
    held: list[str] = []
    if len(source.files) == 1 and source.files[0].format is PLAIN:
        passages = list(spread(source.files[0], PASSAGES, size // PASSAGES))
        train, held = passages[: int(PASSAGES * 0.9)], passages[int(PASSAGES * 0.9) :]
    else:
        chosen = source.files[:: max(1, len(source.files) // PASSAGES)]
        faults = (GenuiError,) if len(source.files) > 1 else ()  # one of several is left out
        for file in chosen:
            left = size // len(chosen)
            with suppress(*faults):
                for batch in read(source._replace(files=(file,))):
                    for piece in batch.items:
                        (held if is_held_out(piece.document) else train).append(piece.text)
                        left -= len(piece.text)
                    if left < 0:
                        break
    if not any(train + held):
        raise no_documents(source)
    split = (
        Split(tuple(train), tuple(held)) if train and held else _split_one("\n".join(train + held))
    )
    parts = split.train, split.validation
    count = sum(map(len, train + held))
    note = f"a sample of {count:,} characters of {source.text_bytes:,} bytes"
    return TextData(
        source.path.name, "yours", *parts, _fingerprint(*parts), (note,), is_sample=True
    )


# --- Labelled texts ---------------------------------------------------------------------------

SPEAKERS = 8
PASSAGE = 400  # characters of code or prose
HELD_OUT = 5  # one text in so many is held out
MAX_LABELS = 200

_SPEECH = re.compile(r"^([A-Z][A-Za-z .']{1,30}):\n((?:.+\n?)+)", re.MULTILINE)

Example = tuple[str, int]
Labelled = tuple[str, str]
"""(label, text)."""


class Parts(NamedTuple):
    """Labelled texts that are already split."""

    train: list[Labelled]
    held_out: list[Labelled]


@dataclass(frozen=True)
class LabelledText:
    """Trained and held-out examples (text, index of its label)."""

    name: str
    licence: str
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change when any example does."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            for text, label in part:
                digest.update(f"{self.labels[label]}\0{text}\1".encode("utf-8", "replace"))
            digest.update(b"\2")
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """Describe the data in one line."""
        return (
            f"{self.name}: {len(self.train):,} texts to train on, {len(self.validation):,} held "
            f"out, {len(self.labels)} labels"
        )


def load_labelled_text(
    dataset: str, data: str = "", preparation: Preparation = QUIET
) -> LabelledText:
    """Load the dataset of that name, or the user's own `data`: a JSONL file, or a folder with one
    sub-folder of texts for each label.

    Raises MisuseError for an unknown name, unusable files or fewer than two labels.
    """
    if data:
        return _load_user_labels(Path(os.path.expanduser(data)))
    row = find_dataset(LABELLED_TEXTS, dataset, "labelled text")
    examples = row.read(preparation=preparation)
    if isinstance(examples, Parts):
        return _number_labels(row.name, row.licence, examples.train, examples.held_out)
    return _split(row.name, row.licence, examples)


def check_labelled_text(recipe: TextClassifierRecipe, preparation: Preparation = QUIET) -> str:
    """Load the labelled texts of a recipe and describe them in one line."""
    return load_labelled_text(recipe.dataset, recipe.data, preparation).describe()


def heading_of(text: str, place: int) -> str:
    """The heading `NAME:` of the paragraph around a character, as plays have it; "" if none."""
    start = text.rfind("\n\n", 0, place)
    match = _SPEECH.match(text, start + 2 if start >= 0 else 0)
    return match[1] if match is not None else ""


def speeches(play: str) -> list[Labelled]:
    """(speaker, speech) of a play in which each speech is `NAME:` and the lines after it."""
    return [(name, speech.strip()) for name, speech in _SPEECH.findall(play)]


def _read_speakers() -> list[Labelled]:
    """The speeches of the characters who speak most often."""
    all_speeches = speeches(_read_shakespeare())
    # Names not in capitals, "First Citizen" or "Messenger", are not of one person.
    counts = Counter(name for name, _ in all_speeches if name.isupper())
    chosen = {name for name, _ in counts.most_common(SPEAKERS)}
    return [(name, speech) for name, speech in all_speeches if name in chosen]


def _read_python_or_prose() -> Parts:
    """Passages of the standard library's source, and as many of Python's manual.

    Whole documents are held out, by the hash of their names.
    """
    from pydoc_data.topics import topics

    sources = (("Python", standard_library()), ("prose", topics))
    parts = Parts([], [])
    for is_held, examples in zip((False, True), parts, strict=True):
        passages: dict[str, list[str]] = {}
        for label, documents in sources:
            chosen = [
                document
                for name, document in documents.items()
                if (_digest(name) % HELD_OUT == 0) == is_held
            ]
            passages[label] = sorted(_passages(chosen), key=_digest)
        fewest = min(map(len, passages.values()))
        examples += [(label, text) for label, texts in passages.items() for text in texts[:fewest]]
    return parts


def _passages(documents: Iterable[str]) -> list[str]:
    """The documents cut into consecutive passages, without those that are nearly empty."""
    passages = (d[at : at + PASSAGE] for d in documents for at in range(0, len(d), PASSAGE))
    return [text for text in passages if len(text.strip()) > PASSAGE // 4]


@dataclass(frozen=True, kw_only=True)
class LabelledTextDataset(Dataset):
    """A dataset of labelled texts. `load()` returns pairs (label, text), of which one in five of
    each label is held out, or `Parts`."""


LABELLED_TEXTS = dataset_table(
    LabelledTextDataset,
    (
        LabelledTextDataset(
            name="speakers",
            summary="speeches of the eight who speak most in the plays",
            licence="public domain",
            load=_read_speakers,
        ),
        LabelledTextDataset(
            name="python-or-prose",
            summary="passages of Python's library and of its manual",
            licence="PSF-2.0",
            load=_read_python_or_prose,
        ),
    ),
)


def _load_user_labels(path: Path) -> LabelledText:
    examples, notes = _read_folder(path) if path.is_dir() else _read_jsonl(path)
    data = _split(path.name, "yours", examples)
    if len(data.labels) > MAX_LABELS:
        raise MisuseError(
            f"{path}: {len(data.labels)} labels are too many to tell apart; give at most "
            f"{MAX_LABELS}"
        )
    return replace(data, notes=notes)


class _Labels:
    """Shortens the labels of some data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}  # the whole label by the short one

    def __call__(self, label: str) -> str:
        """Raises MisuseError if another label begins alike."""
        short = clean_line(label, 40)
        if self._known.setdefault(short, label) != label:
            raise MisuseError(f"{show(self._path)}: two labels begin alike: {short!r}; rename one")
        return short


def _read_folder(path: Path) -> tuple[list[Labelled], tuple[str, ...]]:
    """The examples of a folder with a sub-folder for each label, and notes."""
    files = [f for f in sorted(path.glob("*/*")) if f.suffix.lower() in TEXT_SUFFIXES]
    if not files:
        raise MisuseError(
            f"{path}: no folder of texts in it; give one folder a label, or a .jsonl file with "
            '{"text": …, "label": …} lines'
        )
    examples, broken = [], 0
    shorten = _Labels(path)
    for file in files:
        label = shorten(file.parent.name)
        try:
            examples.append((label, read_text(file)))
        except MisuseError:
            broken += 1
    notes = (f"{broken} of {len(files)} files could not be read",) if broken else ()
    return examples, notes


class _LabelledRow(msgspec.Struct):
    """A line. Other keys are ignored."""

    text: str
    label: str | int | bool


def _read_jsonl(path: Path) -> tuple[list[Labelled], tuple[str, ...]]:
    """The examples of JSON lines with "text" and "label", and notes."""
    examples: list[Labelled] = []
    shorten = _Labels(path)
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    for line in lines:
        with suppress(msgspec.DecodeError, RecursionError):
            row = msgspec.json.decode(line.encode("utf-8", "replace"), type=_LabelledRow)
            if row.text.strip():
                examples.append((shorten(str(row.label)), row.text))
    broken = len(lines) - len(examples)
    if not examples:
        raise MisuseError(f'{path}: no line is an object with "text" and "label"')
    notes = (f"{broken} of {len(lines)} lines have no text and label",) if broken else ()
    return examples, notes


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


def _split(name: str, licence: str, examples: list[Labelled]) -> LabelledText:
    """Hold out one text in HELD_OUT of each label, by its hash."""
    train, held = [], []
    for label in dict.fromkeys(label for label, _ in examples):
        texts = sorted({text for other, text in examples if other == label}, key=_digest)
        count = len(texts) // HELD_OUT
        held += [(label, text) for text in texts[:count]]
        train += [(label, text) for text in texts[count:]]
    return _number_labels(name, licence, train, held)


def _number_labels(
    name: str, licence: str, train: list[Labelled], held: list[Labelled]
) -> LabelledText:
    """Replace labels by their indices. Raises MisuseError for fewer than two labels, or if nothing
    is held out."""
    labels = sorted({label for label, _ in train})
    if len(labels) < 2:
        only = f"the only label is '{labels[0]}'" if labels else "there is no label"
        raise MisuseError(f"{name}: {only}; a classifier needs two or more to tell apart")
    if not held:
        raise MisuseError(
            f"{name}: too few texts to hold any out; give at least {HELD_OUT} a label"
        )
    index_of = {label: index for index, label in enumerate(labels)}
    return LabelledText(
        name=name,
        licence=licence,
        labels=tuple(labels),
        train=tuple((text, index_of[label]) for label, text in train),
        validation=tuple((text, index_of[label]) for label, text in held),
    )
