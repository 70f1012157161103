"""Adapters in peft's format: a folder with their description and their weights."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import read_json, sanitize, show
from genui.base.late import late_imports
from genui.hub.find import find_local
from genui.hub.open_model import OpenModel
from genui.hub.records import list_records
from genui.hub.safetensors import read_tensors

with late_imports():
    from genui.hub import formats

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FORMAT = "peft"


class AdapterConfig(Struct, frozen=True):
    """peft's description of LoRA adapters: what decides what they compute."""

    r: Annotated[int, Meta(ge=1, le=4096)]
    lora_alpha: Annotated[float, Meta(gt=0, le=1e6)]
    peft_type: str = ""
    base_model_name_or_path: str | None = None
    use_rslora: bool = False
    use_dora: bool = False
    fan_in_fan_out: bool = False
    bias: str = "none"
    modules_to_save: Any = None
    rank_pattern: Any = None
    alpha_pattern: Any = None
    layer_replication: Any = None

    @property
    def scale(self) -> float:
        """The factor of the output of an adapter."""
        return self.lora_alpha / (self.r**0.5 if self.use_rslora else self.r)


_OTHER = (
    "use_dora", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern",
    "layer_replication",
)  # fmt: skip
"""Variants of LoRA that are not computed here."""


def recognise(path: Path) -> bool:
    """Whether it is a folder with an adapter."""
    return (path / CONFIG).is_file()


def read_config(path: Path) -> AdapterConfig:
    """The description in a folder. Raises MisuseError, one line, if it is damaged, or describes an
    adapter that is not computed here."""
    file = path / CONFIG
    config = read_json(file, AdapterConfig, "copy it again", fault=MisuseError)
    used = [name for name in _OTHER if getattr(config, name)]
    if config.peft_type.upper() != "LORA":
        used = [f"peft_type {sanitize(config.peft_type, 40) or 'missing'}"]
    if config.bias != "none":
        used.append(f"bias {sanitize(config.bias, 40)}")
    if used:
        raise MisuseError(
            f"{show(file)}: {', '.join(used)}: only plain LoRA is computed here; merge the "
            "adapter into its model with peft (merge_and_unload)"
        )
    return config


def describe(path: Path) -> OpenModel:
    """The adapter with its base model. Raises MisuseError if it is damaged or the base is not on
    this machine."""
    read_config(path)
    tensors, _ = read_tensors(path / WEIGHTS, "copy it again")
    base = formats.describe(find_base(path))
    own = sum(tensor.count for tensor in tensors.values())
    return msgspec.structs.replace(
        base,
        path=path,
        format=FORMAT,
        name=path.name,
        parameters=base.parameters + own,
        trains=False,
        size=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
        summary=f"an adapter of {base.name}, {own:,} parameters",
    )


def find_base(path: Path) -> Path:
    """Where the base model of the adapter in a folder is: a path, absolute or beside it, a name
    that was added or the source of one, or a model of another program on this machine.

    Raises MisuseError if it is not here.
    """
    name = read_config(path).base_model_name_or_path or ""
    if not name:
        raise MisuseError(f"{show(path / CONFIG)}: names no base model (base_model_name_or_path)")
    candidates = [Path(name), path / name]
    for known, record in list_records().items():
        if name in (known, record.source) and record.path:
            candidates.append(Path(record.path))
    with suppress(GenuiError):
        if (local := find_local(name)) is not None:
            candidates.append(local.path)
    for candidate in candidates:
        if formats.format_of(candidate) not in ("", FORMAT):
            return candidate.absolute()
    pull = f"genui pull {name}" if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else "genui models add"
    raise MisuseError(
        f"{show(path)}: its base model {sanitize(name, 200)} is not here; {pull} brings it, "
        f"or write its path into {CONFIG}"
    )


def files(path: Path) -> list[Path]:
    """The files of an adapter, with the files of its base model. Raises MisuseError if that is not
    here."""
    return [path / CONFIG, path / WEIGHTS, *formats.files_of(find_base(path))]
