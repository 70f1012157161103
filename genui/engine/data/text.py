"""Texts in JSON lines, as datasets are published: an object a line, its text under "text"."""

import hashlib
import inspect
import json
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import read_regular
from genui.base.text import clean_line
from genui.engine.data.download import fetch, shared
from genui.recipes import TextClassifierRecipe, TextRecipe

PLAN = "genui.json"
"""What `genui generate --out FOLDER` keeps beside its samples; it is no text to learn."""


class _Row(msgspec.Struct):
    """A line; other keys are ignored."""

    text: str


def documents(name: str, content: str) -> tuple[dict[str, str], int]:
    """The texts of a file of JSON lines by `name:line`, and how many lines have none.

    Where no line has one it is a file of another kind, and one text as it stands.
    """
    found = dict(_texts(name, content))
    lines = sum(1 for line in content.splitlines() if line.strip())
    return (found, lines - len(found)) if found else ({name: content}, 0)


def _texts(name: str, content: str) -> Iterator[tuple[str, str]]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in enumerate(content.splitlines(), 1):
        try:
            text = decoder.decode(line.encode("utf-8", "replace")).text
        except (msgspec.DecodeError, RecursionError):
            continue
        if text.strip():
            yield f"{name}:{number}", text


# --- Text datasets: plays, Python's own source and manual, and the user's files ---------------

MAX_BYTES = 512 * 1024 * 1024
MIN_CHARACTERS = 1_000
TEXT_SUFFIXES = {".txt", ".md", ".rst", ".py", ".tex", ".csv", ".json", ".jsonl", ".html"}

SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class TextData:
    """Documents for training and for validation; the fingerprint names exactly these."""

    name: str
    licence: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for a person."""
        train, held = (sum(map(len, part)) for part in (self.train, self.validation))
        return f"{self.name}: {train:,} characters to train on, {held:,} held out"


def _fingerprint(*parts: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for document in part:
            digest.update(document.encode("utf-8", errors="surrogatepass") + b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:16]


def _split_one(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First 90 % to train, last 10 % to validate, as nanoGPT splits it."""
    cut = int(len(text) * 0.9)
    return (text[:cut],), (text[cut:],)


