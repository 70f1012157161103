"""LoRA adapters of a diffusers folder, named in the prompt: `a cat <lora:pixel:0.8>`.

An adapter applies to the network and to the text encoders, of the prompt and of the negative one,
as in other programs that read this form. diffusers' own loader reads the file.
"""

import inspect
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError, did_you_mean
from genui.base.files import show
from genui.engine.load import quiet_libraries
from genui.engine.sample.diffusion_state import ImageInputs
from genui.hub.formats import fingerprint, state_of
from genui.kinds.open_image.conditions import CaptionReader, Embeddings

MOST = 4
"""Adapters of one prompt."""

COLUMNS = 2 * MOST
"""The columns of a condition for adapters: the number of each from 1, and its weight in
thousandths."""

FOLDER = "loras"
"""The folder beside a model, and in genui's data, in which adapters are found by name."""

_TAG = re.compile(r"<lora:([^<>:]+)(?::([^<>:]*))?>")


@dataclass(frozen=True)
class Prompt:
    """A caption without its adapters, and these with their weights."""

    text: str
    adapters: tuple[tuple[str, float], ...] = ()


def parse_prompt(caption: str) -> Prompt:
    """Raises MisuseError for a weight that is no number, and for too many adapters."""
    adapters = []
    for match in _TAG.finditer(caption):
        try:
            weight = float(match[2]) if match[2] is not None else 1.0
        except ValueError:
            weight = float("nan")
        if not -10 <= weight <= 10:
            raise MisuseError(f"{match[0][:80]}: give a weight from -10 to 10, as in <lora:x:0.8>")
        adapters.append((match[1].strip(), weight))
    if len(adapters) > MOST:
        raise MisuseError(f"{len(adapters)} adapters in a prompt: at most {MOST} are applied")
    if not adapters:
        return Prompt(caption)
    return Prompt(" ".join(_TAG.sub(" ", caption).split()), tuple(adapters))


class Adapters:
    """The adapters of one model. Files are loaded when a prompt first names them."""

    def __init__(self, folder: Path, pipeline: str, modules: dict[str, Any]) -> None:
        """`pipeline` is the class of diffusers, `modules` its components by name."""
        self._folder = folder
        self._class = pipeline
        self._modules = modules
        self._pipeline: Any = None
        self._numbers: dict[Path, int] = {}  # loaded files, numbered from 1
        self._states: dict[Path, int] = {}  # of the files when they were loaded
        self._active: tuple[int, ...] = (0,) * COLUMNS

    def columns(self, prompt: Prompt) -> list[int]:
        """The columns of a condition. Raises MisuseError for an unknown name, GenuiError for a file
        that does not fit the model."""
        pairs = [
            value
            for name, weight in prompt.adapters
            for value in (self._number(name), round(1000 * weight))
        ]
        return pairs + [0] * (COLUMNS - len(pairs))

    def activate(self, columns: Sequence[int]) -> None:
        """Apply these adapters, and no others, to the model's components."""
        columns = tuple(columns)
        if columns == self._active:
            return
        pairs = [(n, w) for n, w in zip(columns[::2], columns[1::2], strict=True) if n]
        if pairs:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(
                [f"a{number}" for number, _ in pairs], [weight / 1000 for _, weight in pairs]
            )
        else:
            self._pipeline.disable_lora()
        self._active = columns

    def remark(self, prompt: Prompt) -> list[str]:
        """The adapters that are applied, with the fingerprints of their files."""
        return [
            f"LoRA {name} at {weight:g} ({fingerprint(self._find(name))[:8]})"
            for name, weight in prompt.adapters
        ]

    def _number(self, name: str) -> int:
        path = self._find(name)
        state = state_of(path)
        if path not in self._numbers:
            number = len(self._numbers) + 1
            self._load(path, f"a{number}")
            self._numbers[path], self._states[path] = number, state
        if state != self._states[path]:  # unfinished traces would change half-way
            raise GenuiError(
                f"{show(path)}: changed since it was loaded; give the new file another name, or "
                "start genui again"
            )
        return self._numbers[path]

    def _find(self, name: str) -> Path:
        """The file of a name or path. Raises MisuseError if there is none."""
        path = Path(os.path.expanduser(name))
        if path.suffix == ".safetensors" and path.is_file():
            return path.absolute()
        folders = self._folder / FOLDER, paths.data_dir() / FOLDER
        for folder in folders:
            if (file := folder / f"{path.name}.safetensors").is_file():
                return file
        known = [file.stem for folder in folders for file in folder.glob("*.safetensors")]
        otherwise = f"put NAME.safetensors into {folders[1]}, or name a .safetensors file"
        raise MisuseError(f"no adapter {name[:80]!r}: {did_you_mean(name, known, otherwise)}")

    def _load(self, path: Path, name: str) -> None:
        if self._pipeline is None:
            self._pipeline = _assemble(self._class, self._modules)
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise MisuseError(f"{path.name}: models of {self._class} take no LoRA")
        try:
            # use_safetensors alone would still look for a pickle with another suffix.
            with quiet_libraries():
                self._pipeline.load_lora_weights(
                    str(path.parent),
                    weight_name=path.name,
                    adapter_name=name,
                    local_files_only=True,
                    use_safetensors=True,
                )
        except Exception as error:  # whatever the library raises for files that it did not write
            reason = " ".join(str(error).split())[:200]
            raise GenuiError(f"{path}: does not load as a LoRA of this model ({reason})") from None


