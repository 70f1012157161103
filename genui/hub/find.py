"""Models that other programs keep on this machine.

The cache of Hugging Face, Ollama's store, LM Studio's folders and llama.cpp's cache are listed by
names alone: nothing is opened but Ollama's manifests and two pointers of a line. `list_models` of
`genui.runs.models` shows them; the setting `find_models` turns it off.
"""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_json, sanitize, stamp_of


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that another program keeps."""

    name: str
    """As that program calls it: "owner/name", "smollm2:135m"."""
    path: Path
    program: str
    licence: str = ""
    real: str = ""
    """The path without symbolic links."""

    @property
    def short_name(self) -> str:
        """The name without its owner and suffix."""
        return self.name.rpartition("/")[2].removesuffix(".gguf")


def list_local() -> list[LocalModel]:
    """The models of other programs by program and name; a file that two programs name comes once.

    Raises nothing: entries that cannot be read are left out.
    """
    models: dict[str, LocalModel] = {}
    paths: set[str] = set()
    for source in (_hugging_face, _ollama, _lm_studio, _llama_cpp):
        with suppress(OSError):
            for model in sorted(source(), key=lambda model: model.name):
                real = os.path.realpath(model.path)
                if real not in paths and model.name not in models:
                    paths.add(real)
                    models[model.name] = msgspec.structs.replace(model, real=real)
    return list(models.values())


FRESH_FOR = 60.0  # seconds

_recent: tuple[object, float, list[LocalModel]] | None = None


def list_recent() -> list[LocalModel]:
    """As `list_local`, but read again only if the folder of a program has changed, or after a
    minute: the app asks every few seconds."""
    global _recent
    now, key = time.monotonic(), [(root, stamp_of(Path(root))) for root in _roots()]
    if _recent is None or _recent[0] != key or now - _recent[1] > FRESH_FOR:
        _recent = key, now, list_local()
    return _recent[2]


def _roots() -> list[str]:
    own, system = _ollama_roots()
    manifests = [os.path.join(root, "manifests", _REGISTRY, "library") for root in (own, system)]
    return [str(hub_cache()), *manifests, *_lm_studio_roots(), _llama_cpp_root()]


def find_local(name: str, models: Iterable[LocalModel] | None = None) -> LocalModel | None:
    """The model of that name or, if only one has it, of that short name; case does not matter.

    Raises MisuseError if several have the short name.
    """
    if models is None:
        found = find_local(name, list_recent())
        return found or find_local(name, list_local())
    models = list(models)
    wanted = name.lower()
    exact = [model for model in models if model.name.lower() == wanted]
    short = [model for model in models if model.short_name.lower() == wanted]
    matches = exact or short
    if len(matches) > 1 and not exact:
        names = ", ".join(model.name for model in matches[:6])
        raise MisuseError(f"{sanitize(name, 80)}: is it {sanitize(names, 400)}?")
    return matches[0] if matches else None


# --- Hugging Face -----------------------------------------------------------------------------


def hub_cache() -> Path:
    """The folder in which `huggingface_hub` keeps what it fetched."""
    if folder := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(os.path.expanduser(folder))
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.path.expanduser(home)) / "hub"


def _hugging_face() -> Iterator[LocalModel]:
    """Snapshots of `huggingface_hub` that have weights in safetensors or GGUF."""
    with os.scandir(hub_cache()) as entries:
        folders = [entry.path for entry in entries if entry.name.startswith("models--")]
    for folder in folders:
        name = os.path.basename(folder).removeprefix("models--").replace("--", "/", 1)
        snapshot = _snapshot(folder)
        if snapshot is not None:
            yield from _in_folder(name, snapshot, "Hugging Face")


def _snapshot(folder: str) -> str | None:
    """The newest snapshot: the snapshot of main or, without one, the last that was changed."""
    snapshots = os.path.join(folder, "snapshots")
    with suppress(OSError):
        with open(os.path.join(folder, "refs", "main"), encoding="ascii", errors="replace") as ref:
            path = os.path.join(snapshots, os.path.basename(ref.read(200).strip()))
        if os.path.isdir(path):
            return path
    with suppress(OSError), os.scandir(snapshots) as entries:
        newest = max(entries, key=lambda entry: entry.stat().st_mtime, default=None)
        return newest.path if newest is not None else None
    return None


def _in_folder(name: str, folder: str, program: str) -> Iterator[LocalModel]:
    """The model of a folder: each of its GGUF files, else its safetensors with a configuration."""
    with suppress(OSError):
        files = set(os.listdir(folder))
        ggufs = sorted(file for file in files if file.endswith(".gguf") and _is_whole(file))
        for file in ggufs:
            full = name if len(ggufs) == 1 else f"{name}/{file}"
            yield LocalModel(name=full, path=Path(folder, file), program=program)
        weights = any(file.endswith(".safetensors") for file in files)
        named = files & {"config.json", "adapter_config.json"}
        if not ggufs and ("model_index.json" in files or (named and weights)):
            yield LocalModel(name=name, path=Path(folder), program=program)


def _is_whole(file: str) -> bool:
    """Whether a file is a model, and no projector or later part of one."""
    return not re.search(r"mmproj|-(?!00001)\d{5}-of-\d{5}", file)


# --- Ollama -----------------------------------------------------------------------------------


class _Layer(msgspec.Struct, frozen=True):
    digest: str = ""
    mediaType: str = ""  # noqa: N815 - the name in the file


class _Manifest(msgspec.Struct, frozen=True):
    layers: list[_Layer] = []


_SYSTEM_OLLAMA = "/usr/share/ollama/.ollama/models"
_REGISTRY = "registry.ollama.ai"
_LAYER = "application/vnd.ollama.image."


def _ollama_roots() -> tuple[str, str]:
    own = os.path.expanduser(os.environ.get("OLLAMA_MODELS") or "~/.ollama/models")
    return own, _SYSTEM_OLLAMA


def _ollama() -> Iterator[LocalModel]:
    """The tags of Ollama's manifests; a tag's model is the blob of its layer "model"."""
    for root in _ollama_roots():
        manifests = os.path.join(root, "manifests")
        for folder, _, files in os.walk(manifests):
            for tag in files:
                parts = Path(folder).relative_to(manifests).parts
                model = None if tag.startswith(".") else _tagged(root, parts, tag)
                if model is not None:
                    yield model


def _tagged(root: str, parts: tuple[str, ...], tag: str) -> LocalModel | None:
    manifest = Path(root, "manifests", *parts, tag)
    try:
        layers = read_json(manifest, _Manifest, "remove it").layers
    except GenuiError:
        return None
    blobs = {layer.mediaType.removeprefix(_LAYER): _blob(root, layer.digest) for layer in layers}
    path = blobs.get("model")
    if path is None or not path.is_file():
        return None
    named = parts[1:] if parts[:1] == (_REGISTRY,) else parts
    named = named[1:] if named[:1] == ("library",) else named
    return LocalModel(
        name=f"{'/'.join(named)}:{tag}",
        path=path,
        program="Ollama",
        licence=_licence(blobs.get("license")),
    )


def _blob(root: str, digest: str) -> Path | None:
    """The file of a digest; None if the text is not a SHA-256."""
    known = re.fullmatch(r"sha256[:-]([0-9a-f]{64})", digest)
    return Path(root, "blobs", f"sha256-{known[1]}") if known else None


def _licence(path: Path | None) -> str:
    """A word for the text of a licence, or its first line."""
    text = ""
    if path is not None:
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(2000)
    for begin, name in (("Apache License", "Apache-2.0"), ("MIT License", "MIT")):
        if begin in text:
            return name
    return sanitize(next((line.strip() for line in text.splitlines() if line.strip()), ""), 60)


# --- LM Studio and llama.cpp --------------------------------------------------------------------


def _lm_studio() -> Iterator[LocalModel]:
    """Folders PUBLISHER/NAME below LM Studio's own."""
    for root in _lm_studio_roots():
        for publisher in _folders(root):
            for folder in _folders(publisher):
                name = f"{os.path.basename(publisher)}/{os.path.basename(folder)}"
                yield from _in_folder(name, folder, "LM Studio")


