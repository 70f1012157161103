"""The minGRU of genui as a model of Hugging Face transformers. Needs only torch and transformers.

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)

A recurrent network (Feng et al. 2024, §3.1) in the blocks of a Transformer: pre-norm with RMSNorm
without weights, ReLU² in the feed-forward, logits capped to ±15 by tanh.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class GenuiConfig(PretrainedConfig):
    model_type = "genui-mingru"

    def __init__(
        self,
        vocab_size: int = 256,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        max_position_embeddings: int = 256,
        logit_cap: float = 15.0,
        **options: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.max_position_embeddings = max_position_embeddings  # of its training; no limit
        self.logit_cap = logit_cap
        options.setdefault("tie_word_embeddings", False)
        super().__init__(**options)


def norm(x: Tensor) -> Tensor:
    """RMSNorm (Zhang & Sennrich 2019) of the last dimension, without weights."""
    return F.rms_norm(x, x.shape[-1:])


class Recurrence(nn.Module):
    """x [B, T, C] to [B, T, C]: with z = σ(W x) the state becomes (1 - z) h + z W' x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)
        self.candidate = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z = self.gate(x).float().sigmoid()
        added = z * self.candidate(x).float()
        state = torch.zeros_like(added[:, 0])
        states = []
        for forget, add in zip((1 - z).unbind(1), added.unbind(1), strict=True):
            state = torch.addcmul(add, forget, state)
            states.append(state)
        return self.out(torch.stack(states, dim=1).to(x.dtype))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)).square())


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.recurrence = Recurrence(width)
        self.feed_forward = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.recurrence(norm(x))
        return x + self.feed_forward(norm(x))


class GenuiForCausalLM(PreTrainedModel, GenerationMixin):
    """Token ids [B, T] to logits [B, T, vocab_size].

    Nothing is cached: each new token reads the whole text. Rows have no padding, so a batch needs
    texts of equal length.
    """

    config_class = GenuiConfig
    main_input_name = "input_ids"

    def __init__(self, config: GenuiConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(
            Block(config.hidden_size) for _ in range(config.num_hidden_layers)
        )
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def get_output_embeddings(self) -> nn.Linear:
        return self.head

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, **ignored: Any
    ) -> CausalLMOutput:
        x = norm(self.embedding(input_ids))
        for block in self.blocks:
            x = block(x)
        logits = self.head(norm(x)).float()
        logits = self.config.logit_cap * torch.tanh(logits / self.config.logit_cap)
        loss = None
        if labels is not None:  # shifted here, as in the models of transformers
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *ignored: Any, **options: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids}