def _assemble(name: str, modules: dict[str, Any]) -> Any:
    """The pipeline of diffusers around loaded components; it only loads adapters."""
    import diffusers  # late: an optional extra, which takes seconds to import

    cls: Any = getattr(diffusers, name)
    wanted = inspect.signature(cls.__init__).parameters
    missing = {
        key: None
        for key, one in wanted.items()
        if key not in ("self", *modules) and one.default is inspect.Parameter.empty
    }
    return cls(**modules, **missing)


class AdaptedReader:
    """Reads captions that may name adapters, as a `CaptionReader` of the generator."""

    def __init__(self, reader: CaptionReader, adapters: Adapters) -> None:
        self._reader, self._adapters = reader, adapters
        self.length = reader.length + COLUMNS

    def condition(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        prompts = [parse_prompt(row.caption) for row in rows]
        return np.array([self._ids(prompt.text, prompt) for prompt in prompts], np.int64)

    def negative(self, rows: Sequence[ImageInputs]) -> NDArray[np.int64]:
        ids = [self._ids(row.settings.negative, parse_prompt(row.caption)) for row in rows]
        return np.array(ids, np.int64)

    def remarks(self, rows: Sequence[ImageInputs]) -> list[str]:
        prompts = [parse_prompt(caption) for caption in {row.caption: None for row in rows}]
        texts = [prompt.text for prompt in prompts] + [row.settings.negative for row in rows]
        adapted = [line for prompt in prompts for line in self._adapters.remark(prompt)]
        return [*self._reader.remarks(texts), *dict.fromkeys(adapted)]

    def embed(self, ids: Tensor) -> Embeddings:
        """The input of the network for one row, with its adapters applied."""
        self.activate(ids)
        return self._reader.embed(ids[:-COLUMNS])

    def activate(self, ids: Tensor) -> None:
        """Apply the adapters of one row to the network and the text encoders."""
        self._adapters.activate(ids[-COLUMNS:].tolist())

    def _ids(self, text: str, prompt: Prompt) -> list[int]:
        return self._reader.ids(text) + self._adapters.columns(prompt)


def group_rows(ids: Tensor) -> list[Tensor]:
    """The indices of the rows [B, L] that have the same adapters, a tensor for each group."""
    columns = ids[:, -COLUMNS:]
    distinct, group = torch.unique(columns, dim=0, return_inverse=True)
    return [(group == number).nonzero()[:, 0] for number in range(len(distinct))]
