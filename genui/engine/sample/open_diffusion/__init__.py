"""Diffusion models of other people, as diffusers stores them, in our own loop.

- `schedule`: the levels of a scheduler's configuration, and what its network predicts
- `conditions`: prompts and classes as token ids, and the text encoders that read them
- `adapters`: LoRA files that a prompt names
- `pipelines`: the table of kinds of pipelines: how each calls its network
- `images`: latents and pixels as images, and cheap previews
- `load`: the components of a folder, and the memory that they take
"""
