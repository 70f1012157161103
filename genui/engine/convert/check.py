"""Reads the result of a conversion back and compares it with the model on a few inputs.

The library that the format is for reads it where it is installed, else genui itself if it can.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from genui.base.errors import GenuiError, TooLargeError
from genui.engine.device import check_memory
from genui.engine.load import find_and_load, quiet_libraries, with_room
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.diffusion_state import noise
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Generator
from genui.engine.train.checkpoint import load_weights
from genui.protocol import ImageSettings
from genui.recipes import recipe_from_dict
from genui.runs.models import ModelInfo
from genui.runs.writer import one_line

TEXTS = (
    "What is the capital of France?",
    "  a b\tc\n\ndef f(x):\n    return x + 12345\n",
    "é字 😀, it's ROMEO: to be",
)
LENGTH = 128
"""Of a row of random tokens."""

TOLERANCES = {"fp32": 0.002, "fp16": 0.02, "bf16": 0.1, "q8_0": 0.2}
"""The largest difference by the type of the weights, a root mean square: for logits in units of
their standard deviation, for pixels from 0 to 1. Other code or other weights give about 1."""

SETTINGS = ImageSettings(steps=12, guidance=2.0)
SEED = 1


@dataclass(frozen=True)
class ConvertedModel:
    """A text model as it was read back."""

    title: str
    token_ids: Callable[[str], list[int]]
    """Of a text, without what is put before it."""
    begin: Callable[[str], int]
    """The first token of a text with what is put before it."""
    logits: Callable[[Tensor], Tensor]
    """Of token ids [B, T]: [B, T, V]."""


def check(model: ModelInfo, written: Path, dtype: str) -> str:
    """A sentence that names the library that read it back, or the reason why none did: the memory
    is too small, or the library is not installed.

    Raises GenuiError, one line without the name of the file, if it cannot be read back or differs.
    """
    needed = _needed_library(written)
    if needed and importlib.util.find_spec(needed) is None:
        return f"not checked ({needed} is not installed)"
    own = find_and_load(model.ref)
    tolerance = TOLERANCES[dtype]
    if own.machine.precision != "fp32":  # type: ignore[attr-defined]
        tolerance = max(tolerance, TOLERANCES["bf16"])
    try:
        with_room(lambda: check_memory(model.parameters, torch.float32))
        with quiet_libraries(), torch.inference_mode():
            if isinstance(own, TextGenerator):
                return _check_text(own, _reader(written), tolerance)
            assert isinstance(own, DiffusionGenerator)
            return _check_images(own, model, written, tolerance)
    except TooLargeError as error:
        return f"not checked ({error})"
    except GenuiError:
        raise
    except Exception as error:  # a library may raise anything
        raise GenuiError(f"cannot be read back ({one_line(error)})") from None


def _needed_library(written: Path) -> str:
    """The library for which a folder has code of our network; "" if it has none."""
    if (written / "model_index.json").is_file():
        return "diffusers"
    config = written / "config.json"
    return "transformers" if config.is_file() and "auto_map" in _read_json(config) else ""


def _check_text(own: TextGenerator, reader: ConvertedModel, tolerance: float) -> str:
    model, rows = _by_genui(own), []
    for text in TEXTS:
        ids = model.token_ids(text)
        if reader.token_ids(text) != ids or (ids and reader.begin(text) != model.begin(text)):
            raise GenuiError(f"{reader.title} splits {text!r} into other tokens")
        rows += [ids] if ids else []
    random = torch.Generator().manual_seed(SEED)
    length = min(LENGTH, own.model.context)
    rows.append(torch.randint(own.tokenizer.size, (length,), generator=random).tolist())
    for row in rows:
        ids = torch.tensor([row[: own.model.context]])
        ours, theirs = model.logits(ids), reader.logits(ids)
        if ours.shape != theirs.shape:
            sizes = f"{theirs.shape[-1]:,} and {ours.shape[-1]:,} tokens"
            raise GenuiError(f"vocabularies differ by {reader.title}: {sizes}")
        _compare(float((ours - theirs).square().mean().sqrt() / ours.std()), "logits", tolerance)
    return f"read back by {reader.title}: the same tokens and logits"


def _compare(difference: float, what: str, tolerance: float) -> None:
    if not difference <= tolerance:
        raise GenuiError(
            f"{what} differ by {difference:.2g} from those of the model, and rounding explains "
            f"{tolerance:g}"
        )


# --- Readers of text models -------------------------------------------------------------------


def _reader(written: Path) -> ConvertedModel:
    is_folder = (written / "config.json").is_file()  # else a GGUF file or an adapter
    if is_folder and importlib.util.find_spec("transformers") is not None:
        return _by_transformers(written)
    return _by_genui(find_and_load(str(written)))


def _by_genui(read: Generator) -> ConvertedModel:
    assert isinstance(read, TextGenerator)
    encode, begin = read.tokenizer.encode, read.tokenizer.begin
    return ConvertedModel(
        "genui",
        encode,
        lambda text: encode(text)[0] if begin is None else begin,
        lambda ids: read.model(ids.to(read.model.device)).float().cpu(),
    )


def _by_transformers(folder: Path) -> ConvertedModel:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    options = {"local_files_only": True, "dtype": torch.float32}
    named = _read_json(folder / "config.json").get("auto_map")
    if named is None:
        network = AutoModelForCausalLM.from_pretrained(folder, **options)
    else:
        with _class_in(folder, named["AutoModelForCausalLM"]) as cls:
            network = cls.from_pretrained(folder, **options)
    network.eval()
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    return ConvertedModel(
        f"transformers {version('transformers')}",
        lambda text: tokenizer(text, add_special_tokens=False).input_ids,
        lambda text: tokenizer(text).input_ids[0],
        lambda ids: network(input_ids=ids, use_cache=False).logits.float(),
    )


_PACKAGE = "genui_written"
"""The module name under which the written code is imported."""


@contextmanager
def _class_in(folder: Path, name: str) -> Iterator[Any]:
    """The class MODULE.CLASS of the code that was written; importing it leaves no copy in the
    library's cache of code."""
    module, _, cls = name.rpartition(".")
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[_PACKAGE] = package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    importlib.invalidate_caches()
    try:
        yield getattr(importlib.import_module(f"{_PACKAGE}.{module}"), cls)
    finally:
        sys.dont_write_bytecode = before
        for known in [each for each in sys.modules if each.partition(".")[0] == _PACKAGE]:
            del sys.modules[known]


