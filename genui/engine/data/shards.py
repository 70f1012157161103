"""Token ids to train on: in memory, or in files that are larger than it.

Data that do not fit into memory are tokenised once, into two files of token ids in the cache: what
is trained on and what is held out. After each shard of the text `manifest.json` is replaced, which
says how much of both files counts and where reading goes on; a process that is killed loses the
shard it was at.
"""

import hashlib
import json
import os
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from genui.base import paths
from genui.base.errors import GenuiError
from genui.base.files import (
    atomic_write,
    cannot_read,
    cannot_write,
    free_space,
    read_regular,
    show,
)
from genui.base.numbers import size
from genui.engine.data.documents import (
    Piece,
    describe_left_out,
    is_held_out,
    no_documents,
)
from genui.engine.data.preparation import (
    QUIET,
    Preparation,
    Prepared,
    Report,
    bytes_in,
    cut_short,
    locked,
    open_end,
    read_record,
    say_nothing,
    write_record,
)
from genui.engine.data.sources import TEXT, ReadingProgress, Source, read
from genui.engine.data.text import find_large, load_text, sample_text
from genui.engine.data.tokenizer import (
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    code_points,
    encode_pieces,
    token_type,
    tokenizer_from_dict,
    train_bpe,
)
from genui.recipes import TextRecipe

SHARD = 64 * 1024 * 1024
"""Characters of text in a shard."""

GROUP = 1024 * 1024
"""Characters that are tokenised at once."""

BPE_SAMPLE = 32 * 1024 * 1024
"""Bytes of a large text on which a BPE is trained."""

PARTS = ("train.bin", "held-out.bin")
MANIFEST = "manifest.json"
MAX_TOKENIZER = 64 * 1024 * 1024  # bytes of its file


class Corpus(NamedTuple):
    """The data that a text model trains on."""

    tokenizer: Tokenizer
    train: "Tokens"
    held: "Tokens"
    tokens_per_character: float
    name: str
    licence: str
    fingerprint: str
    line: str  # describes it
    notes: tuple[str, ...]
    times: float = 1.0  # how many times as large the data are, if this is a sample of them
    documents: tuple[tuple[str, int], ...] = ()
    """The names of the training documents and their characters, in order, if they are known."""


class TokenFile:
    """The token ids `start` to `stop` of a file, read a window at a time.

    A read takes some microseconds and keeps nothing: the system's cache of the disk is not memory
    of this process, as the pages of a mapped file are, and a file that was cut short is an error.
    """

    def __init__(self, path: Path, dtype: np.dtype, start: int, stop: int) -> None:
        """Raises GenuiError, naming the file, if it is missing or too short."""
        self._path, self._dtype, self._start, self._length = path, dtype, start, stop - start
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._fd)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            raise cannot_read(path, error) from None
        if size < stop * dtype.itemsize:
            raise cut_short(path)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[np.unsignedinteger]:
        start, stop, _ = part.indices(self._length)
        size = max(0, stop - start) * self._dtype.itemsize
        try:
            data = os.pread(self._fd, size, (self._start + start) * self._dtype.itemsize)
        except OSError as error:
            raise cannot_read(self._path, error) from None
        if len(data) < size:
            raise cut_short(self._path)
        return np.frombuffer(data, self._dtype)


Tokens = NDArray[np.integer] | TokenFile
"""Token ids [N] in memory or in a file."""