def _split_documents(documents: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One document in twenty is held out, chosen by the hash of its name."""
    held = {n for n in documents if int(hashlib.sha256(n.encode()).hexdigest(), 16) % 20 == 0}
    if not held or len(held) == len(documents):
        return _split_one("\n".join(documents.values()))
    train = tuple(text for name, text in documents.items() if name not in held)
    return train, tuple(text for name, text in documents.items() if name in held)


def read_text(path: Path) -> str:
    """A text file as str. Raises MisuseError where it is missing, no regular file, too large,
    empty, binary or not UTF-8."""
    raw = read_regular(path, MAX_BYTES, "give a text file", MisuseError)
    if not raw.strip():
        raise MisuseError(f"{path}: the file is empty")
    if b"\0" in raw[:65536]:
        raise MisuseError(f"{path}: looks binary, not text; pass a UTF-8 text file")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MisuseError(
            f"{path}: not UTF-8 at byte {error.start}; convert it first (iconv -t utf-8)"
        ) from None


def _shakespeare() -> TextData:
    name = "shakespeare.txt"
    local = shared(name) or fetch(name, SHAKESPEARE_URL, SHAKESPEARE_SHA256)
    train, validation = _split_one(read_text(local))
    fingerprint = _fingerprint(train, validation)
    return TextData("shakespeare", "public domain", train, validation, fingerprint)


_SKIP_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_SKIP_FOLDERS |= {"pydoc_data", "encodings", "lib2to3", "idlelib", "turtledemo", "ensurepip"}


def standard_library() -> dict[str, str]:
    """The running interpreter's own modules by dotted path, without tests and tables."""
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


def _python() -> TextData:
    train, validation = _split_documents(standard_library())
    return TextData("python", "PSF-2.0", train, validation, _fingerprint(train, validation))


_DOCSTRING = re.compile(r'^ *[rR]?"""(.*?)"""', re.MULTILINE | re.DOTALL)
LONG_DOCSTRING = 160
"""Characters: shorter ones are labels rather than prose."""


def docstrings(source: str) -> str:
    """The longer docstrings of a module as one text, each without its indentation."""
    found = (inspect.cleandoc(text) for text in _DOCSTRING.findall(source))
    return "\n\n".join(text for text in found if len(text) >= LONG_DOCSTRING)


def _prose() -> TextData:
    """The manual of the language, and what the library's modules say of themselves."""
    from pydoc_data.topics import topics

    documents = dict(sorted(topics.items()))
    documents |= {name: docstrings(source) for name, source in standard_library().items()}
    train, validation = _split_documents({n: text for n, text in documents.items() if text})
    return TextData("prose", "PSF-2.0", train, validation, _fingerprint(train, validation))


TEXT_DATASETS: Mapping[str, Callable[[], TextData]] = {
    "shakespeare": _shakespeare,
    "python": _python,
    "prose": _prose,
}


def _user_files(path: Path) -> Iterator[tuple[str, str | None]]:
    """Each text file below a folder and its text, or None where it cannot be used."""
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.suffix.lower() in TEXT_SUFFIXES and file.name != PLAN:
            try:
                yield file.relative_to(path).as_posix(), read_text(file)
            except MisuseError:
                yield file.relative_to(path).as_posix(), None


def _cut_lines(files: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """Documents by name, a file of JSON lines cut into its texts; and how many lines have none."""
    cut: dict[str, str] = {}
    broken = 0
    for name, text in files.items():
        found, without = documents(name, text) if name.endswith(".jsonl") else ({name: text}, 0)
        cut |= found
        broken += without
    return cut, broken


def _user(path: Path) -> TextData:
    notes: tuple[str, ...] = ()
    if path.is_dir():
        files = dict(_user_files(path))
        read = {name: text for name, text in files.items() if text is not None}
        texts, broken = _cut_lines(read)
        if not texts:
            kinds = " ".join(sorted(TEXT_SUFFIXES))
            raise MisuseError(f"{path}: no readable text file in this folder (looked for {kinds})")
        if len(read) < len(files):
            notes = (f"{len(files) - len(read)} of {len(files)} files could not be read",)
        train, validation = _split_documents(texts)
    else:
        texts, broken = _cut_lines({path.name: read_text(path)})
        only = next(iter(texts.values()))
        train, validation = _split_one(only) if len(texts) == 1 else _split_documents(texts)
    if broken:
        notes += (f'{broken} lines of JSON have no "text"',)
    total = sum(map(len, train + validation))
    if total < MIN_CHARACTERS:
        raise MisuseError(
            f"{path}: {total} characters are too few to train on; give at least {MIN_CHARACTERS:,}"
        )
    licence = "yours"
    return TextData(path.name, licence, train, validation, _fingerprint(train, validation), notes)


def load_text(dataset: str, data: str = "") -> TextData:
    """The named dataset, or the user's file or folder where `data` is given.

    Raises MisuseError for an unknown name or an unusable file.
    """
    if data:
        return _user(Path(data).expanduser())
    try:
        load = TEXT_DATASETS[dataset]
    except KeyError:
        raise MisuseError(
            f"no text dataset '{dataset}': {did_you_mean(dataset, TEXT_DATASETS)}"
        ) from None
    return load()


def check_text(recipe: TextRecipe) -> str:
    """One line describing the text a recipe would train on, having read it."""
    return load_text(recipe.dataset, recipe.data).describe()


# --- Texts with labels: who speaks in a play, code or prose, and a person's own ---------------

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
        return _user_labels(Path(data).expanduser())
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


def _user_labels(path: Path) -> LabelledText:
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