# --- Images -----------------------------------------------------------------------------------


def _check_images(own: DiffusionGenerator, model: ModelInfo, folder: Path, tolerance: float) -> str:
    recipe = recipe_from_dict(load_weights(model.path)[1]["recipe"])
    prompt = next(iter(recipe.prompts), "")
    drawn = _draw_by_diffusers(folder, prompt)
    ours = _to_pixels(own.denoised([prompt], [SEED], SETTINGS))
    _compare(float((ours - drawn).square().mean().sqrt()), "pixels", tolerance)
    return f"read back by diffusers {version('diffusers')}: the same image"


def _to_pixels(x: Tensor) -> Tensor:
    """Arrays [1, C, H, W] from -1 to 1 as pixels [H, W, 3] from 0 to 1."""
    return x[0].float().cpu().clamp(-1, 1).movedim(0, -1).expand(-1, -1, 3) / 2 + 0.5


def _draw_by_diffusers(folder: Path, prompt: str) -> Tensor:
    """Pixels [H, W, 3] of the image for SEED and SETTINGS."""
    import diffusers

    index = _read_json(folder / "model_index.json")
    with _class_in(folder / "unet", ".".join(index["unet"])) as cls:
        network = cls.from_pretrained(folder / "unet").float()
    schedulers: Any = getattr(diffusers, index["scheduler"][1])
    scheduler = schedulers.from_pretrained(folder / "scheduler")
    inner = slice(network.config.border, network.config.sample_size - network.config.border)
    side = network.config.sample_size
    start = torch.from_numpy(noise((network.config.in_channels, side, side), SEED, 0))
    with _class_in(folder, ".".join(index["_class_name"])) as cls:
        pipeline = cls(network, scheduler)
        pipeline.set_progress_bar_config(disable=True)
        images = pipeline(
            prompt,
            latents=start[None, :, inner, inner],
            num_inference_steps=SETTINGS.steps,
            guidance_scale=SETTINGS.guidance,
            output_type="np",
        ).images
    return torch.from_numpy(images[0])


def _read_json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
