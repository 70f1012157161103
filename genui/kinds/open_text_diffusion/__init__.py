"""Masked-diffusion models of others as Hugging Face folders, stepped as genui's own.

- `folder`: what a folder says of its model, in the words of the Llama family
- `load`: its network, which sees both sides of each place
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds import text_diffusion
from genui.protocol.kinds import PRETRAINED

with late_imports():
    from genui.engine import loaders
    from genui.hub import formats
    from genui.kinds.open_text import folder_network
    from genui.kinds.open_text_diffusion import folder, load


def _formats() -> Mapping[str, object]:
    row = formats.ModelFormat(
        title="a Hugging Face folder of a masked-diffusion model",
        recognise=folder.recognise,
        describe=folder.describe,
        converts=True,
    )
    return {"masked-diffusion": row}


KINDS = (
    replace(
        text_diffusion.KINDS[0],
        family=PRETRAINED,
        medium="masked-text",
        place=14,  # before the folders that predict the next token
        folder=None,
        limitations="Trained by others: its own card states its data and its limits.",
        recipes=None,
        prepares=None,
        trains=None,
        generates=None,
        keys=None,
        formats=_formats,
        opens={
            "masked-diffusion": lambda: loaders.Loader(load.load, folder_network.load_tokenizer)
        },
        help=Page(
            "open-diffused",
            "masked-diffusion models as Hugging Face folders",
            Path(__file__).with_name("help.md"),
        ),
        examples=(),
    ),
)