def read_windows(tokens: Tokens, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The windows of `length` token ids from each of the starts [B], int64 [B, length]."""
    if isinstance(tokens, TokenFile):
        rows = np.empty((len(starts), length), np.int64)
        for row, start in zip(rows, starts.tolist(), strict=True):
            row[:] = tokens[start : start + length]
        return rows
    return tokens[starts[:, None] + np.arange(length)].astype(np.int64)


class Manifest(msgspec.Struct, kw_only=True):
    """The progress of tokenising a source. Pairs are of the trained and the held-out part."""

    name: str
    path: str
    tokenizer: str  # chars, bytes or bpe
    dtype: str
    size: int  # bytes of the source's files
    share: float = 0.0  # of them that is read
    file: int = 0  # where reading goes on: after so many batches of that file
    number: int = 0
    tokens: tuple[int, int] = (0, 0)
    characters: tuple[int, int] = (0, 0)
    documents: tuple[int, int] = (0, 0)
    unknown: int = 0  # characters that are not in the vocabulary
    without_text: int = 0  # lines or rows
    unreadable: int = 0  # files
    digest: str = ""  # of the text
    done: bool = False


def tokens_dir() -> Path:
    """One folder a source, with a folder for each of its tokenizers."""
    return paths.cache_dir() / "tokens"


def check_text(recipe: TextRecipe, preparation: Preparation = QUIET) -> str:
    """Load the text of a recipe and describe it in one line; only the beginning of large data."""
    if source := find_large(recipe):
        return check_large(source)
    return load_text(recipe.dataset, recipe.data, preparation=preparation).describe()


def check_large(source: Source) -> str:
    """Describe a source that is too large for the memory, from its beginning and sizes alone.

    Raises GenuiError if it cannot be read, or the disk is too full for its tokens.
    """
    next(iter(read(source)), None)
    _check_space(tokens_dir(), source.text_bytes if _is_exact(source) else 0)
    return f"{source.describe()}, larger than memory: tokenised once, on disk"


def _is_exact(source: Source) -> bool:
    return source.group == TEXT


def _check_space(folder: Path, needed: int) -> None:
    free = free_space(folder)
    if needed > free:
        raise GenuiError(
            f"{show(folder)}: the tokens take about {size(needed)} and {size(free)} are free; free "
            "some space (`genui dataset` lists tokenised data), or set GENUI_HOME to another disk"
        )


def list_tokenised() -> list[Prepared]:
    """The texts that are tokenised in the cache, wholly or in part."""
    prepared: list[Prepared] = []
    for folder in sorted(tokens_dir().glob("*")):
        read = map(read_manifest, sorted(folder.glob("*")))
        if manifests := [manifest for manifest in read if manifest is not None]:
            content = [f"{sum(each.tokens):,} tokens ({each.tokenizer})" for each in manifests]
            row = Prepared(
                name=manifests[0].name,
                path=manifests[0].path,
                content=", ".join(content + ["vocabulary"] * any(folder.glob("*.json"))),
                octets=bytes_in(folder),
                share=min(each.share for each in manifests),
                folder=folder,
            )
            prepared.append(row)
    return prepared


# --- Tokenizers of large data -----------------------------------------------------------------


def build_large_tokenizer(
    source: Source, kind: str, vocab_size: int, report: Report = say_nothing
) -> tuple[Tokenizer, str]:
    """The tokenizer of a source, made once and kept, and a remark on it or "".

    The vocabulary of characters covers all of the text; a BPE is trained on a sample.
    """
    if kind == "bytes":
        return ByteTokenizer(), ""
    folder = tokens_dir() / source.key
    file = folder / (f"bpe-{vocab_size}.json" if kind == "bpe" else "chars.json")
    with locked(folder, source.path.name, report):
        if file.exists():
            tokenizer = _read_tokenizer(file)
        elif kind == "bpe":
            report(f"training a BPE on a sample of {source.path.name}")
            tokenizer = train_bpe(sample_text(source, BPE_SAMPLE).train, vocab_size)
            atomic_write(file, json.dumps(tokenizer.to_dict()).encode())
        else:
            tokenizer = CharTokenizer(_characters(source, report))
            atomic_write(file, json.dumps(tokenizer.to_dict()).encode())
    if kind == "bpe":
        return tokenizer, f"the BPE was trained on a sample of {size(BPE_SAMPLE)}"
    return tokenizer, ""


def _read_tokenizer(file: Path) -> Tokenizer:
    data = read_regular(file, MAX_TOKENIZER, "remove it")
    try:
        return tokenizer_from_dict(json.loads(data))
    except (ValueError, AttributeError, RecursionError):
        raise GenuiError(f"{show(file)}: is damaged; remove it and repeat") from None


def _characters(source: Source, report: Report) -> str:
    """The characters of the documents that are not held out, sorted."""
    seen = np.zeros((2, 0x110000), bool)
    progress = ReadingProgress(source, 0.0, report)
    for batch in read(source):
        for piece in batch.items:
            seen[int(is_held_out(piece.document)), code_points(piece.text)] = True
        progress.show(f"reading the characters of {source.path.name}", batch.share)
    return "".join(map(chr, np.flatnonzero(seen[0] if seen[0].any() else seen[1]).tolist()))


# --- Tokenising -------------------------------------------------------------------------------


def open_large(
    source: Source, tokenizer: Tokenizer, remark: str = "", report: Report = say_nothing
) -> Corpus:
    """The tokens of a source; the part that is not tokenised yet is tokenised now."""
    fields = {key: value for key, value in tokenizer.to_dict().items() if key != "gaps"}
    key = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    folder = tokens_dir() / source.key / key
    with locked(folder.parent, source.path.name, report):
        dtype, manifest = token_type(tokenizer.size).str, read_manifest(folder)
        if manifest is None or manifest.dtype != dtype:  # none, or one that genui did not write
            manifest = Manifest(
                name=source.path.name,
                path=str(source.path),
                tokenizer=fields.get("kind", ""),
                dtype=dtype,
                size=source.size,
            )
        if not manifest.done:
            _tokenise(source, tokenizer, folder, manifest, report)
    return _open(source, tokenizer, folder, manifest, remark)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, or None if there is none that can be used."""
    return read_record(folder / MANIFEST, Manifest)


def _tokenise(
    source: Source, tokenizer: Tokenizer, folder: Path, manifest: Manifest, report: Report
) -> None:
    """Tokenise the rest of a source. Raises GenuiError if it cannot be read or written."""
    dtype = np.dtype(manifest.dtype)
    rest = source.text_bytes * (1 - manifest.share) * dtype.itemsize
    tokens_per_byte = 1 / 4 if tokenizer.end is not None else 1
    _check_space(folder, int(rest * tokens_per_byte) if _is_exact(source) else 0)
    progress = ReadingProgress(source, manifest.share, report)
    try:
        folder.mkdir(exist_ok=True)
        write_record(folder / MANIFEST, manifest, [])
        with ExitStack() as stack:
            parts = [
                stack.enter_context(open_end(folder / name, count * dtype.itemsize))
                for name, count in zip(PARTS, manifest.tokens, strict=True)
            ]
            shard = _Shard(tokenizer, parts, manifest)
            for batch in read(source, manifest.file, manifest.number):
                for piece in batch.items:
                    shard.add(piece)
                manifest.without_text += batch.without_text
                manifest.unreadable += len(batch.notes)
                manifest.file, manifest.number = batch.file, batch.number
                manifest.share = batch.share
                progress.show(f"tokenising {manifest.name}", batch.share)
                if shard.characters >= SHARD:
                    shard.close()
                    write_record(folder / MANIFEST, manifest, parts)
                    shard = _Shard(tokenizer, parts, manifest)
            shard.close()
            manifest.done = True
            write_record(folder / MANIFEST, manifest, parts)
    except OSError as error:
        raise cannot_write(folder, error) from None


class _Shard:
    """Tokenises pieces in groups, and counts them in the manifest."""

    def __init__(self, tokenizer: Tokenizer, parts: list[IO[bytes]], manifest: Manifest) -> None:
        self._tokenizer, self._parts, self._manifest = tokenizer, parts, manifest
        self._digest = hashlib.sha256(manifest.digest.encode())
        self._waiting: tuple[list[Piece], list[Piece]] = ([], [])
        self._size = 0  # characters that wait
        self.characters = 0

    def add(self, piece: Piece) -> None:
        self._waiting[is_held_out(piece.document)].append(piece)
        self._digest.update(piece.text.encode("utf-8", "replace") + b"\0" * piece.ends)
        self._size += len(piece.text)
        self.characters += len(piece.text)
        if self._size >= GROUP:
            self._write()

    def close(self) -> None:
        self._write()
        self._manifest.digest = self._digest.hexdigest()

    def _write(self) -> None:
        manifest = self._manifest
        tokens, characters, documents = map(
            list, (manifest.tokens, manifest.characters, manifest.documents)
        )
        for part, pieces in enumerate(self._waiting):
            token_ids = self._encode(pieces, documents[part] > 0)
            self._parts[part].write(token_ids.astype(manifest.dtype, copy=False).tobytes())
            tokens[part] += len(token_ids)
            characters[part] += sum(len(piece.text) for piece in pieces)
            documents[part] += sum(piece.starts for piece in pieces)
            pieces.clear()
        manifest.tokens = (tokens[0], tokens[1])
        manifest.characters = (characters[0], characters[1])
        manifest.documents = (documents[0], documents[1])
        self._size = 0

    def _encode(self, pieces: list[Piece], follows: bool) -> NDArray[np.unsignedinteger]:
        """The token ids of pieces, as `encode_documents` gives them for whole documents; `follows`
        says whether other documents are before them."""
        tokenizer = self._tokenizer
        if tokenizer.end is None:
            text = "".join(
                "\n" * (piece.starts and (follows or index > 0)) + piece.text
                for index, piece in enumerate(pieces)
            )
            token_ids = tokenizer.encode_array(text)
            if isinstance(tokenizer, CharTokenizer):
                self._manifest.unknown += len(text) - len(token_ids)
            return token_ids
        return encode_pieces(tokenizer, ((piece.text, piece.ends) for piece in pieces))


def _open(
    source: Source,
    tokenizer: Tokenizer,
    folder: Path,
    manifest: Manifest,
    remark: str,
) -> Corpus:
    """The tokens of a source that is tokenised.

    If there is only one document, or none is held out, the last tenth of the tokens is.
    """
    dtype = np.dtype(manifest.dtype)
    trained, held = manifest.tokens
    if trained and held:
        parts = [
            TokenFile(folder / name, dtype, 0, count)
            for name, count in zip(PARTS, manifest.tokens, strict=True)
        ]
        per_character = held / max(1, manifest.characters[1])
    else:
        name, count = PARTS[not trained], trained + held
        if not count:
            raise no_documents(source)
        cut = int(count * 0.9)
        parts = [
            TokenFile(folder / name, dtype, first, last) for first, last in ((0, cut), (cut, count))
        ]
        per_character = count / max(1, sum(manifest.characters))
    total = sum(manifest.characters)
    unknown = (
        f"{manifest.unknown:,} characters of this data are not in the vocabulary and are left out "
        f"({100 * manifest.unknown / max(1, total):.1f} % of the text)"
    )
    notes = (
        *filter(None, [remark]),
        *describe_left_out(source, manifest.without_text, manifest.unreadable),
        *([unknown] if manifest.unknown else []),
    )
    return Corpus(
        tokenizer=tokenizer,
        train=parts[0],
        held=parts[1],
        tokens_per_character=per_character,
        name=manifest.name,
        licence="yours",
        fingerprint=manifest.digest[:16],
        line=f"{manifest.name}: {len(parts[0]):,} tokens to train on, {len(parts[1]):,} held out, "
        f"{size((trained + held) * dtype.itemsize)} on disk",
        notes=notes,
    )
