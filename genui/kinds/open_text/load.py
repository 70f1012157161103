"""Generators of text with other people's models, by their format."""

from genui.base.errors import TooLargeError, UnsupportedError
from genui.engine.device import Machine
from genui.engine.loading import LoadProgress
from genui.engine.sample.text import TextGenerator
from genui.hub.open_model import OpenModel
from genui.kinds.open_text.folder_network import load_folder
from genui.kinds.open_text.gguf import SERVE
from genui.kinds.open_text.gguf_network import load_gguf
from genui.protocol.kinds import PRETRAINED


def load_gguf_model(model: OpenModel, machine: Machine, progress: LoadProgress) -> TextGenerator:
    """The generator of a GGUF file, as `Loader.load` of `genui.engine.load` says."""
    try:
        network, tokenizer = load_gguf(model.path, machine.dtype, progress)
    except (TooLargeError, UnsupportedError) as error:
        raise type(error)(f"{error}; {SERVE}") from None
    return TextGenerator(network.to(machine.device), tokenizer, machine, PRETRAINED)


def load_hugging_face_model(
    model: OpenModel, machine: Machine, progress: LoadProgress
) -> TextGenerator:
    """The generator of a Hugging Face folder, as `Loader.load` of `genui.engine.load` says."""
    network, tokenizer = load_folder(model.path, machine.dtype, progress)
    return TextGenerator(network.to(machine.device), tokenizer, machine, PRETRAINED)
