"""Text datasets: plays, Python's own source and manual, and the user's files."""

import hashlib
import inspect
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from genui.engine.data.download import fetch, shared
from genui.engine.data.jsonl import PLAN, documents
from genui.errors import GenuiError, MisuseError, did_you_mean
from genui.recipes import TextRecipe
from genui.runs.disk import read_regular

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
