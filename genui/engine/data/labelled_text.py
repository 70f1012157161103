"""Texts with labels: who speaks in a play, code or prose, and a person's own."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from genui.engine.data.text import TEXT_SUFFIXES, load_text, read_text, standard_library
from genui.errors import MisuseError, did_you_mean
from genui.recipes import TextClassifierRecipe
from genui.render.sanitise import clean_line

SPEAKERS = 8
PASSAGE = 400  # characters of code or prose
HELD_OUT = 5  # one text in so many
MOST_LABELS = 200

_SPEECH = re.compile(r"^([A-Z][A-Za-z .']{1,30}):\n((?:.+\n?)+)", re.MULTILINE)

Example = tuple[str, int]


@dataclass(frozen=True)
class LabelledText:
    """Examples (text, index of its label) to train on and held out."""

    name: str
    licence: str
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Names exactly these examples."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            for text, label in part:
                digest.update(f"{self.labels[label]}\0{text}\1".encode("utf-8", "replace"))
            digest.update(b"\2")
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"{self.name}: {len(self.train):,} texts to train on, {len(self.validation):,} held "
            f"out, {len(self.labels)} labels"
        )


def load_labelled_text(dataset: str, data: str = "") -> LabelledText:
    """The named data, or a person's own where `data` is given: a JSONL file, or a folder with
    a folder of texts a label.

    Raises MisuseError for an unknown name, unusable files and a single label.
    """
    if data:
        return _user(Path(data).expanduser())
    load = LABELLED_TEXTS.get(dataset)
    if load is None:
        raise MisuseError(f"no labelled text '{dataset}': {did_you_mean(dataset, LABELLED_TEXTS)}")
    return load()


def check_labelled_text(recipe: TextClassifierRecipe) -> str:
    """One line describing the texts a recipe would train on, having read them."""
    return load_labelled_text(recipe.dataset, recipe.data).describe()


def speeches(play: str) -> list[tuple[str, str]]:
    """(speaker, what they say) of a play that is written as `NAME:`, then their lines."""
    return [(name, said.strip()) for name, said in _SPEECH.findall(play)]


def _speakers() -> LabelledText:
    """The speeches of those who speak most often."""
    data = load_text("shakespeare")
    said = speeches("".join((*data.train, *data.validation)))
    # Names in small letters are of no one: "First Citizen", "Messenger".
    often = Counter(name for name, _ in said if name.isupper())
    chosen = {name for name, _ in often.most_common(SPEAKERS)}
    return _split(data.name, data.licence, [(n, s) for n, s in said if n in chosen])


def _python_or_prose() -> LabelledText:
    """Passages of the standard library's source, and as many of Python's manual.

    Whole documents are held out, chosen by the hash of their names.
    """
    from pydoc_data.topics import topics

    parts: dict[bool, dict[str, list[str]]] = {False: {}, True: {}}
    for label, documents in (("Python", standard_library()), ("prose", topics)):
        for held, passages in parts.items():
            of = [d for name, d in documents.items() if (_digest(name) % HELD_OUT == 0) == held]
            passages[label] = sorted(_passages(of), key=_digest)
    train, held = (
        [(label, text) for label, texts in part.items() for text in texts[: _fewest(part)]]
        for part in parts.values()
    )
    return _numbered("python-or-prose", "PSF-2.0", train, held)


def _fewest(texts: Mapping[str, list[str]]) -> int:
    """How many texts the label with the fewest has."""
    return min(map(len, texts.values()))


def _passages(documents: Iterable[str]) -> list[str]:
    """Each document cut into passages side by side, without those that are nearly empty."""
    cut = (d[at : at + PASSAGE] for d in documents for at in range(0, len(d), PASSAGE))
    return [text for text in cut if len(text.strip()) > PASSAGE // 4]


LABELLED_TEXTS: Mapping[str, Callable[[], LabelledText]] = {
    "speakers": _speakers,
    "python-or-prose": _python_or_prose,
}


def _user(path: Path) -> LabelledText:
    examples, notes = _folder(path) if path.is_dir() else _jsonl(path)
    data = _split(path.name, "yours", examples)
    if len(data.labels) > MOST_LABELS:
        raise MisuseError(
            f"{path}: {len(data.labels)} labels are too many to tell apart; give at most "
            f"{MOST_LABELS}"
        )
    return replace(data, notes=notes)


def _folder(path: Path) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """A folder a label, its text files the examples."""
    files = [f for f in sorted(path.glob("*/*")) if f.suffix.lower() in TEXT_SUFFIXES]
    if not files:
        raise MisuseError(
            f"{path}: no folder of texts in it; give one folder a label, or a .jsonl file with "
            '{"text": …, "label": …} lines'
        )
    examples, broken = [], 0
    for file in files:
        try:
            examples.append((clean_line(file.parent.name, 40), read_text(file)))
        except MisuseError:
            broken += 1
    notes = (f"{broken} of {len(files)} files could not be read",) if broken else ()
    return examples, notes


def _jsonl(path: Path) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """A line an example: an object with "text" and "label"."""
    examples, broken = [], 0
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    for line in lines:
        try:
            fields = json.loads(line)
            text, label = fields["text"], fields["label"]
        except (ValueError, TypeError, KeyError, RecursionError):
            broken += 1
            continue
        if isinstance(text, str) and text.strip() and isinstance(label, str | int):
            examples.append((clean_line(str(label), 40), text))
        else:
            broken += 1
    if not examples:
        raise MisuseError(f'{path}: no line is an object with "text" and "label"')
    notes = (f"{broken} of {len(lines)} lines have no text and label",) if broken else ()
    return examples, notes


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


def _split(name: str, licence: str, examples: list[tuple[str, str]]) -> LabelledText:
    """One text in HELD_OUT of each label is held out, chosen by its hash."""
    train, held = [], []
    labels = dict.fromkeys(label for label, _ in examples)
    for label in labels:
        texts = sorted({text for of, text in examples if of == label}, key=_digest)
        cut = len(texts) // HELD_OUT
        held += [(label, text) for text in texts[:cut]]
        train += [(label, text) for text in texts[cut:]]
    return _numbered(name, licence, train, held)


def _numbered(
    name: str, licence: str, train: list[tuple[str, str]], held: list[tuple[str, str]]
) -> LabelledText:
    """Labels as indices. Raises MisuseError for a single label, or nothing to hold out."""
    labels = sorted({label for label, _ in train})
    if len(labels) < 2:
        only = f"the only label is '{labels[0]}'" if labels else "there is no label"
        raise MisuseError(f"{name}: {only}; a classifier needs two or more to tell apart")
    if not held:
        raise MisuseError(
            f"{name}: too few texts to hold any out; give at least {HELD_OUT} a label"
        )
    number = {label: index for index, label in enumerate(labels)}
    return LabelledText(
        name=name,
        licence=licence,
        labels=tuple(labels),
        train=tuple((text, number[label]) for label, text in train),
        validation=tuple((text, number[label]) for label, text in held),
    )
