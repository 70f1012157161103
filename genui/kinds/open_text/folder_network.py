"""Folders of Hugging Face: the Llama family in our network, other architectures by transformers."""

from importlib.util import find_spec
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from genui.base.errors import GenuiError, install
from genui.base.files import cannot_read, read_regular
from genui.engine.device import check_memory
from genui.engine.load import quiet_libraries
from genui.engine.loading import SILENT, LoadingStoppedError, LoadProgress
from genui.kinds.open_text.folder import (
    CONFIG,
    LARGEST_JSON,
    MODEL_TYPES,
    REMEDY,
    TOKENIZER,
    describe,
    read_json,
    read_template,
    weight_files,
)
from genui.kinds.open_text.llama import Llama, from_hugging_face
from genui.kinds.open_text.tokenizer import PretrainedTokenizer, tokenizer_from_file
from genui.kinds.open_text.transformers_model import TransformersModel, load_network


def load_folder(
    path: Path, dtype: torch.dtype = torch.float32, progress: LoadProgress = SILENT
) -> tuple[Llama | TransformersModel, PretrainedTokenizer]:
    """The network and the tokenizer of a folder, in `dtype`.

    Raises MisuseError for a damaged folder and where memory does not suffice, GenuiError for what
    neither this network nor transformers computes.
    """
    model = describe(path)
    config = read_json(path / CONFIG)
    check_memory(model.parameters, dtype, progress)
    if model.architecture in MODEL_TYPES:
        network = from_hugging_face(config, read_tensors(path, dtype, progress), dtype)
        return network, load_tokenizer(path, network.config.vocab_size)
    network = _by_transformers(path, dtype, model.architecture, progress)
    return network, load_tokenizer(path, network.vocab_size)


def load_tokenizer(path: Path, vocab_size: int = 0) -> PretrainedTokenizer:
    """The tokenizer of a folder, with room for `vocab_size` tokens.

    Raises MisuseError for a damaged file, GenuiError for a file that is no tokenizer.
    """
    ends: list[object] = []
    for name in ("generation_config.json", CONFIG):
        if (path / name).is_file():
            value = read_json(path / name).get("eos_token_id")
            ends += value if isinstance(value, list) else [value]
    file = path / TOKENIZER
    text = read_regular(file, LARGEST_JSON, REMEDY).decode("utf-8", "replace")
    return tokenizer_from_file(text, read_template(path), ends, vocab_size)


def read_tensors(path: Path, dtype: torch.dtype, progress: LoadProgress) -> dict[str, Tensor]:
    """The tensors in `dtype`, norms in fp32. Converting reads them: a file is mapped at first."""
    tensors: dict[str, Tensor] = {}
    files = weight_files(path)
    done, total = 0, sum(file.stat().st_size for file in files)
    for file in files:
        try:
            with safetensors.safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    progress.advance(done, total)
                    tensor = opened.get_tensor(name)
                    tensors[name] = tensor.to(torch.float32 if "norm" in name else dtype)
                    done += tensor.nbytes
        except safetensors.SafetensorError as error:
            raise GenuiError(f"{file.name} is damaged ({error}); {REMEDY}") from None
        except OSError as error:
            raise cannot_read(file, error) from None
    return tensors


def _by_transformers(
    path: Path, dtype: torch.dtype, architecture: str, progress: LoadProgress
) -> TransformersModel:
    if find_spec("transformers") is None:
        raise GenuiError(
            f"the architecture {architecture!r} is computed by transformers: {install('hf')}"
        )
    try:
        with quiet_libraries():
            model = TransformersModel(load_network(path, dtype, progress))
            model.check_cache()
        return model
    except (LoadingStoppedError, GenuiError):
        raise
    except Exception as error:  # it may raise anything for files that it did not write
        first = " ".join(str(error).split()).partition(". ")[0]
        raise GenuiError(f"transformers cannot load it ({first[:160]})") from None
