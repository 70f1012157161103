"""Captions to images with a model of genui. Needs only torch and diffusers.

    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True)
    pipeline("red heart on black").images[0].save("heart.png")

The network is an EDM denoiser (Karras et al. 2022): the scheduler scales its input and output.
"""

import unicodedata
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from torch import Tensor

PAD, UNKNOWN, RESERVED = 0, 1, 2  # ids; words are numbered from RESERVED on


def split_words(caption: str) -> list[str]:
    """Split "Red-heart, on BLACK" into ["red", "heart", "on", "black"]."""
    text = unicodedata.normalize("NFKC", caption).lower()
    spaced = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text)
    return [word for word in spaced.split() if any(c.isalnum() for c in word)]


class GenuiPipeline(DiffusionPipeline):
    """Draws images from captions, with classifier-free guidance."""

    unet: Any
    scheduler: Any

    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    def encode(self, captions: list[str]) -> Tensor:
        """Token ids [B, L] of the captions' words, 0 after the last one."""
        config = self.unet.config
        numbers = {word: i for i, word in enumerate(config.words, RESERVED)}
        length = config.network_config["caption_words"]
        ids = torch.full((len(captions), length), PAD)
        for row, caption in zip(ids, captions, strict=True):
            for place, word in enumerate(split_words(caption)[:length]):
                row[place] = numbers.get(word, UNKNOWN)
        return ids

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        num_inference_steps: int = 20,
        guidance_scale: float = 2.0,
        negative_prompt: str = "",
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw an image for each prompt. `latents` is standard normal noise [B, C, S, S]."""
        prompts = [prompt] if isinstance(prompt, str) else prompt
        config, device = self.unet.config, self.unet.device
        ids = self.encode(prompts).to(device)
        no_caption = self.encode([negative_prompt] * len(prompts)).to(device)
        side = config.sample_size - 2 * config.border  # the border is black, and not drawn
        shape = (len(prompts), config.in_channels, side, side)
        if latents is None:
            latents = torch.randn(shape, generator=generator)
        self.scheduler.set_timesteps(num_inference_steps, device=device)
        x = latents.to(device, self.unet.dtype) * self.scheduler.sigmas[0]
        for t in self.scheduler.timesteps:  # ln σ / 4
            scaled = self.scheduler.scale_model_input(x, t)
            level = t.to(x.dtype).expand(len(x))
            output = self.unet(scaled, level, ids)
            if guidance_scale != 1:
                without = self.unet(scaled, level, no_caption)
                output = without + guidance_scale * (output - without)
            x = self.scheduler.step(output, t, x).prev_sample
        x = F.pad(x, (config.border,) * 4, value=-1.0).expand(-1, 3, -1, -1)
        images = (x.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return ImagePipelineOutput(self.numpy_to_pil(images) if output_type == "pil" else images)
