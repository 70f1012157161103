"""An image network of genui as a model of diffusers. Needs only torch, diffusers and the files
beside this one."""

from typing import Any

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from genui.engine.models.dit import DiT as Network
from genui.engine.models.dit import DiTConfig as NetworkConfig


class GenuiNetwork(ModelMixin, ConfigMixin):
    """Scaled images [B, C, S, S], ln σ / 4 [B] and token ids [B, L] to [B, C, S, S]."""

    @register_to_config
    def __init__(
        self,
        network_config: dict[str, Any],
        words: list[str],
        in_channels: int = 3,
        sample_size: int = 32,
        border: int = 0,
    ) -> None:
        super().__init__()
        self.network = Network(NetworkConfig(**network_config))

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        return self.network(x, noise_level, token_ids)