def _lm_studio_roots() -> list[str]:
    home = os.path.expanduser("~/.lmstudio")
    pointer = os.path.expanduser("~/.lmstudio-home-pointer")
    with suppress(OSError, ValueError), open(pointer, encoding="utf-8") as file:
        home = file.read(4096).strip() or home
    roots = [os.path.join(home, "models"), os.path.expanduser("~/.cache/lm-studio/models")]
    with suppress(GenuiError):
        settings = read_json(Path(home, "settings.json"), dict[str, Any], "")
        if isinstance(folder := settings.get("downloadsFolder"), str):
            roots.insert(0, os.path.expanduser(folder))
    return list(dict.fromkeys(roots))


def _folders(root: str) -> list[str]:
    with suppress(OSError), os.scandir(root) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir())
    return []


def _llama_cpp_root() -> str:
    if root := os.environ.get("LLAMA_CACHE"):
        return os.path.expanduser(root)
    mac = sys.platform == "darwin"
    base = "~/Library/Caches" if mac else os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return os.path.expanduser(os.path.join(base, "llama.cpp"))


def _llama_cpp() -> Iterator[LocalModel]:
    """GGUF files of llama.cpp's own cache."""
    with os.scandir(_llama_cpp_root()) as entries:
        for entry in entries:
            if entry.name.endswith(".gguf") and _is_whole(entry.name) and entry.is_file():
                yield LocalModel(name=entry.name, path=Path(entry.path), program="llama.cpp")
