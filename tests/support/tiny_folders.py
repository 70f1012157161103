"""Small diffusers folders with random weights, in a second each: networks, tokenizers, all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from importing import import_when_used
from tokenizers import Tokenizer, models, pre_tokenizers

diffusers = import_when_used("diffusers")
transformers = import_when_used("transformers")

WORDS = ("a", "red", "blue", "cat", "dog", "on", "the", "moon", "of", "glass")


def _alive(module: torch.nn.Module) -> Any:
    """The module with random weights everywhere: some begin with zeros, and draw nothing then."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if not weight.any() or weight.ndim > 1:
                weight.normal_(0, 0.02 if "embed" in name else weight[0].numel() ** -0.5)
    return module.eval()


def _clip_tokenizer(folder: Path) -> Any:
    """A tokenizer of CLIP's class whose tokens are letters and a few words."""
    letters = [chr(code) for code in range(97, 123)]
    ends = [letter + "</w>" for letter in letters]
    tokens = [*letters, *ends]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            if parts[0] not in tokens:
                tokens.append(parts[0])
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocab, merged = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    merged.write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges))
    return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=16)


def _clip_encoder(tokenizer: Any, projected: bool = False) -> Any:
    size = len(tokenizer)
    config = transformers.CLIPTextConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return _alive(
        (transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel)(
            config
        )
    )


def _word_tokenizer(chat: str = "") -> Any:
    """A tokenizer of whole words, with a padding token and perhaps a chat template."""
    vocab = {token: i for i, token in enumerate(("<pad>", "<unk>", "</s>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )
    if chat:
        fast.chat_template = chat
    return fast


def _vae(channels: int = 4, **more: Any) -> Any:
    return _alive(
        diffusers.AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=channels,
            norm_num_groups=4,
            sample_size=32,
            **more,
        )
    )


_BLOCKS: dict[str, Any] = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
}


def _ddpm(path: Path) -> Any:
    unet = diffusers.UNet2DModel(
        **_BLOCKS,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )
    return diffusers.DDPMPipeline(
        unet=_alive(unet), scheduler=diffusers.DDPMScheduler(variance_type="fixed_small")
    )


def _conditional_unet(width: int, **more: Any) -> Any:
    return _alive(
        diffusers.UNet2DConditionModel(
            **_BLOCKS,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=width,
            attention_head_dim=4,
            **more,
        )
    )


def _stable_diffusion(path: Path, scheduler: Any = None) -> Any:
    tokenizer = _clip_tokenizer(path.with_name(f"{path.name}-tokenizer"))
    return diffusers.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=_conditional_unet(16),
        scheduler=scheduler
        or diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_2(path: Path) -> Any:
    """As version 2 of 768 pixels: it predicts v, and its levels end at the last time."""
    return _stable_diffusion(
        path,
        diffusers.EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            timestep_spacing="trailing",
        ),
    )


def _sdxl(path: Path) -> Any:
    one = _clip_tokenizer(path.with_name(f"{path.name}-one"))
    two = _clip_tokenizer(path.with_name(f"{path.name}-two"))
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[0.8, 1.1, 0.9, 1.3]),
        text_encoder=_clip_encoder(one),
        text_encoder_2=_clip_encoder(two, projected=True),
        tokenizer=one,
        tokenizer_2=two,
        unet=_conditional_unet(
            32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="leading",
            steps_offset=1,
        ),
    )


def _dit(path: Path) -> Any:
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=16,
        patch_size=2,
        num_embeds_ada_norm=1000,
        activation_fn="gelu-approximate",
        norm_elementwise_affine=False,
    )
    return diffusers.DiTPipeline(
        transformer=_alive(transformer),
        vae=_vae(),
        scheduler=diffusers.DDIMScheduler(clip_sample=False),
        id2label=CLASSES,
    )


CLASSES = {3: "cat, house cat", 7: "dog"}


def _flux(path: Path) -> Any:
    tokenizer = _clip_tokenizer(path.with_name(f"{path.name}-tokenizer"))
    t5 = transformers.T5Config(
        vocab_size=len(WORDS) + 3, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
        ),
        vae=_vae(shift_factor=0.1, scaling_factor=0.36),
        text_encoder=_clip_encoder(tokenizer),
        tokenizer=tokenizer,
        text_encoder_2=_alive(transformers.T5EncoderModel(t5)),
        tokenizer_2=_word_tokenizer(),
        transformer=_alive(transformer),
    )


_CHAT = "{% for m in messages %}the {{ m.content }} of{% endfor %}"


def _z_image(path: Path) -> Any:
    config = transformers.Qwen3Config(
        vocab_size=len(WORDS) + 3,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=32,
        axes_dims=[4, 4, 8],
        axes_lens=[256, 32, 32],
    )
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(shift_factor=0.1, scaling_factor=0.36),
        text_encoder=_alive(transformers.Qwen3Model(config)),
        tokenizer=_word_tokenizer(_CHAT),
        transformer=_alive(transformer),
    )


MAKERS: Mapping[str, Callable[[Path], Any]] = {
    "ddpm": _ddpm,
    "sd": _stable_diffusion,
    "sd2": _stable_diffusion_2,
    "dit": _dit,
    "sdxl": _sdxl,
    "flux": _flux,
    "z-image": _z_image,
}


def write_folder(kind: str, path: Path) -> Any:
    """Save a folder of that kind and return its pipeline of diffusers."""
    torch.manual_seed(7)
    pipeline = MAKERS[kind](path)
    pipeline.save_pretrained(path)
    if kind == "dit":  # as in the folders of DiT; `save_pretrained` leaves the names out
        index = path / "model_index.json"
        index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": CLASSES}))
    (path / "README.md").write_text("---\nlicense: apache-2.0\ntags:\n- test\n---\n# Tiny\n")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
