"""Folders of diffusers: their pipeline and components, from JSON and the headers of safetensors.

A folder has `model_index.json`, which names the pipeline's class and the library and class of each
component, and a sub-folder for each component. The engine loads the components
(`load` here).
"""

import json
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from genui.base.errors import MisuseError, did_you_mean
from genui.base.files import LARGEST_JSON, read_regular, sanitize, show
from genui.hub.open_model import OpenModel, read_licence
from genui.hub.safetensors import TensorEntry, name_dtype, read_tensors

INDEX = "model_index.json"

LIBRARIES = ("diffusers", "transformers")
"""The libraries whose classes are loaded; another is code, which is never run."""


class Pipeline(Struct, frozen=True, kw_only=True):
    """The facts about a class of pipelines that are needed before it is loaded."""

    title: str
    network: str
    """The component that denoises: "unet" or "transformer"."""
    others: tuple[str, ...] = ()
    """The other components that it needs, besides the scheduler."""
    settings: Mapping[str, Any] = {}
    """The settings that its authors recommend."""
    side: int = 0
    """The side of its arrays, if its network draws several and does not say which is usual."""
    any_size: bool = True
    """Whether it draws images of several sizes."""


_GUIDED = types.MappingProxyType({"steps": 30, "guidance": 7.5})
_DISTILLED = types.MappingProxyType({"steps": 4, "guidance": 1.0, "sampler": "euler"})
_CLIP = ("vae", "text_encoder", "tokenizer")
_TWO_ENCODERS = (*_CLIP, "text_encoder_2", "tokenizer_2")

PIPELINES: Mapping[str, Pipeline] = types.MappingProxyType(
    {
        "DDPMPipeline": Pipeline(
            title="DDPM",
            network="unet",
            any_size=False,
            settings={"steps": 100, "guidance": 1.0, "sampler": "ddpm"},
        ),
        "StableDiffusionPipeline": Pipeline(
            title="Stable Diffusion", network="unet", others=_CLIP, settings=_GUIDED
        ),
        "DiTPipeline": Pipeline(
            title="DiT",
            network="transformer",
            others=("vae",),
            any_size=False,
            settings={"steps": 30, "guidance": 4.0},
        ),
        "StableDiffusionXLPipeline": Pipeline(
            title="Stable Diffusion XL",
            network="unet",
            others=_TWO_ENCODERS,
            settings={"steps": 30, "guidance": 5.0},
        ),
        "FluxPipeline": Pipeline(
            title="FLUX",
            network="transformer",
            others=_TWO_ENCODERS,
            side=128,
            settings={"steps": 28, "guidance": 3.5, "sampler": "euler"},
        ),
        "ZImagePipeline": Pipeline(
            title="Z-Image",
            network="transformer",
            others=_CLIP,
            side=128,
            settings={"steps": 9, "guidance": 1.0, "sampler": "euler"},
        ),
    }
)
"""The class of a pipeline to its row. The engine has a row of the same name."""


class Component(Struct, frozen=True):
    """A part of a pipeline: a class of a library and the folder of its files."""

    library: str
    cls: str
    path: Path
    weights: tuple[Path, ...] = ()
    """Its files of tensors; () for a scheduler or a tokenizer."""
    variant: str = ""
    """The variant of these files: "fp16" of `model.fp16.safetensors`."""
    config: Mapping[str, Any] = {}


class Folder(Struct, frozen=True):
    """A diffusers folder: its pipeline and the components that it needs, by name."""

    path: Path
    pipeline: str
    components: Mapping[str, Component]
    index: Mapping[str, Any]

    @property
    def row(self) -> Pipeline:
        return PIPELINES[self.pipeline]


def recognise(path: Path) -> bool:
    """Whether a path is a folder with `model_index.json`."""
    try:
        return (path / INDEX).is_file()
    except OSError:
        return False


def files(path: Path) -> list[Path]:
    """The files that a folder's model is made of, in a fixed order: the files of its components."""
    folder = read_folder(path)
    parts = [file for part in folder.components.values() for file in part.path.iterdir()]
    return [path / INDEX, *sorted(file for file in parts if file.is_file())]


def describe(path: Path) -> OpenModel:
    """The model of a folder. Raises MisuseError, one line, for an unknown pipeline, and for a part
    that is missing, pickled or truncated."""
    folder = read_folder(path)
    tensors: list[TensorEntry] = []
    size = 0
    for component in folder.components.values():
        for file in component.weights:
            tensors += read_tensors(file, "copy the folder again")[0].values()
            size += file.stat().st_size
    kind = folder.row
    settings = dict(kind.settings)
    scheduler = folder.components["scheduler"].config
    config = folder.components[kind.network].config
    # Turbo models are trained for few steps; their scheduler says so by its spacing.
    if folder.pipeline == "StableDiffusionXLPipeline" and _is_turbo(scheduler):
        settings = dict(_DISTILLED)
    if folder.pipeline == "FluxPipeline" and not config.get("guidance_embeds"):
        settings = dict(_DISTILLED)
    if scheduler.get("_class_name") == "LCMScheduler":
        settings = {**_DISTILLED, "sampler": "lcm"}
    if "vae" in kind.others:
        settings["decoder"] = "last"
    if kind.any_size:
        settings["size"] = _usual_size(folder)
    return OpenModel(
        path=path,
        format="diffusers",
        name=path.name,
        medium="image",
        architecture=kind.title,
        parameters=sum(tensor.count for tensor in tensors),
        size=size,
        stored=name_dtype(tensors),
        licence=read_licence(path),
        summary=f"{kind.title}, {folder.pipeline} of diffusers",
        settings=settings,
    )


