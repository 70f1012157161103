"""The components of a diffusers folder, loaded as they are: no pickles, no code, no downloads."""

import importlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from genui.base.errors import GenuiError, MisuseError, install
from genui.engine.device import Machine, check_memory
from genui.engine.load import quiet_libraries
from genui.engine.loading import SILENT, LoadProgress
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.hub.formats import fingerprint
from genui.hub.open_model import OpenModel
from genui.kinds.open_image.adapters import AdaptedReader, Adapters
from genui.kinds.open_image.folder import Component, Folder, read_folder
from genui.kinds.open_image.images import (
    Latents,
    OpenImages,
    Pixels,
    Space,
    cached_colours,
    fit_colours,
)
from genui.kinds.open_image.pipelines import KINDS, OpenDenoiser, Parts
from genui.kinds.open_image.schedule import FolderSchedule
from genui.protocol import ImageSettings
from genui.protocol.kinds import PRETRAINED

TINY = ("vae_tiny", "taesd")
"""Folders with an AutoencoderTiny, in the model's folder or beside it."""


def load(model: OpenModel, machine: Machine, progress: LoadProgress) -> DiffusionGenerator:
    """The generator of a diffusers folder.

    Raises GenuiError if diffusers is not installed, a component does not fit its configuration, or
    the memory of this machine is too small.
    """
    folder = read_folder(model.path)
    check_memory(model.parameters, machine.dtype, progress)
    with quiet_libraries():
        parts = load_parts(folder, machine.dtype, machine.device, progress)
        space = _space(parts, machine.device)
    kind = KINDS[folder.pipeline]
    channels = kind.channels(parts.network)
    height, width = _sides(parts, model, space)
    medium = OpenImages(space, (channels, height, width), kind.patch)
    adapters = Adapters(folder.path, folder.pipeline, dict(parts.modules))
    reader = AdaptedReader(kind.reader(parts), adapters)

    def tokens(settings: ImageSettings) -> int:
        _, height, width = (medium.sized(settings.size) if settings.size else medium).shape
        return height * width // medium.patch**2

    schedule = FolderSchedule(parts["scheduler"], tokens)
    if machine.device == "mps":
        schedule.dtype = torch.float32  # it has no other
    denoiser = OpenDenoiser(parts, reader, schedule, space.factor)
    return DiffusionGenerator(
        denoiser,
        reader,
        machine,
        medium,
        schedule=schedule,
        family=PRETRAINED,
        sized=medium.sized if "size" in model.settings else None,
    )


def _sides(parts: Parts, model: OpenModel, space: Space) -> tuple[int, int]:
    """The height and width of the arrays that the model draws by default."""
    if "size" in model.settings:
        side = model.settings["size"] // space.factor
        return side, side
    side = parts.network.config.sample_size
    return tuple(side) if isinstance(side, list | tuple) else (side, side)


# --- Components -----------------------------------------------------------------------------------


def load_parts(
    folder: Folder, dtype: torch.dtype, device: str, progress: LoadProgress = SILENT
) -> Parts:
    """The components of a folder on a device. Raises GenuiError, one line."""
    sizes = {
        name: sum(file.stat().st_size for file in one.weights)
        for name, one in folder.components.items()
    }
    done, modules = 0, {}
    for name, component in folder.components.items():
        progress.advance(done, sum(sizes.values()))
        modules[name] = _load_one(component, dtype, device)
        done += sizes[name]
    return Parts(folder, modules)


def _load_one(component: Component, dtype: torch.dtype, device: str) -> Any:
    """A component by its class. Its tensors must match its configuration exactly."""
    cls = _class(component)
    options: dict[str, Any] = {"local_files_only": True}
    if component.weights:
        name = "dtype" if component.library == "transformers" else "torch_dtype"
        options |= {"use_safetensors": True, "output_loading_info": True, name: dtype}
    if component.variant:
        options["variant"] = component.variant
    try:
        loaded = cls.from_pretrained(component.path, **options)
    except Exception as error:  # whatever the libraries raise for files that they did not write
        # The first sentence: what follows is advice to programmers.
        reason = re.split(r"(?<=[\w\])][.!])\s", " ".join(str(error).split()))[0][:200]
        raise GenuiError(
            f"{component.path.name}: does not load ({reason}); copy the folder again"
        ) from None
    if not component.weights:
        return loaded
    module, info = loaded
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise GenuiError(
            f"{component.path.name}: its weights lack {len(missing)} tensors, such as "
            f"{missing[0]}; copy the folder again"
        )
    return module.to(device).eval().requires_grad_(False)


_BASES = {
    True: ("ModelMixin", "PreTrainedModel"),
    False: ("SchedulerMixin", "PreTrainedTokenizerBase"),
}
"""The base classes of components with and without weights, in either library."""


def _class(component: Component) -> Any:
    """The class of a component. Raises GenuiError if the library is not installed, or has no such
    class of models."""
    # Late: an optional extra, which takes seconds to import.
    try:
        library = importlib.import_module(component.library)
    except ImportError:
        raise MisuseError(f"{component.library} is not installed: {install('diffusers')}") from None
    with suppress(ImportError, RuntimeError, AttributeError, TypeError):
        cls = getattr(library, component.cls)
        # Neither pipelines nor transformers' Auto classes, which may run a folder's code.
        bases = [getattr(library, name, None) for name in _BASES[bool(component.weights)]]
        if issubclass(cls, tuple(base for base in bases if base is not None)):
            return cls
    raise GenuiError(
        f"{component.path.name}: the installed {component.library} {library.__version__} has no "
        f"class {component.cls}; upgrade it"
    )


# --- The space it draws in --------------------------------------------------------------------


def _space(parts: Parts, device: str) -> Space:
    if "vae" not in parts.modules:
        return Pixels(parts.network.config.in_channels)
    vae = parts["vae"]
    weights = parts.folder.components["vae"].weights
    colours = cached_colours(
        fingerprint(weights[0]), lambda: fit_colours(Latents(vae, colours=_NONE).decode, vae)
    )
    return Latents(vae, _load_tiny(parts.folder.path, device), colours)


_NONE = torch.zeros(1, 3)


def _load_tiny(path: Path, device: str) -> Any:
    """The AutoencoderTiny in or beside the folder; None if there is none."""
    for folder in (parent / name for parent in (path, path.parent) for name in TINY):
        if (folder / "config.json").is_file():
            component = Component("diffusers", "AutoencoderTiny", folder, (folder,))
            with suppress(GenuiError):
                return _load_one(component, torch.float32, device)
    return None
