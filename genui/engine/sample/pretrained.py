"""Generators of text with other people's models, by their format."""

from dataclasses import replace
from importlib.util import find_spec

import torch

from genui.base.errors import GenuiError, TooLargeError, UnsupportedError, install
from genui.engine.data.pretrained_tokenizer import tokenizer_from_gguf
from genui.engine.device import LLAMA_CPP, Machine, engine_for_gguf
from genui.engine.models.gguf import load_gguf
from genui.engine.models.huggingface import load_folder
from genui.engine.models.llama_cpp_model import LlamaCppModel
from genui.engine.sample.text import TextGenerator
from genui.hub.formats import OpenModel
from genui.hub.gguf import read_gguf
from genui.protocol.registry import PRETRAINED

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_gguf_model(model: OpenModel, machine: Machine) -> TextGenerator:
    """The generator of a GGUF file, as `hub.formats.ModelFormat.load` says.

    By our network; with the setting `gguf`, or if it is too large or of an architecture that our
    network does not compute, by llama.cpp.
    """
    engine = engine_for_gguf()
    if engine == LLAMA_CPP:
        return _load_by_llama_cpp(model, machine)
    try:
        network, tokenizer = load_gguf(model.path, DTYPES[machine.precision])
    except (TooLargeError, UnsupportedError) as error:
        if engine == "genui":
            raise
        if find_spec("llama_cpp") is not None:
            return _load_by_llama_cpp(model, machine)
        raise type(error)(f"{error}; or use llama.cpp: {install('llama')}") from None
    return TextGenerator(network.to(machine.device), tokenizer, machine, PRETRAINED)


def _load_by_llama_cpp(model: OpenModel, machine: Machine) -> TextGenerator:
    try:
        network = LlamaCppModel(model.path, model.context)
    except ImportError:
        raise GenuiError(f"llama.cpp is not installed here: {install('llama')}") from None
    metadata = read_gguf(model.path, arrays=True).metadata
    try:
        tokenizer = tokenizer_from_gguf(metadata)
    except UnsupportedError:  # a way to split words that genui does not know
        tokenizer = tokenizer_from_gguf(metadata, network.encode)
    return TextGenerator(network, tokenizer, replace(machine, precision=model.stored), PRETRAINED)


def load_hugging_face_model(model: OpenModel, machine: Machine) -> TextGenerator:
    """The generator of a Hugging Face folder, as `hub.formats.ModelFormat.load` says."""
    network, tokenizer = load_folder(model.path, DTYPES[machine.precision])
    return TextGenerator(network.to(machine.device), tokenizer, machine, PRETRAINED)
