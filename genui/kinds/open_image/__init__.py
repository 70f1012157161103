"""Open models that draw images: folders of diffusers, in our own loop.

- `folder`: what a folder says of its model, and the table of pipelines - `schedule`: the levels of
a scheduler's configuration, and what its network predicts
- `conditions`: prompts and classes as token ids, and the text encoders that read them
- `adapters`: LoRA files that a prompt names
- `pipelines`: how each pipeline calls its network
- `images`: latents and pixels as images, and cheap previews
- `load`: the components of a folder, and the memory that they take
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import DENOISED
from genui.protocol.kinds import PRETRAINED

with late_imports():
    from genui.engine import loaders
    from genui.hub import formats
    from genui.kinds.open_image import folder, load


def _formats() -> Mapping[str, object]:
    row = formats.ModelFormat(
        title="a diffusers folder",
        recognise=folder.recognise,
        describe=folder.describe,
        needs=("diffusers", "diffusers"),
        files=folder.files,
        converts=True,
    )
    return {"diffusers": row}


KINDS = (
    replace(
        DENOISED,
        family=PRETRAINED,
        place=25,
        help=Page(
            "open-images", "draw with folders of diffusers", Path(__file__).with_name("help.md")
        ),
        limitations="Trained by others: its own card states its data and its limits.",
        formats=_formats,
        opens={"diffusers": lambda: loaders.Loader(load.load)},
    ),
)
