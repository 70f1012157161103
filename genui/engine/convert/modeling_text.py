"""A text network of genui as a model of Hugging Face transformers. Needs only torch, transformers
and the files beside this one.

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from genui.engine.models.transformer import Transformer as Network
from genui.engine.models.transformer import TransformerConfig as NetworkConfig


class GenuiConfig(PretrainedConfig):
    """`network` has the fields of the network's own configuration."""

    model_type = "genui"

    def __init__(self, network: dict[str, Any] | None = None, **options: Any) -> None:
        self.network = network or {}
        options.setdefault("tie_word_embeddings", False)
        super().__init__(**options)


class GenuiForCausalLM(PreTrainedModel, GenerationMixin):
    """Token ids [B, T] to logits [B, T, vocab_size].

    Nothing is cached: each new token reads the whole text; `generate` keeps as much of it as the
    network can read. Rows have no padding, so a batch needs texts of equal length.
    """

    config_class = GenuiConfig
    main_input_name = "input_ids"

    def __init__(self, config: GenuiConfig) -> None:
        super().__init__(config)
        self.network = Network(NetworkConfig(**config.network))
        for module in self.network.modules():
            if isinstance(module, nn.EmbeddingBag):
                module.sparse = False  # most optimizers take no sparse gradients
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Fill the buffers that no file has: transformers builds networks without memory."""
        if module is self.network:
            for name, buffer in Network(NetworkConfig(**self.config.network)).named_buffers():
                self.network.get_buffer(name).copy_(buffer)

    def get_input_embeddings(self) -> nn.Module:
        return self.network.embedding

    def get_output_embeddings(self) -> nn.Module:
        return self.network.head

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, **ignored: Any
    ) -> CausalLMOutput:
        logits = self.network(input_ids)
        loss = None
        if labels is not None:  # shifted here, as in the models of transformers
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *ignored: Any, **options: Any
    ) -> dict[str, Any]:
        longest = input_ids.shape[1] if Network.unlimited else self.network.context
        return {"input_ids": input_ids[:, -longest:]}