def _usual_size(folder: Folder) -> int:
    """The side, in pixels, of the images that a model with an autoencoder was trained on."""
    side = folder.row.side or folder.components[folder.row.network].config.get("sample_size")
    side = side[0] if isinstance(side, list) and side else side
    blocks = folder.components["vae"].config.get("block_out_channels")
    if not (isinstance(side, int) and isinstance(blocks, list) and blocks):
        raise MisuseError(
            f"{show(folder.path)}: its configuration does not say the size of its images; "
            "copy the folder again"
        )
    return side * 2 ** (len(blocks) - 1)


def _is_turbo(scheduler: Mapping[str, Any]) -> bool:
    """As in the folders of SDXL Turbo and SD Turbo, whose scheduler alone is spaced so."""
    return scheduler.get("timestep_spacing") == "trailing" and "Ancestral" in str(
        scheduler.get("_class_name")
    )


# --- The folder -------------------------------------------------------------------------------


def read_folder(path: Path) -> Folder:
    """The pipeline and its components. Raises MisuseError as `describe` does."""
    index = _read_json(path / INDEX)
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise MisuseError(
            f"{show(path)}: its pipeline is code in the folder, which genui does not run; "
            "it opens the classes of diffusers"
        )
    if name not in PIPELINES:
        raise MisuseError(
            f"{show(path)}: a {sanitize(name, 80)}, which genui does not draw with; "
            f"{did_you_mean(name, PIPELINES)}"
        )
    kind = PIPELINES[name]
    needed = (kind.network, *kind.others, "scheduler")
    components = {part: _component(path, part, index.get(part)) for part in needed}
    return Folder(path, name, components, index)


def _component(path: Path, name: str, entry: Any) -> Component:
    """A component that the index names, with its files."""
    if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry)):
        raise MisuseError(f"{show(path / INDEX)}: names no {name}; use a complete folder")
    library, cls = entry
    folder = path / name
    if library not in LIBRARIES:
        raise MisuseError(
            f"{show(folder)}: its class {sanitize(cls, 80)} is code of {sanitize(library, 80)}, "
            "which genui does not run; it opens the classes of diffusers and transformers"
        )
    if not folder.is_dir():
        raise MisuseError(f"{show(folder)}: is missing; copy the folder again")
    if name.startswith("tokenizer"):
        return Component(library, cls, folder)
    if name == "scheduler":
        return Component(library, cls, folder, config=_read_json(folder / "scheduler_config.json"))
    weights, variant = _weights(folder)
    return Component(library, cls, folder, weights, variant, _read_json(folder / "config.json"))


_SHARD = re.compile(r"-\d{5}-of-\d{5}")


def _weights(folder: Path) -> tuple[tuple[Path, ...], str]:
    """The safetensors files of a component, and their variant; full precision comes first."""
    present = sorted(file for file in folder.glob("*.safetensors") if file.is_file())
    by_variant: dict[str, list[Path]] = {}
    for file in present:
        stem = _SHARD.sub("", file.name.removesuffix(".safetensors"))
        base, _, variant = stem.partition(".")
        if base in ("model", "diffusion_pytorch_model"):
            by_variant.setdefault(variant, []).append(file)
    if not by_variant:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        fault = "has only pickled weights, which could run code" if pickled else "has no weights"
        raise MisuseError(
            f"{show(folder)}: {fault}; get its .safetensors files, or save it again with "
            "save_pretrained(…, safe_serialization=True)"
        )
    variant = min(by_variant)  # "" comes first
    weights = by_variant[variant]
    for index in folder.glob(f"*.safetensors.index{'.' if variant else ''}{variant}.json"):
        names = _read_json(index).get("weight_map", {})
        for shard in names.values() if isinstance(names, dict) else ():
            if not isinstance(shard, str) or folder / shard not in present:
                raise MisuseError(f"{show(folder / str(shard))}: is missing; copy the folder again")
    return tuple(weights), variant


def _read_json(file: Path) -> dict[str, Any]:
    """A small JSON object. Raises MisuseError if it is missing or damaged.

    Schedulers write `-Infinity`, which only Python's own parser reads.
    """
    data = read_regular(file, LARGEST_JSON, "copy the folder again", MisuseError)
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise MisuseError(f"{show(file)}: is damaged; copy the folder again")
    return fields
